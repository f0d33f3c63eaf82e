"""Turns pieces of a YAML document into values that know where they stand."""

from collections.abc import Iterator
from typing import Any, Literal

from flowrunner.read.passages import passage_of
from flowrunner.read.scalars import Value
from flowrunner.records import dataclass
from flowrunner.text import Passage, Span

Style = Literal["plain", "single", "double", "literal", "folded"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, bool or null.

    `span` includes quotes and the header of a block (`|`, `>`), and ends at the last character that is no blank.
    `text` is the content; `value` is what it means: always the text, unless the style is plain.
    """

    span: Span
    text: str
    value: Value
    style: Style = "plain"

    @property
    def passage(self) -> Passage:
        """The text with the place of each of its characters in the source."""
        return passage_of(self.span, self.text, self.style)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map and what stands under it."""

    key: Scalar
    value: "Node"

    @property
    def name(self) -> str:
        """The text of the key."""
        return self.key.text


@dataclass(frozen=True, slots=True)
class Map:
    """A map; its keys are different texts, in the order of the file. A span from the first key or `{` to the end."""

    span: Span
    entries: tuple[Entry, ...]

    def get(self, name: str) -> Entry | None:
        """The entry with this key, or None."""
        return next((entry for entry in self.entries if entry.key.text == name), None)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)


@dataclass(frozen=True, slots=True)
class List:
    """A list; a span from the first dash or `[` to the end of the last item."""

    span: Span
    items: tuple["Node", ...]

    def __iter__(self) -> Iterator["Node"]:
        return iter(self.items)


Node = Scalar | Map | List


def plain(node: Node) -> Any:
    """The ordinary Python value of a node: dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, List):
        return [plain(item) for item in node.items]
    return {entry.key.text: plain(entry.value) for entry in node.entries}
