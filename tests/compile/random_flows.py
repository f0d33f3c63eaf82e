# ruff: noqa: ARG002 - what draws a step always gets the same, whether it needs it or not
"""Turns chance into flows and messages, for a comparison of the compiled flow with `reference`."""

import json
from itertools import count
from random import Random
from typing import Any

from tests.compile.reference import Expression, written

NAMES = ("x", "y", "index", "count")
PAYLOAD: Expression = ("name", "payload")
SIMPLE = [*["publish"] * 5, *["set", "let"] * 2, "map", "remove", "json", "encode", "stop", "split"]
COMPOUND = ["filter", "switch", "fork", "split"]


def random_payload(chance: Random) -> Any:
    """A map in which any of the fields that the flows know may be missing, or of another kind."""
    if chance.random() < 0.1:
        return [chance.randint(0, 2) for _ in range(chance.randint(0, 2))]
    inner = {key: chance.choice([0, 1, 3, None]) for key in "ab" if chance.random() < 0.85}
    items = [chance.choice([0, 1, 3, {"a": 1}, {"a": 2, "l": [1]}]) for _ in range(chance.randint(0, 3))]
    payload = {"a": chance.randint(-2, 3), "b": chance.choice([-1, 0, 2, None]), "m": inner, "l": items}
    if chance.random() < 0.2:
        payload["m"] = 1
    return {key: value for key, value in payload.items() if chance.random() < 0.85}


