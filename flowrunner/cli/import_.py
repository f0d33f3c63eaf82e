"""Turns an export of Node-RED into a folder of flow files, and tells what became of each node."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Misuse, json_option, make_command, option
from flowrunner.cli.terminal import paint, wants_color

if TYPE_CHECKING:
    from flowrunner.nodered import Node, Outcome, Translation

_COLORS = {"done": "32", "approximated": "33", "not done": "31"}
_WIDEST = 30


@make_command(
    "import",
    examples="""
    flowrunner import flows.json -o flows      in Node-RED: menu, Export, all flows, Download
    flowrunner import flows.json --json | jq -r '.nodes[] | select(.result == "not done") | .name'
    flowrunner check flows
    """,
)
@option("-o", "--output", "folder", metavar="DIR", type=click.Path(path_type=Path), default=Path("flows"),
        help="The folder for the flows [flows/].")  # fmt: skip
@option("--force", is_flag=True, help="Overwrite files that are there.")
@json_option
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def command(file: Path, folder: Path, *, force: bool, as_json: bool) -> None:
    """Turn an export of Node-RED into flow files.

    FILE is the JSON that Node-RED exports (or its own flows.json). Each tab becomes a file, the broker that is used
    most the default connection in flowrunner.yaml. What cannot be translated becomes a function in a Python file beside
    the flows, with the JavaScript as a comment; it fails with a clear error until it is written.

    For every node it is told whether it is done, approximated (and how), or not done. Exit code: 0 if the files were
    written, whatever is left to do in them. Files that are there are never overwritten without --force.
    """
    import sys

    from flowrunner.nodered import BadExport, translate

    try:
        found = translate(read(file))
    except BadExport as bad:
        raise Misuse(f"`{file}`: {bad.message}", bad.help) from None
    if not found.files:
        raise Misuse(f"`{file}` holds no flow")
    write(found.files, folder, force=force)
    if as_json:
        print(json.dumps(to_json(found, folder), ensure_ascii=False, indent=2))
        return
    print("\n".join(table(found, color=wants_color(sys.stdout))))
    print("\n".join(summary(found, folder)))


def read(file: Path) -> str:
    """The text of the export; raise Misuse for a file that cannot be read, or is no text."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Misuse(f"`{file}` is no JSON: it is not text in UTF-8") from None
    except OSError as error:
        raise Misuse(f"`{file}` cannot be read: {(error.strerror or 'unknown reason').lower()}") from None


def write(files: Mapping[str, str], folder: Path, *, force: bool) -> None:
    """Write all files, or none where one is there already."""
    there = [folder / name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there and not force:
        shown = ", ".join(f"`{path}`" for path in there[:3]) + (" ..." if len(there) > 3 else "")
        verb = "is" if len(there) == 1 else "are"
        raise Misuse(f"{shown} {verb} there already", "choose another folder with -o, or overwrite with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misuse(f"`{folder}` cannot be written: {(error.strerror or 'unknown reason').lower()}") from None


def to_json(found: "Translation", folder: Path) -> dict[str, Any]:
    """The report for programs."""
    return {
        "files": [(folder / name).as_posix() for name in found.files],
        "counts": found.counts,
        "nodes": [outcome.as_json(node, tab) for node, tab, outcome in found.rows],
    }


def table(found: "Translation", *, color: bool) -> Iterator[str]:
    """A line for every node, below the name of its tab."""
    rows = [(tab, _cut(_plain(node)), outcome) for node, tab, outcome in shown(found)]
    width = max((len(name) for _, name, _ in rows), default=0)
    last = ""
    for tab, name, outcome in sorted(rows, key=lambda row: row[0]):
        if tab != last:
            yield f"{tab}:"
        last = tab
        result = paint(outcome.result.ljust(12), _COLORS[outcome.result], color=color)
        yield f"  {name.ljust(width)}  {result}  {'; '.join(outcome.notes)}".rstrip()


def shown(found: "Translation") -> "Iterator[tuple[Node, str, Outcome]]":
    """The rows of a table: tabs and frames around nodes need none."""
    for node, tab, outcome in found.rows:
        if node.type not in ("tab", "group") or outcome.result != "done":
            yield node, tab or "everywhere", outcome


def _plain(node: "Node") -> str:
    """Type and name in one line; the type of an instance of a subflow holds its id."""
    return " ".join([node.type.partition(":")[0], *node.name.split()])


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def summary(found: "Translation", folder: Path) -> list[str]:
    """What was written, and what to type next."""
    counts = ", ".join(f"{number} {result}" for result, number in found.counts.items())
    names = ", ".join((folder / name).as_posix() for name in found.files)
    return ["", f"{len(found.rows)} nodes: {counts}", f"wrote {names}", "", f"  flowrunner check {folder}"]
