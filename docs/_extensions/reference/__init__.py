"""Turns the code into the reference: pages in docs/reference/generated/, written whenever Sphinx runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import api, commands, diagnostics, expressions, flow_file, metrics, settings, steps

GENERATED = "reference/generated"


def pages() -> dict[str, str]:
    """Every generated page, by its path below `GENERATED`."""
    return dict(_pages())


def _pages() -> Iterator[tuple[str, str]]:
    for part in (steps, flow_file, expressions, diagnostics, commands, settings, metrics, api):
        yield from part.pages()


def write(folder: Path) -> None:
    """Write the pages that changed, and delete those that are no more, so that Sphinx builds only what is new."""
    wanted = {folder / path: text for path, text in pages().items()}
    for file in folder.rglob("*.md"):
        if file not in wanted:
            file.unlink()
    for file, text in wanted.items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before Sphinx looks for any."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / GENERATED))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
