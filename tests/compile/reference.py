# ruff: noqa: ARG002 - every `run_...` gets the same, whether it needs it or not
"""Turns a flow, given as plain lists and maps, into what it should do: slowly, and in the simplest way that is right.

It knows nothing of the compiler. A step gets the message and a function that goes on behind it; whatever a step changes
is a deep copy; where a step fails, the nearest `on_error` around it says what happens.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

Message = dict[str, Any]  # its names, `payload` among them
Next = Callable[[Message], None]
Expression = tuple[Any, ...]


class Failed(Exception):
    """A step failed on a message."""


@dataclass(frozen=True)
class Guard:
    """What happens where a step fails: `drop`, `continue` (then `resume` is called), or steps.

    With `is_default` it is the `continue` of a flow, which every step has for itself.
    """

    how: Any = "drop"
    resume: Callable[[], None] = lambda: None
    is_default: bool = False


@dataclass
class Reference:
    """Runs a flow; `failed` and `handled` name the steps on which it failed."""

    flow: dict[str, Any]
    published: list[tuple[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    handled: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    arrived: Message = field(default_factory=dict)

    def run(self, message: Message) -> None:
        self.arrived = deepcopy(message)
        how = self.flow.get("on_error", "drop")
        self.steps(self.flow["steps"], deepcopy(message), Guard(how, is_default=how == "continue"), end)

    def steps(self, steps: list[Any], message: Message, guard: Guard, go_on: Next) -> None:
        if not steps:
            go_on(message)
            return
        first, *rest = steps
        self.step(first, message, guard, lambda changed: self.steps(rest, changed, guard, go_on))

    def step(self, step: dict[str, Any], message: Message, guard: Guard, go_on: Next) -> None:
        before = deepcopy(message)
        if "on_error" in step:
            guard = Guard(step["on_error"], lambda: go_on(deepcopy(before)))
        elif guard.is_default:
            guard = Guard("continue", lambda: go_on(deepcopy(before)), is_default=True)
        key = next(key for key in step if key not in {"id", "when", "on_error"})
        try:
            if "when" in step and not evaluate(step["when"], message):
                go_on(message)
                return
        except Failed:
            self.fail(step, guard)
            return
        run: Callable[..., None] = getattr(self, f"run_{key}")
        run(step, step[key], message, guard, go_on)

    def fail(self, step: dict[str, Any], guard: Guard) -> None:
        if guard.how == "drop":
            self.failed.append(step["id"])
            return
        self.handled.append(step["id"])
        if guard.how == "continue":
            guard.resume()
            return
        steps = guard.how if isinstance(guard.how, list) else [guard.how]
        self.steps(steps, {**deepcopy(self.arrived), "error.step": step["id"]}, Guard(), end)

    def change(
        self, step: dict[str, Any], message: Message, guard: Guard, go_on: Next, work: Callable[[Message], None]
    ) -> None:
        """A simple step: its work is done on a copy, and all or nothing."""
        changed = deepcopy(message)
        try:
            work(changed)
        except Failed:
            self.fail(step, guard)
            return
        go_on(changed)

    def run_json(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            if not isinstance(changed["payload"], bytes):
                raise Failed
            try:
                changed["payload"] = json.loads(changed["payload"])
            except ValueError:
                raise Failed from None

        self.change(step, message, guard, go_on, work)

    def run_encode(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            changed["payload"] = to_json(changed["payload"])

        self.change(step, message, guard, go_on, work)

    def run_map(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            changed["payload"] = evaluate(value, message)

        self.change(step, message, guard, go_on, work)

    def run_let(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            for name, expression in value.items():
                changed[name] = evaluate(expression, message)

        self.change(step, message, guard, go_on, work)

    def run_set(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            if not isinstance(changed["payload"], dict):
                raise Failed
            for path, expression in value.items():
                put(changed["payload"], path, evaluate(expression, message))

        self.change(step, message, guard, go_on, work)

    def run_remove(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        def work(changed: Message) -> None:
            if not isinstance(changed["payload"], dict):
                raise Failed
            for path in value:
                *parents, last = path.split(".")
                inner: Any = changed["payload"]
                for parent in parents:
                    inner = inner.get(parent) if isinstance(inner, dict) else None
                if isinstance(inner, dict):
                    inner.pop(last, None)

        self.change(step, message, guard, go_on, work)

    def run_publish(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        try:
            topic = "".join(
                part if isinstance(part, str) else as_text(evaluate(part, message)) for part in value["topic"]
            )
            payload = evaluate(value["payload"], message) if "payload" in value else message["payload"]
            sent = payload if isinstance(payload, bytes) else b"" if payload is None else to_json(payload)
        except Failed:
            self.fail(step, guard)
            return
        self.published.append((topic, json.loads(sent) if sent else None))
        go_on(message)

    def run_stop(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        self.stopped.append(value)

    def run_filter(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        try:
            is_kept = evaluate(value["if"], message)
        except Failed:
            self.fail(step, guard)
            return
        if is_kept:
            go_on(message)
        else:
            self.steps(value.get("else", []), message, guard, end)

    def run_switch(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        self.case(step, value, 0, message, guard, go_on)

    def case(self, step: Any, value: Any, index: int, message: Message, guard: Guard, go_on: Next) -> None:
        if index == len(value["cases"]):
            go_on(message)
            return
        case = value["cases"][index]
        try:
            is_taken = "else" in case or evaluate(case["when"], message)
        except Failed:
            self.fail(step, guard)
            return

        def following(changed: Message) -> None:
            self.case(step, value, index + 1, changed, guard, go_on)

        if not is_taken:
            following(message)
            return
        behind = following if value["match"] == "all" else go_on
        self.steps(case.get("else", case.get("steps")), message, guard, behind)

    def run_fork(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        is_kept = guard.is_default or guard.how not in {"drop", "continue"} if isinstance(guard.how, str) else True
        apart = guard if is_kept else Guard()
        for branch in value:
            self.steps(branch, deepcopy(message), replace(apart, resume=lambda: None), end)
        go_on(message)

    def run_split(self, step: Any, value: Any, message: Message, guard: Guard, go_on: Next) -> None:
        try:
            items = items_of(evaluate(value, message))
        except Failed:
            self.fail(step, guard)
            return
        for index, item in enumerate(items):
            go_on({**deepcopy(message), "payload": deepcopy(item), "index": index, "count": len(items)})


def end(message: Message) -> None:
    """Nothing follows."""


def items_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    raise Failed


def put(payload: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        if payload.get(parent) is None:
            payload[parent] = {}
        payload = payload[parent]
        if not isinstance(payload, dict):
            raise Failed
    payload[last] = value


def to_json(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except TypeError:
        raise Failed from None


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.decode() if isinstance(value, bytes) else to_json(value).decode()


def evaluate(expression: Expression, names: Message) -> Any:
    """The value of an expression in the form of tests: `("+", one, other)`. Raises Failed."""
    sign, *parts = expression
    try:
        match sign:
            case "constant":
                return parts[0]
            case "name":
                return names[parts[0]]
            case "field":
                value = evaluate(parts[0], names)
                if not isinstance(value, dict):
                    raise Failed
                return value[parts[1]]
        one = evaluate(parts[0], names)
        if sign == "and" and not one:
            return one
        other = evaluate(parts[1], names)
        match sign:
            case "+":
                return one + other
            case "//":
                return one // other
            case ">":
                return one > other
            case "==":
                return one == other
            case "and":
                return other
    except (TypeError, KeyError, ZeroDivisionError):
        raise Failed from None
    raise ValueError(sign)


def written(expression: Expression) -> str:
    """The same expression as a user writes it."""
    sign, *parts = expression
    match sign:
        case "constant":
            return json.dumps(parts[0])
        case "name":
            return str(parts[0])
        case "field":
            return f"{written(parts[0])}.{parts[1]}"
    return f"({written(parts[0])} {sign} {written(parts[1])})"
