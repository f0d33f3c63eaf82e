"""Turns lists of steps inside a step into checked steps."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.expressions import Expression
from flowrunner.options.computed import ExpressionKind
from flowrunner.options.kind import Kind, Place
from flowrunner.options.texts import Text
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.records import dataclass
from flowrunner.text import Span

STEPS = {"$ref": "#/definitions/steps"}


@dataclass(frozen=True, slots=True)
class Steps(Kind[tuple[Any, ...]]):
    """A list of steps."""

    phrase: str = "a list of steps"

    def schema(self) -> dict[str, Any]:
        return STEPS

    def read(self, node: Node, place: Place) -> tuple[Any, ...]:
        return place.context.read_steps(node, place)


@dataclass(frozen=True, slots=True)
class StepLists(Kind[tuple[tuple[Any, ...], ...]]):
    """A list of lists of steps: the branches of a `fork`."""

    phrase: str = "a list of step lists"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": STEPS, "minItems": 1}

    def read(self, node: Node, place: Place) -> tuple[tuple[Any, ...], ...]:
        if not isinstance(node, List) or not node.items:
            raise place.refuse(node, self.phrase)
        if any(not isinstance(item, List) for item in node.items):
            help = "every branch is a list of its own: `- - log: first branch`"
            raise place.refuse(node, self.phrase, help=help)
        return tuple(place.context.read_steps(item, place) for item in node.items)


@dataclass(frozen=True, slots=True)
class Case:
    """A branch of a `switch`; the one without a condition is `else`."""

    when: Expression | None
    steps: tuple[Any, ...]
    span: Span

    def expressions(self) -> Iterator[Expression]:
        """The condition, if there is one."""
        if self.when is not None:
            yield self.when


@dataclass(frozen=True, slots=True)
class Cases(Kind[tuple[Case, ...]]):
    """The branches of a `switch`: `- when: expression` with `steps:`, last `- else: [steps]`."""

    phrase: str = "a list of cases: `- when: ...` with `steps:`"

    def schema(self) -> dict[str, Any]:
        case = {
            "type": "object",
            "properties": {
                "when": ExpressionKind().schema() | {"description": "Take this case if the expression is true."},
                "steps": STEPS | {"description": "What to do then."},
                "else": STEPS | {"description": "What to do if no case was taken; the last entry."},
            },
            "additionalProperties": False,
        }
        return {"type": "array", "items": case, "minItems": 1}

    def read(self, node: Node, place: Place) -> tuple[Case, ...]:
        if not isinstance(node, List) or not node.items:
            raise place.refuse(node, self.phrase)
        cases = tuple(self.read_case(item, place) for item in node.items)
        for case, item in zip(cases[:-1], node.items, strict=False):
            if case.when is None:
                raise place.report.refuse(
                    Diagnostic("wrong-value", "`else` must be the last case", item.span.first_line())
                )
        return cases

    def read_case(self, node: Node, place: Place) -> Case:
        """One entry of the list."""
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase)
        for entry in node.entries:
            if entry.key.text not in {"when", "steps", "else"}:
                raise place.report.refuse(_unknown(entry.key, node))
        condition, steps, otherwise = node.get("when"), node.get("steps"), node.get("else")
        if otherwise is not None:
            if condition or steps:
                extra = (condition or steps).key.span  # type: ignore[union-attr]  # one of them is there
                message = "`else` stands alone: it has no `when` and no `steps`"
                helps = ("list the steps below `else:`",)
                raise place.report.refuse(Diagnostic("wrong-value", message, extra, helps=helps))
            return Case(None, place.context.read_steps(otherwise.value, place.inside("else")), node.span)
        if condition is None:
            help = "write `- when: payload.x > 1`, and `- else:` for the last"
            raise place.report.refuse(
                Diagnostic("missing-key", "a case needs `when`", node.span.first_line(), helps=(help,))
            )
        expression = ExpressionKind().read(condition.value, place.inside("when"))
        if steps is None:
            message, labels = "a case needs `steps`", (Label(condition.key.span, "this case"),)
            raise place.report.refuse(Diagnostic("missing-key", message, condition.key.span, labels=labels[:0]))
        return Case(expression, place.context.read_steps(steps.value, place.inside("steps")), node.span)


def _unknown(key: Scalar, node: Map) -> Diagnostic:
    message = f"a case of `switch` has no key `{key.text}`"
    help = "steps go below `steps:`" if node.get("when") else "a case is `when:` with `steps:`, or `else:`"
    return Diagnostic("unknown-key", message, key.span, helps=(help,))


@dataclass(frozen=True, slots=True)
class Handling:
    """What happens when a step fails: `drop`, `continue`, or steps.

    A dead letter is a list of one `publish`, which says why it was sent.
    """

    how: str
    steps: tuple[Any, ...] = ()
    is_dead_letter: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Called:
    """What is taken of a flow that another one calls: its steps, and the constants that they know."""

    name: str
    steps: tuple[Any, ...]
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FlowName(Kind[Called]):
    """The name of another flow."""

    phrase: str = "the name of a flow"

    def schema(self) -> dict[str, Any]:
        return Text().schema()

    def read(self, node: Node, place: Place) -> Called:
        called: Called = place.context.read_called(place.scalar(node, self.phrase))
        return called


@dataclass(frozen=True, slots=True)
class OnError(Kind[Handling]):
    """The value of `on_error`."""

    phrase: str = "`drop`, `continue`, a `publish` or a list of steps"

    def schema(self) -> dict[str, Any]:
        one = {"type": "object", "properties": {"publish": {"$ref": "#/definitions/publish"}}, "required": ["publish"]}
        return {"anyOf": [{"enum": ["drop", "continue"]}, one | {"additionalProperties": False}, STEPS]}

    def read(self, node: Node, place: Place) -> Handling:
        match node:
            case Scalar(text="drop" | "continue" as how):
                return Handling(how)
            case Map(entries=(only,)) if only.key.text == "publish":
                steps = place.context.read_steps(List(node.span, (node,)), place)
                return Handling("steps", tuple(_as_dead_letter(step) for step in steps), is_dead_letter=True)
            case List():
                return Handling("steps", place.context.read_steps(node, place))
        raise place.refuse(node, self.phrase)


def _as_dead_letter(step: Any) -> Any:
    """A publish that says in its properties why it was sent, unless it has some of its own."""
    if getattr(step, "properties", ...) is None:
        return replace(step, is_dead_letter=True)
    return step
