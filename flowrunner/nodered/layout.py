"""Turns steps and values into YAML as a person would write it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flowrunner.nodered.values import Code
from flowrunner.read.document import read_document
from flowrunner.read.nodes import List, Map, Scalar
from flowrunner.text import Source

WIDTH = 88
_NAMED = {"let", "set", "map", "payload", "json", "values"}
_MOST_IN_BRACES = 4
_UNSAFE_IN_BRACKETS = re.compile(r"[,\[\]{}#&*!|>%@`'\"?]|: |:$|^[-:]|\$\{")


@dataclass(slots=True)
class Step:
    """A step as it is written: `value` None makes a bare word; `notes` become comments above it."""

    key: str
    value: Any = None
    id: str = ""
    when: Code | None = None
    on_error: Any = None
    notes: list[str] = field(default_factory=list)

    def as_entries(self) -> dict[str, Any]:
        """The step's key with what stands beside it."""
        beside = {"id": self.id, "when": self.when, "on_error": self.on_error}
        return {self.key: self.value, **{key: value for key, value in beside.items() if value}}


Steps = list[Step]


def comment(text: str, indent: int = 0) -> Iterator[str]:
    """Lines of comment."""
    for line in text.strip().splitlines():
        yield f"{' ' * indent}# {line.strip()}".rstrip()


def entry(key: str, value: Any, indent: int = 0) -> list[str]:
    """A key with its value, on one line where it fits."""
    head = f"{' ' * indent}{scalar(key)}:"
    if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Step):
        return [head, *items(value, indent + 2)]
    is_text = isinstance(value, str) and not isinstance(value, Code)
    if is_text and "\n" in value and (block := _block(value, indent + 2)):
        return [f"{head} {block[0]}", *block[1:]]
    inline = None if _is_rich(key, value) else one_line(value, is_inside=False)
    if inline is not None and (len(head) + len(inline) < WIDTH or not isinstance(value, dict | list) or not value):
        return [f"{head} {inline}"]
    if isinstance(value, dict):
        return [head, *(line for name, inner in value.items() for line in entry(name, inner, indent + 2))]
    return [head, *items(value, indent + 2)]


def _is_rich(key: str, value: Any) -> bool:
    """Whether a map reads better over several lines: one of names that get what is computed."""
    computed = isinstance(value, dict) and any(isinstance(inner, str) and "${" in inner for inner in value.values())
    return computed and (key in _NAMED or len(value) > _MOST_IN_BRACES)


def items(values: Sequence[Any], indent: int) -> list[str]:
    """A list below a key."""
    lines: list[str] = []
    for value in values:
        if isinstance(value, Step):
            for note in value.notes:
                lines += comment(note, indent)
        lines += _dashed(_item(value, indent + 2), indent)
    return lines


def _item(value: Any, indent: int) -> list[str]:
    """One item, indented as what follows its dash."""
    blanks = " " * indent
    if isinstance(value, Step):
        if value.value is None and list(value.as_entries()) == [value.key]:
            return [blanks + value.key]
        lines = []
        for key, inner in value.as_entries().items():
            lines += [f"{blanks}{key}:"] if key == value.key and inner is None else entry(key, inner, indent)
        return lines
    if isinstance(value, dict) and value:
        inline = one_line(value, is_inside=False)
        if inline is not None and len(inline) + indent < WIDTH:
            return [blanks + inline]
        return [line for key, inner in value.items() for line in entry(key, inner, indent)]
    if isinstance(value, list) and value:
        inline = one_line(value, is_inside=False)
        return [blanks + inline] if inline is not None and len(inline) + indent < WIDTH else items(value, indent)
    return [blanks + str(one_line(value, is_inside=False))]


def _dashed(lines: list[str], indent: int) -> list[str]:
    first, *others = lines
    if first.strip() and not first.lstrip().startswith("#"):
        return [f"{' ' * indent}- {first[indent + 2 :]}", *others]
    return [f"{' ' * indent}- {first.lstrip()}", *others]


def one_line(value: Any, *, is_inside: bool = True) -> str | None:
    """A value on one line; None where it is too rich for that."""
    if isinstance(value, dict):
        return _braces(value)
    if isinstance(value, list):
        if any(isinstance(item, Step) for item in value):
            return None
        parts = [one_line(item) for item in value]
        return None if None in parts else f"[{', '.join(part for part in parts if part is not None)}]"
    if isinstance(value, Code):
        return code(value, is_inside=is_inside)
    if isinstance(value, str):
        return scalar(value, is_inside=is_inside)
    return json.dumps(value)


def _braces(value: Mapping[str, Any]) -> str | None:
    """A map of plain values."""
    if any(isinstance(inner, dict | list) and inner for inner in value.values()) and len(value) > 1:
        return None
    parts = {scalar(key, is_inside=True): one_line(inner) for key, inner in value.items()}
    if None in parts.values():
        return None
    return "{" + ", ".join(f"{key}: {inner}" for key, inner in parts.items()) + "}"


@lru_cache(4096)
def scalar(text: str, *, is_inside: bool = False) -> str:
    """A text that reads as this text: bare where it can be."""
    if _reads_as(text, text, is_inside=is_inside):
        return text
    if "\\" in text and "'" not in text and _reads_as(f"'{text}'", text, is_inside=is_inside):
        return f"'{text}'"
    if '"' in text and "'" not in text and _reads_as(f"'{text}'", text, is_inside=is_inside):
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").replace("\x85", "\\u0085")


@lru_cache(4096)
def code(text: str, *, is_inside: bool = False) -> str:
    """An expression; numbers need no quotes, nor do most others."""
    if _reads_as(text, text, is_inside=is_inside, is_code=True):
        return text
    if "'" not in text and _reads_as(f"'{text}'", text, is_inside=is_inside):
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False)


def _reads_as(written: str, text: str, *, is_inside: bool, is_code: bool = False) -> bool:
    is_bare = written == text
    if not written or "\n" in written or (is_bare and is_inside and _UNSAFE_IN_BRACKETS.search(written)):
        return False
    node, mistakes = read_document(Source("x", f"{{k: {written}}}\n" if is_inside else f"k: {written}\n"))
    if mistakes or not isinstance(node, Map) or len(node.entries) != 1:
        return False
    value = node.entries[0].value
    if not isinstance(value, Scalar) or value.text != text:
        return False
    if is_code:
        return value.value is not None
    return isinstance(value.value, str)


def _block(text: str, indent: int) -> list[str]:
    """A text of several lines as a block; empty where it would not read as this text."""
    mark = "|" if text.endswith("\n") else "|-"
    lines = text.removesuffix("\n").split("\n")
    if any(line != line.rstrip() or "\t" in line or "\r" in line for line in lines) or not lines[0].strip():
        return []
    if lines[0].startswith(" ") or not lines[-1]:
        return []
    written = [mark, *(f"{' ' * indent}{line}" if line else "" for line in lines)]
    node, mistakes = read_document(Source("x", "- k: " + "\n".join(written) + "\n"))
    if mistakes or not isinstance(node, List) or not isinstance(node.items[0], Map):
        return []
    value = node.items[0].entries[0].value
    return written if isinstance(value, Scalar) and value.text == text else []
