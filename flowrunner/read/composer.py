"""Turns the events of a YAML parser into nodes (YAML 1.2 section 3.1.2), every mistake into a diagnostic."""

import re
from collections.abc import Callable
from math import isinf
from typing import Any, NoReturn

import yaml

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.nodes import Entry, List, Map, Node, Scalar, Style
from flowrunner.read.scalars import resolve
from flowrunner.read.yaml_mistakes import nodes as mistakes
from flowrunner.read.yaml_parser import events
from flowrunner.records import dataclass
from flowrunner.text import Source, Span

MAX_DEPTH = 64
"""How deep maps and lists may stand inside each other, aliases unfolded."""

MAX_VALUES = 200_000
"""How many values a file may hold, aliases unfolded."""

_STYLES: dict[str | None, Style] = {"'": "single", '"': "double", "|": "literal", ">": "folded"}
_PROPERTIES = re.compile(r"(?:\s+|#[^\r\n]*|&[\w-]+|!\S*)*")


class Stopped(Exception):
    """The rest of the file is not read; the diagnostics say why."""


class _Open:
    """A map or list whose end has not come yet."""

    __slots__ = ("anchor", "before", "children", "end", "is_flow", "key", "keys", "start")

    def __init__(self, start: int, *, is_map: bool, is_flow: bool, anchor: str | None, before: int) -> None:
        self.start = start
        self.end = start
        self.is_flow = is_flow
        self.anchor = anchor
        self.before = before
        self.children: list[Any] = []
        self.keys: dict[str, Entry] | None = {} if is_map else None
        self.key: Scalar | None = None


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an alias stands for, and what it adds to the size and the depth of the document."""

    node: Node
    values: int
    depth: int


class Composer:
    """Builds nodes from events, one after the other and never recursively: no file is too deep for it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []
        self.shift = 1 if source.text.startswith("\ufeff") else 0
        self.open: list[_Open] = []
        self.root: Node | None = None
        self.is_spoilt = False
        self.documents = 0
        self.values = 0
        self.anchors: dict[str, _Anchored | None] = {}

    def run(self) -> None:
        """Read everything; raises yaml.YAMLError at a mistake in the syntax, and Stopped where reading on is futile."""
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self.read_scalar,
            yaml.MappingStartEvent: self.begin,
            yaml.SequenceStartEvent: self.begin,
            yaml.MappingEndEvent: self.finish,
            yaml.SequenceEndEvent: self.finish,
            yaml.AliasEvent: self.read_alias,
            yaml.DocumentStartEvent: self.begin_document,
        }
        for event in events(self.source.text[self.shift :]):
            if handle := handlers.get(type(event)):
                handle(event)

    def result(self) -> Node | None:
        """What was read; None for an empty file, and where a mistake would have consequences."""
        root = self.root
        is_empty = isinstance(root, Scalar) and not root.text and root.style == "plain"
        return None if self.is_spoilt or is_empty else root

    def read_scalar(self, event: Any) -> None:
        """Add a scalar."""
        start, end = event.start_mark.index + self.shift, event.end_mark.index + self.shift
        text: str = event.value
        style = _STYLES.get(event.style, "plain")
        if event.anchor or event.tag:
            start = self.behind_properties(event, start, end)
        elif not text and self.open and style == "plain":
            start = end = self.place_of_nothing(start)
        if style == "plain":
            scalar = Scalar(Span(self.source, start, end), text, resolve(text))
            self.check_plain(scalar)
        else:
            if style in ("literal", "folded"):
                end = self.end_of_block(start, end)
            scalar = Scalar(Span(self.source, start, end), text, text, style)
            if style == "double" and not text.isascii() and (half := mistakes.find_half_a_character(scalar)):
                self.spoil(half)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(scalar, 1, 0)
        self.add(scalar, start, end)

    def check_plain(self, scalar: Scalar) -> None:
        """Say what is wrong with an unquoted scalar."""
        text = scalar.text
        if isinstance(scalar.value, float) and isinf(scalar.value):
            self.diagnostics.append(mistakes.too_large_number(scalar))
        elif text and not text.isascii() and (text[0].isspace() or text[-1].isspace()):
            self.spoil(mistakes.hidden_space(scalar))

    def place_of_nothing(self, otherwise: int) -> int:
        """Where a value is missing: right behind the colon, not where the parser noticed it, maybe lines below."""
        parent = self.open[-1]
        colon = self.source.text.find(":", parent.end, otherwise) if parent.key else -1
        return colon + 1 if colon >= 0 else otherwise

    def end_of_block(self, start: int, end: int) -> int:
        """Where the last character of a block scalar ends, or its header where there is none."""
        return start + len(self.source.text[start:end].rstrip())

    def behind_properties(self, event: Any, start: int, end: int) -> int:
        """Where a value begins whose event begins at its anchor or tag."""
        behind = _PROPERTIES.match(self.source.text, start, end)
        assert behind  # it matches the empty text, too
        tag: str | None = getattr(event, "tag", None)
        if tag:
            self.spoil(mistakes.tag(self.source.span(start, behind.end())))
        return behind.end()

    def begin(self, event: Any) -> None:
        """Begin a map or list."""
        start = event.start_mark.index + self.shift
        if event.anchor or event.tag:
            start = self.behind_properties(event, start, len(self.source.text))
        if event.anchor:
            self.anchors[event.anchor] = None
        if len(self.open) >= MAX_DEPTH:
            self.stop(mistakes.too_deep(self.source.span(start, start + 1), MAX_DEPTH))
        is_map = isinstance(event, yaml.MappingStartEvent)
        is_flow = bool(event.flow_style)
        self.open.append(_Open(start, is_map=is_map, is_flow=is_flow, anchor=event.anchor, before=self.values))

    def finish(self, event: Any) -> None:
        """Add the map or list that ends here."""
        closed = self.open.pop()
        if closed.is_flow:
            closed.end = event.end_mark.index + self.shift
        span = Span(self.source, closed.start, closed.end)
        children = tuple(closed.children)
        node: Node = List(span, children) if closed.keys is None else Map(span, children)
        if closed.anchor:
            self.anchors[closed.anchor] = _Anchored(node, self.values - closed.before + 1, _depth(node))
        self.add(node, closed.start, closed.end)

    def read_alias(self, event: Any) -> None:
        """Add once more what stands at an anchor."""
        span = self.source.span(event.start_mark.index + self.shift, event.end_mark.index + self.shift)
        if event.anchor not in self.anchors:
            self.spoil(mistakes.unknown_alias(span, list(self.anchors)))
            return self.add(Scalar(span, span.text, span.text), span.start, span.end)
        anchored = self.anchors[event.anchor]
        if anchored is None:
            self.stop(mistakes.recursive_alias(span))
        if len(self.open) + anchored.depth > MAX_DEPTH:
            self.stop(mistakes.too_deep(span, MAX_DEPTH))
        self.values += anchored.values - 1
        return self.add(anchored.node, span.start, span.end)

    def add(self, node: Node, start: int, end: int) -> None:
        """Put a node where it belongs; it stands from `start` to `end`, which for an alias is not its own place."""
        self.values += 1
        if self.values > MAX_VALUES:
            self.stop(
                mistakes.too_many_values(self.source.span(start, end), MAX_VALUES, has_aliases=bool(self.anchors))
            )
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.end = end
        if parent.keys is None:
            parent.children.append(node)
        elif parent.key is None:
            parent.key = self.as_key(node, start, end)
        else:
            self.add_entry(parent, Entry(parent.key, node))

    def add_entry(self, parent: _Open, entry: Entry) -> None:
        """Add an entry to a map; of two with the same key, the first."""
        assert parent.keys is not None
        parent.key = None
        if misread := mistakes.missing_space(entry):
            self.diagnostics.append(misread)
        first = parent.keys.setdefault(entry.key.text, entry)
        if first is entry:
            parent.children.append(entry)
            return
        in_list = len(self.open) > 1 and self.open[-2].keys is None
        self.diagnostics.append(mistakes.duplicate_key(first, entry, in_list=in_list))

    def as_key(self, node: Node, start: int, end: int) -> Scalar:
        """The scalar that a node is as a key."""
        if isinstance(node, Scalar):
            if not isinstance(node.value, str):
                self.diagnostics.append(mistakes.key_not_text(node))
            return node
        span = self.source.span(start, end)
        self.spoil(mistakes.complex_key(span, self.open[-1].start))
        return Scalar(span, span.text, span.text)

    def begin_document(self, event: Any) -> None:
        """Stop at a second document."""
        self.documents += 1
        if self.documents > 1:
            self.stop(
                mistakes.several_documents(
                    self.source.span(event.start_mark.index + self.shift, event.end_mark.index + self.shift)
                )
            )

    def spoil(self, diagnostic: Diagnostic) -> None:
        """Note a mistake after which the nodes do not say what was meant."""
        self.is_spoilt = True
        self.diagnostics.append(diagnostic)

    def stop(self, diagnostic: Diagnostic) -> NoReturn:
        """Note a mistake behind which nothing is worth reading."""
        self.spoil(diagnostic)
        raise Stopped


def _depth(node: Node) -> int:
    """How many maps and lists stand inside each other here; at most MAX_DEPTH, so recursion is fine."""
    if isinstance(node, Scalar):
        return 0
    inner = node.items if isinstance(node, List) else tuple(entry.value for entry in node.entries)
    return 1 + max(map(_depth, inner), default=0)