class Drawing:
    """Draws one flow; every step has an id of its own."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.ids = count(1)

    def flow(self, *, is_parsed: bool) -> dict[str, Any]:
        """A flow in the form of `reference`; all its names are set at the beginning, so that they are known everywhere.

        Where the payload needs no parsing, one of the names holds a constant that all runs share.
        """
        known: dict[str, Expression] = {name: ("constant", number) for number, name in enumerate(NAMES)}
        if not is_parsed:
            known["x"] = ("name", "shared")
        begin: list[dict[str, Any]] = [{"id": "names", "let": known, "on_error": "drop"}]
        if is_parsed:
            begin.append({"id": "parse", "json": None, "on_error": "drop"})
        flow: dict[str, Any] = {"steps": [*begin, *self.steps(3, least=3)]}
        if self.is_so(0.5):
            flow["on_error"] = self.handling(1)
        return flow

    def is_so(self, probability: float) -> bool:
        return self.chance.random() < probability

    def steps(self, depth: int, *, least: int = 0, in_handler: bool = False) -> list[Any]:
        size = self.chance.randint(least, 4 if depth else 3)
        return [self.step(depth, in_handler=in_handler) for _ in range(size)]

    def step(self, depth: int, *, in_handler: bool = False) -> dict[str, Any]:
        key = self.chance.choice([*SIMPLE, *COMPOUND * 3] if depth else SIMPLE)
        step: dict[str, Any] = {"id": f"s{next(self.ids)}"}
        step[key] = getattr(self, key)(depth - 1, in_handler=in_handler)
        if self.is_so(0.8 if key in {"stop", "encode", "json"} else 0.15):
            step["when"] = self.expression(in_handler=in_handler)
        if self.is_so(0.3):
            step["on_error"] = self.handling(depth)
        return step

    def handling(self, depth: int) -> Any:
        how = self.chance.choice(["drop", "continue", "continue", "publish", "steps", "steps"])
        if how == "publish":
            return {"id": f"s{next(self.ids)}", "publish": {"topic": ["failed/", ("name", "error.step")]}}
        if how != "steps":
            return how
        report = {"id": f"s{next(self.ids)}", "publish": {"topic": ["handled/", ("name", "error.step")]}}
        if self.is_so(0.5):
            return [report]
        parse = {"id": f"s{next(self.ids)}", "json": None}
        return [parse, *self.steps(min(depth, 1), in_handler=True), report]

    def expression(self, *, in_handler: bool = False) -> Expression:
        if self.is_so(0.5):
            return self.simple_expression(in_handler=in_handler)
        signs = ["+", "//", ">", "==", "and"]
        sides = [self.simple_expression(in_handler=in_handler) for _ in range(2)]
        return (self.chance.choice(signs), *sides)

    def simple_expression(self, *, in_handler: bool) -> Expression:
        some: list[Expression] = [
            ("constant", self.chance.randint(0, 3)),
            ("constant", 1),
            ("field", PAYLOAD, self.chance.choice("aaabbz")),
            ("field", ("field", PAYLOAD, "m"), "a"),
            ("field", PAYLOAD, "l"),
            PAYLOAD,
        ]
        if not in_handler:
            some += [("name", self.chance.choice(NAMES))] * 2
        return self.chance.choice(some)

    def publish(self, depth: int, *, in_handler: bool) -> Any:
        topic: list[Any] = [f"out/{next(self.ids)}"]
        if self.is_so(0.5):
            topic += ["/", self.expression(in_handler=in_handler)]
        return {"topic": topic} | ({"payload": self.expression(in_handler=in_handler)} if self.is_so(0.3) else {})

    def set(self, depth: int, *, in_handler: bool) -> Any:
        paths = self.chance.sample(["a", "b", "m.a", "m.b.c", "n"], self.chance.randint(1, 2))
        return {path: self.expression(in_handler=in_handler) for path in paths}

    def let(self, depth: int, *, in_handler: bool) -> Any:
        names = self.chance.sample(NAMES, self.chance.randint(1, 2))
        return {name: self.expression(in_handler=in_handler) for name in names}

    def map(self, depth: int, *, in_handler: bool) -> Any:
        return self.expression(in_handler=in_handler)

    def remove(self, depth: int, *, in_handler: bool) -> Any:
        return self.chance.sample(["a", "m.a", "m.b"], self.chance.randint(1, 2))

    def json(self, depth: int, *, in_handler: bool) -> Any:
        return None

    def encode(self, depth: int, *, in_handler: bool) -> Any:
        return "json"

    def stop(self, depth: int, *, in_handler: bool) -> Any:
        return f"reason {next(self.ids)}"

    def split(self, depth: int, *, in_handler: bool) -> Any:
        return ("field", PAYLOAD, "l") if self.is_so(0.7) else self.expression(in_handler=in_handler)

    def filter(self, depth: int, *, in_handler: bool) -> Any:
        kept = {"if": self.expression(in_handler=in_handler)}
        return kept | ({"else": self.steps(depth, in_handler=in_handler)} if self.is_so(0.5) else {})

    def switch(self, depth: int, *, in_handler: bool) -> Any:
        cases: list[dict[str, Any]] = []
        for _ in range(self.chance.randint(1, 3)):
            when = self.expression(in_handler=in_handler)
            cases.append({"when": when, "steps": self.steps(depth, in_handler=in_handler)})
        if self.is_so(0.4):
            return {"match": "all", "cases": cases}
        if self.is_so(0.5):
            cases.append({"else": self.steps(depth, in_handler=in_handler)})
        return {"match": "first", "cases": cases}

    def fork(self, depth: int, *, in_handler: bool) -> Any:
        return [self.steps(depth, in_handler=in_handler) for _ in range(self.chance.randint(1, 3))]


def yaml_of(flow: dict[str, Any], source: dict[str, Any]) -> str:
    """The flow file: JSON is YAML too."""
    on_error = {"on_error": handling_of(flow["on_error"])} if "on_error" in flow else {}
    return json.dumps({**source, **on_error, "steps": steps_of(flow["steps"])}, indent=1)


def steps_of(steps: list[Any]) -> list[Any]:
    return [step_of(step) for step in steps]


def step_of(step: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in step.items():
        match key:
            case "id" | "json" | "encode" | "stop" | "remove":
                found[key] = value
            case "when" | "map" | "split":
                found[key] = written(value)
            case "on_error":
                found[key] = handling_of(value)
            case "set" | "let":
                found[key] = {name: "${" + written(inner) + "}" for name, inner in value.items()}
            case "publish":
                found[key] = publish_of(value)
            case "filter":
                otherwise = {"else": steps_of(value["else"])} if "else" in value else {}
                found[key] = {"if": written(value["if"]), **otherwise}
            case "switch":
                found[key] = {**value, "cases": [case_of(case) for case in value["cases"]]}
            case "fork":
                found[key] = [steps_of(branch) for branch in value]
    return found


def publish_of(value: dict[str, Any]) -> dict[str, Any]:
    topic = "".join(part if isinstance(part, str) else "${" + written(part) + "}" for part in value["topic"])
    payload = {"payload": "${" + written(value["payload"]) + "}"} if "payload" in value else {}
    return {"topic": topic, **payload}


def case_of(case: dict[str, Any]) -> dict[str, Any]:
    if "else" in case:
        return {"else": steps_of(case["else"])}
    return {"when": written(case["when"]), "steps": steps_of(case["steps"])}


def handling_of(handling: Any) -> Any:
    if isinstance(handling, dict):
        return {"publish": publish_of(handling["publish"])}
    return steps_of(handling) if isinstance(handling, list) else handling
