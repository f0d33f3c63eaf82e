"""Turns lists of steps inside a step into checked steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.expressions import Expression
from flowrunner.options.computed import ExpressionKind
from flowrunner.options.kind import Kind, Place
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.text import Span

STEPS = {"$ref": "#/definitions/steps"}


@dataclass(frozen=True)
class Steps(Kind[tuple[Any, ...]]):
    """A list of steps."""

    phrase: str = "a list of steps"

    def schema(self) -> dict[str, Any]:
        return STEPS

    def read(self, node: Node, place: Place) -> tuple[Any, ...]:
        return place.context.read_steps(node, place)


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    """What happens when a step fails: `drop`, `continue`, or steps (a publish is a list of one)."""

    how: str
    steps: tuple[Any, ...] = ()


@dataclass(frozen=True)
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
                return Handling("steps", place.context.read_steps(List(node.span, (node,)), place))
            case List():
                return Handling("steps", place.context.read_steps(node, place))
        raise place.refuse(node, self.phrase)
