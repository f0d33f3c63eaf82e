"""Turns conditions, templates and values with `${}` into what is computed for each message."""

import keyword
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions import RESERVED, Expression, Template, parse_expression, parse_template
from flowrunner.options.kind import Kind, Place, guard
from flowrunner.options.texts import NAME, field_path, near_name, refuse_topic
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.yaml_mistakes import explain_block_for_expression
from flowrunner.records import dataclass
from flowrunner.text import Passage
from flowrunner.topics import BadTopic, check_topic
from flowrunner.values import Constant, Fields, Items, Value


@dataclass(frozen=True, slots=True)
class ExpressionKind(Kind[Expression]):
    """An expression, written bare: `payload.temperature > 25`."""

    phrase: str = "an expression such as `payload.temperature > 25`"

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"], "examples": ["payload.temperature > 25"]}

    def read(self, node: Node, place: Place) -> Expression:
        scalar = place.scalar(node, self.phrase)
        if explained := explain_block_for_expression(scalar):
            raise place.report.refuse(explained)
        return guard(place, lambda: parse_expression(scalar.passage))


@dataclass(frozen=True, slots=True)
class TemplateKind(Kind[Template]):
    """A text in which `${...}` inserts the value of an expression."""

    phrase: str = "a text"

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number"]}

    def read(self, node: Node, place: Place) -> Template:
        scalar = place.scalar(node, self.phrase)
        if isinstance(scalar.value, bool) or scalar.value is None:
            raise place.refuse(node, self.phrase, help=f'for the text write `"{scalar.text}"`')
        return guard(place, lambda: parse_template(scalar.passage))


#: Spaces at the beginning or the end of a level that is followed or preceded by another one.
_SPACES = re.compile(r" +/ *|/ +")


@dataclass(frozen=True, slots=True)
class TopicTemplate(TemplateKind):
    """A topic to publish to; `${...}` may fill levels. What is constant is checked here (MQTT 5.0 section 4.7)."""

    phrase: str = "a topic"

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number"], "minLength": 1, "examples": ["alerts/${room}"]}

    def read(self, node: Node, place: Place) -> Template:
        template = TemplateKind.read(self, node, place)
        passage, at = template.passage, 0
        for part in template.parts or ("",):
            if isinstance(part, str):
                stop = at + len(part.replace("${", "$${"))
                self.check_text(part, passage.sub(at, stop), place)
            else:
                stop = bisect_left(passage.starts, part.span.end)
            at = stop
        return template

    def check_text(self, text: str, passage: Passage, place: Place) -> None:
        """Refuse a wildcard or NUL in what stands outside of `${}`."""
        try:
            check_topic(text)
        except BadTopic as bad:
            bad.start += text.count("${", 0, bad.start)  # written `$${`
            bad.end += text.count("${", 0, bad.end)
            raise refuse_topic(bad, passage, place, code="bad-topic") from None
        if found := _SPACES.search(text):
            shift = text.count("${", 0, found.start())
            span = passage.span(found.start() + shift, found.end() + shift)
            help = f"without them: `{found[0].strip()}`"
            place.report.say("odd-topic", "spaces are part of the level", span, helps=(help,), severity="warning")


@dataclass(frozen=True, slots=True)
class ValueKind(Kind[Value]):
    """Any YAML value; `${...}` inside its texts inserts what an expression gives."""

    phrase: str = "a value"

    def schema(self) -> dict[str, Any]:
        return {}

    def read(self, node: Node, place: Place) -> Value:
        match node:
            case Scalar():
                return self.read_scalar(node, place)
            case List():
                items = tuple(self.read(item, place) for item in node.items)
                if all(isinstance(item, Constant) for item in items):
                    return Constant([item.value for item in items if isinstance(item, Constant)], node.span)
                return Items(items, node.span)
        entries = tuple((entry.key.text, self.read(entry.value, place)) for entry in node.entries)
        if all(isinstance(value, Constant) for _, value in entries):
            return Constant({key: value.value for key, value in entries if isinstance(value, Constant)}, node.span)
        return Fields(entries, node.span)

    def read_scalar(self, node: Scalar, place: Place) -> Value:
        """A number, bool or null as it is; a text as a template."""
        if not isinstance(node.value, str):
            return Constant(node.value, node.span)
        if "$" not in node.text and "{{" not in node.text:
            return Constant(node.text, node.span)
        template = guard(place, lambda: parse_template(node.passage))
        return Constant(template.constant, node.span) if template.is_constant else template


@dataclass(frozen=True, slots=True)
class FieldValues(Kind[tuple[tuple[tuple[str, ...], Value], ...]]):
    """A map from fields (dots reach inside) to values."""

    phrase: str = "a map of fields and values"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "minProperties": 1, "additionalProperties": ValueKind().schema()}

    def read(self, node: Node, place: Place) -> tuple[tuple[tuple[str, ...], Value], ...]:
        return tuple(
            (field_path(entry.key, entry.key.text, place), ValueKind().read(entry.value, place.inside(entry.key.text)))
            for entry in entries_of(node, place, self.phrase)
        )


@dataclass(frozen=True, slots=True)
class Names(Kind[tuple[tuple[str, Value], ...]]):
    """A map from names, which later expressions may use, to values."""

    phrase: str = "a map of names and values"

    def schema(self) -> dict[str, Any]:
        names = {"pattern": r"^[A-Za-z][A-Za-z0-9_]*$"}
        return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": {}}

    def read(self, node: Node, place: Place) -> tuple[tuple[str, Value], ...]:
        return tuple(
            (read_name(entry.key, place), ValueKind().read(entry.value, place.inside(entry.key.text)))
            for entry in entries_of(node, place, self.phrase)
        )


@dataclass(frozen=True, slots=True)
class NewName(Kind[str]):
    """A name which later expressions may use."""

    phrase: str = "a name: letters, digits and `_`, a letter first"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_]*$"}

    def read(self, node: Node, place: Place) -> str:
        return read_name(place.scalar(node, self.phrase), place)


def entries_of(node: Node, place: Place, phrase: str) -> Iterator[Any]:
    """The entries of a map that must hold at least one. Raises Refused for anything else."""
    if not isinstance(node, Map) or not node.entries:
        if isinstance(node, Scalar) and node.text.startswith("payload."):
            help = "write each on a line of its own below, indented: `name: value`"
            raise place.refuse(node, phrase, help=help)
        raise place.refuse(node, phrase)
    yield from node.entries


def read_name(key: Scalar, place: Place) -> str:
    """A name that expressions can use. Raises Refused for a reserved word or a text that is no name."""
    word = key.text
    if word in RESERVED or keyword.iskeyword(word):
        message = f"`{word}` has a meaning of its own in expressions"
        raise place.report.refuse(Diagnostic("reserved-name", message, key.span, helps=("choose another name",)))
    if not NAME.match(word):
        message = f"`{word}` is no name: letters, digits and `_`, a letter first"
        help = f"write `{near_name(word)}`"
        raise place.report.refuse(Diagnostic("bad-name", message, key.span, helps=(help,)))
    return word
