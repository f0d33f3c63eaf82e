"""Turns formats that people can read into values and back: CSV, YAML, base64, hexadecimal digits."""

import base64
import binascii
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowrunner.codecs.faults import as_text, no_format, not_writable, to_bytes
from flowrunner.fields import name_kind
from flowrunner.jsons import dumps
from flowrunner.read.document import plain, read_document
from flowrunner.read.scalars import resolve
from flowrunner.text import Source

_BLANK = re.compile(r"\s+", re.ASCII)


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How CSV is written: what stands between two cells; whether the first line holds names, or which there are."""

    delimiter: str = ","
    header: bool | tuple[str, ...] = True


def from_csv(payload: Any, options: CsvOptions) -> list[Any]:
    """One item for each line: a map where there are names, else a list. Cells are texts. Raises StepError."""
    text = as_text(payload, "CSV")
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=options.delimiter, strict=True) if row
        ]
    except csv.Error as error:
        raise no_format("CSV", str(error)) from None
    if options.header is False:
        return rows
    names: Sequence[str] = () if options.header is True else options.header
    if options.header is True and rows:
        names, *rows = rows
    for number, row in enumerate(rows, 2 if options.header is True else 1):
        if len(row) != len(names):
            raise no_format("CSV", f"line {number} has {len(row)} cells, there are {len(names)} names")
    return [dict(zip(names, row, strict=True)) for row in rows]


def to_csv(payload: Any, options: CsvOptions) -> bytes:
    """A line for each map or list of a list; a map alone is one line. Raises StepError for anything else."""
    items = [payload] if isinstance(payload, Mapping) else payload
    if not isinstance(items, list):
        raise not_writable("CSV", f"a list of maps can, this is {name_kind(payload)}")
    names: Sequence[str] = options.header if isinstance(options.header, tuple) else names_in(items)
    rows = [list(names)] if names and options.header is not False else []
    rows += rows_of(items, names)
    return to_bytes("".join(csv_line(row, options.delimiter) for row in rows), "CSV")


def csv_line(cells: Sequence[Any], delimiter: str = ",") -> str:
    """A line of CSV with its end. Raises StepError for what cannot be written."""
    out = io.StringIO(newline="")
    try:  # with this end of a line, the writer puts cells in quotes that hold either of its characters
        csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    except csv.Error as error:
        raise not_writable("CSV", str(error)) from None
    return out.getvalue().removesuffix("\r\n") + "\n"


def names_in(items: Sequence[Any]) -> list[str]:
    """The fields of all maps, in the order in which they come first."""
    return list(dict.fromkeys(str(name) for item in items if isinstance(item, Mapping) for name in item))


def rows_of(items: Sequence[Any], names: Sequence[str]) -> Iterator[list[Any]]:
    """The cells of each line; a field that is not there is empty. Raises StepError for what is no line."""
    for item in items:
        if isinstance(item, Mapping):
            cells = {str(name): value for name, value in item.items()}
            if unknown := cells.keys() - set(names):
                raise not_writable("CSV", f"there is no column for `{min(unknown)}`")
            yield [cell_of(cells.get(name)) for name in names]
        elif isinstance(item, list):
            yield [cell_of(value) for value in item]
        else:
            yield [cell_of(item)]


def cell_of(value: Any) -> Any:
    """What stands in a cell: nothing for null, maps and lists as JSON. Raises StepError for bytes."""
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if isinstance(value, bytes):
        raise not_writable("CSV", "a cell holds bytes", help="put `- decode: utf-8` before this step")
    return dumps(value).decode()


def from_yaml(payload: Any) -> Any:
    """The value of a YAML document, read as flow files are. Raises StepError."""
    source = Source("payload", as_text(payload, "YAML"))
    node, mistakes = read_document(source)
    wrong = next((mistake for mistake in mistakes if mistake.severity == "error"), None)
    if wrong is not None:
        raise no_format("YAML", f"{wrong.message} (line {wrong.span.line})")
    return None if node is None else plain(node)


def to_yaml(payload: Any) -> bytes:
    """A YAML document. Raises StepError for what JSON cannot hold either."""
    import yaml

    dumps(payload)  # what JSON holds, YAML does; bytes would become a tag
    text: str = yaml.dump(payload, Dumper=_dumper(), allow_unicode=True, sort_keys=False)
    return to_bytes(text.removesuffix("...\n"), "YAML")


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - equal parts are shared, nobody wants to see it
            return True

    def represent_text(dumper: Any, text: str) -> Any:
        # PyYAML quotes what YAML 1.1 takes for something else; 1.2 has other numbers, such as 0E0
        style = None if resolve(text) == text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent_text)
    return Dumper


def from_base64(payload: Any) -> bytes:
    """Bytes from base64, of the common or the URL-safe alphabet, with or without `=` at the end. Raises StepError."""
    text = _BLANK.sub("", as_text(payload, "base64")).rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    wrong = re.search(r"[^A-Za-z0-9+/]", text)
    if wrong:
        raise no_format("base64", f"unexpected `{wrong[0]}` at character {wrong.start() + 1}")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise no_format("base64", "it ends too early") from None


def to_base64(payload: Any) -> str:
    """Bytes, or text as UTF-8, in base64. Raises StepError."""
    return base64.b64encode(to_bytes(payload, "base64")).decode()


def from_hex(payload: Any) -> bytes:
    """Bytes from hexadecimal digits; blanks and colons between them do not count. Raises StepError."""
    text = re.sub(r"[\s:]+", "", as_text(payload, "hexadecimal digits"), flags=re.ASCII)
    wrong = re.search(r"[^0-9A-Fa-f]", text)
    if wrong:
        raise no_format("hexadecimal digits", f"unexpected `{wrong[0]}` at character {wrong.start() + 1}")
    if len(text) % 2:
        raise no_format("hexadecimal digits", f"there are {len(text)} of them, an odd number")
    return bytes.fromhex(text)


def to_hex(payload: Any) -> str:
    """Bytes, or text as UTF-8, in hexadecimal digits. Raises StepError."""
    return to_bytes(payload, "hexadecimal digits").hex()
