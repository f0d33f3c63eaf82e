"""Links between pages lead to pages that are there or will be generated, and to headings in them."""

import re
from functools import cache
from pathlib import Path

import pytest

from docs._extensions import reference
from tests.docs.markdown import ROOT, markdown_files

GENERATED = ROOT / "docs" / reference.GENERATED
_CODE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")


@cache
def generated() -> dict[Path, str]:
    return {GENERATED / path: text for path, text in reference.pages().items()}


def text_of(file: Path) -> str | None:
    """What a page says, nothing if it is a picture; None where there is no such file."""
    if (made := generated().get(file)) is not None:
        return made
    if not file.is_file():
        return None
    return file.read_text(encoding="utf-8") if file.suffix == ".md" else ""


def headings(text: str) -> set[str]:
    """The anchors of a page, as MyST and GitHub make them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def broken_links(file: Path, text: str) -> list[str]:
    broken = []
    for link in _LINK.findall(_CODE.sub("", text)):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if target.is_dir() and not anchor:
            continue
        found = text_of(target)
        if found is None or (anchor and anchor not in headings(found)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("file", markdown_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(file: Path) -> None:
    assert broken_links(file, file.read_text(encoding="utf-8")) == []


def test_links_of_generated_pages_lead_somewhere() -> None:
    assert {file.name: broken for file, text in generated().items() if (broken := broken_links(file, text))} == {}


def test_what_leads_nowhere_is_found() -> None:
    page = ROOT / "docs" / "index.md"
    links = (
        "[a](nowhere.md) [b](tutorial/index.md#no-heading) [c](tutorial/index.md) [d](https://example.org) `[e](f.md)`"
    )
    assert broken_links(page, links) == ["nowhere.md", "tutorial/index.md#no-heading"]


def test_files_that_pages_show_are_there() -> None:
    for file in markdown_files():
        for shown in re.findall(r"^`{3,}\{literalinclude\} (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE):
            assert (file.parent / shown).is_file(), f"{file.name}: {shown}"
