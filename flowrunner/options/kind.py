"""Turns the value of an option in YAML into a checked value, or into a diagnostic in the option's own words."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from flowrunner.diagnostics import Diagnostic, Label, suggest
from flowrunner.expressions import Expression, ExpressionError, Template, parse_template
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.yaml_mistakes import explain_list_for_text, explain_map_for_text, explain_null
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.text import Span
from flowrunner.values import Constant, Fields, Items, templates_of

T_co = TypeVar("T_co", covariant=True)
Part = TypeVar("Part", Expression, Template)


class Context(Protocol):
    """What the reading of a flow offers to the kinds of option."""

    report: Report
    folder: Path
    connections: Collection[str]
    allow: frozenset[str] | None  # what flows may do that is dangerous; None: nothing will run, only warn

    def read_steps(self, node: Node, place: "Place") -> tuple[Any, ...]:
        """Read a list of steps (a branch, the steps of `on_error`)."""

    def read_called(self, name: Scalar) -> Any:
        """Read the steps of a flow that a step calls (a `flowrunner.options.nested.Called`)."""

    def read_file(self, path: str, span: Span) -> bytes:
        """Read a file that a flow refers to, relative to the flow's folder; it is watched from then on."""

    def is_file(self, path: Path) -> bool:
        """Whether there is such a file, and it can be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an option is being read: `option` of `owner` (a step key, or empty for a key of the flow itself)."""

    context: Context
    option: str = ""
    owner: str = ""
    owner_span: Span | None = None

    @property
    def report(self) -> Report:
        """Where mistakes go."""
        return self.context.report

    @property
    def subject(self) -> str:
        """The option as messages name it."""
        if self.owner and self.option and self.option != self.owner:
            return f"`{self.option}` of `{self.owner}`"
        return f"`{self.option or self.owner}`"

    def inside(self, option: str) -> "Place":
        """The place of a key inside this option."""
        return Place(self.context, option, self.option or self.owner, self.owner_span)

    def refuse(self, node: Node, phrase: str, *, help: str = "", label: str | None = None) -> Refused:
        """Report that the value must be `phrase`; the label says what it is instead, unless it is given."""
        null = isinstance(node, Scalar) and node.value is None
        explained = explain_null(node.span) if null else None
        if explained:
            return self.report.refuse(explained)
        message = f"{self.subject} must be {phrase}"
        owner = self.owner_span if self.is_away_from(node.span) else None
        labels = (Label(owner, "in this step"),) if owner else ()
        helps = (help,) if help else ()
        label = describe(node) if label is None else label
        return self.report.refuse(Diagnostic("wrong-value", message, node.span.first_line(), label, labels, helps))

    def is_away_from(self, span: Span) -> bool:
        """Whether the step's key stands on another line than the mistake, so that showing it helps."""
        return self.owner_span is not None and self.owner_span.line != span.line

    def scalar(self, node: Node, phrase: str) -> Scalar:
        """The node as a scalar; a map or list where a text is wanted is explained (`{room}`, `[p.x for p in ...]`)."""
        if isinstance(node, Scalar):
            if node.value is None and node.style == "plain":
                raise self.refuse(node, phrase)
            return node
        explained = explain_map_for_text(node) if isinstance(node, Map) else explain_list_for_text(node)
        if explained:
            raise self.report.refuse(explained)
        raise self.refuse(node, phrase)


def describe(node: Node) -> str:
    """What a value is, as a label: `this is a text`."""
    match node:
        case Map():
            return "this is a map"
        case List():
            return "this is a list"
    match node.value:
        case None:
            return "nothing stands here" if not node.text else "this is null"
        case bool():
            return f"this is {node.text}"
        case int() | float():
            return "this is a number"
    return "this is a text"


#: What JSON Schema sees of a text: `404` and `true` are texts too where a text is wanted.
TEXT_TYPES = ["string", "number", "boolean"]


class Kind(ABC, Generic[T_co]):
    """A kind of option. `phrase` completes "must be ..."."""

    phrase: str

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 7) of the value, as an editor needs it."""

    @abstractmethod
    def read(self, node: Node, place: Place) -> T_co:
        """The checked value. Raises Refused when the value cannot be used; the mistake is in the report then."""

    def choices(self) -> tuple[str, ...]:
        """The values to offer, if they are few."""
        return ()

    def write(self, value: Any) -> str | None:
        """The checked value as it is written in a flow; None where it is what it looks like."""
        del value
        return None


@dataclass(frozen=True, slots=True)
class Dynamic(Kind[Any]):
    """A value of a fixed kind, or one `${...}` that is checked when the message comes (by `check`)."""

    fixed: Kind[Any]
    check: Callable[[Any], Any]

    @property
    def phrase(self) -> str:  # type: ignore[override]  # a property stands in for the attribute
        """The phrase of the fixed kind."""
        return self.fixed.phrase

    def schema(self) -> dict[str, Any]:
        """The fixed kind's schema, or a text that is one `${...}`."""
        return {"anyOf": [self.fixed.schema(), {"type": "string", "pattern": r"^\$\{[\s\S]*\}$"}]}

    def read(self, node: Node, place: Place) -> Any:
        """A value of the fixed kind, or the expression."""
        if isinstance(node, Scalar) and "${" in node.text and node.value is not None:
            template = guard(place, lambda: parse_template(node.passage))
            if template.single:
                return template.single
        return self.fixed.read(node, place)

    def write(self, value: Any) -> str | None:
        """The value of the fixed kind, as it is written."""
        return self.fixed.write(value)


def guard(place: Place, parse: Callable[[], Part]) -> Part:
    """Parse an expression or a template; its mistakes go into the report."""
    try:
        return parse()
    except ExpressionError as error:
        place.report.extend(list(error.diagnostics))
        raise Refused from None


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """A help that offers the nearest known word, or an empty text."""
    near = suggest(word, known)
    return f"did you mean `{near}`?" if near else ""


@runtime_checkable
class HasExpressions(Protocol):
    """The value of an option that holds expressions of its own."""

    def expressions(self) -> Iterator[Expression]:
        """Every expression in it."""


def parts_of(value: object) -> Iterator[Expression | Template]:
    """Every expression and template inside the value of an option."""
    match value:
        case None | str() | int() | float():  # most of them; a protocol is slow to look for
            return
        case Expression() | Template():
            yield value
        case Constant() | Fields() | Items():
            yield from templates_of(value)
        case tuple():
            for inner in value:
                yield from parts_of(inner)
        case HasExpressions():
            yield from value.expressions()
