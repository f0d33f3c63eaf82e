"""Turns the addresses in README and documentation into those that do not answer: `make linkcheck`."""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[1]
PATIENCE = 20.0

_LINK = re.compile(r"\]\((https?://[^)\s]+)\)|<(https?://[^>\s]+)>")
#: What a server says that is there and does not like programs.
_THERE = {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}


def addresses() -> dict[str, Path]:
    """Every address that a page links to, and one page that does."""
    return {address: file for file in _pages() for address in _addresses_of(file.read_text(encoding="utf-8"))}


def _pages() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    made = (ROOT / "docs" / "_build", ROOT / "docs" / "reference" / "generated")
    yield from (page for page in (ROOT / "docs").rglob("*.md") if not any(page.is_relative_to(one) for one in made))


def _addresses_of(text: str) -> Iterator[str]:
    for found in _LINK.finditer(re.sub(r"^```.*?^```$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)):
        yield (found[1] or found[2]).partition("#")[0]


def fault_of(address: str) -> str:
    """What is wrong with an address; empty if it answers."""
    request = Request(address, headers={"User-Agent": "Mozilla/5.0 (flowrunner, checking links)"})  # noqa: S310 - https
    try:
        with urlopen(request, timeout=PATIENCE):  # noqa: S310 - as above
            return ""
    except HTTPError as error:
        return "" if error.code in _THERE else f"answers {error.code}"
    except OSError as error:
        return str(error)


def main() -> int:
    """Ask all of them; 1 if one does not answer."""
    asked = addresses()
    with ThreadPoolExecutor(8) as pool:
        faults = dict(zip(asked, pool.map(fault_of, asked), strict=True))
    for address, fault in faults.items():
        if fault:
            print(f"{asked[address].relative_to(ROOT)}: {address} {fault}")  # noqa: T201 - what it is for
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main())
