"""Turns a random flow on which a test fails into the smallest one on which it still does."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

Path = list[str | int]


def smallest(flow: dict[str, Any], fails: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Leave out steps, keys and branches as long as it fails; the first two steps stay."""
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in smaller(flow):
            if fails(candidate):
                flow, is_smaller = candidate, True
                break
    return flow


def smaller(flow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The flow with one thing less: without its `on_error`, a step or a key; or with a branch in place of its step."""
    if "on_error" in flow:
        yield {key: value for key, value in flow.items() if key != "on_error"}
    for path in list(paths(flow["steps"], [])):
        *way, last = path
        changed = deepcopy(flow)
        place = at(changed["steps"], way)
        inner = list(branches(place[last])) if isinstance(last, int) and isinstance(place[last], dict) else []
        del place[last]
        yield changed
        for branch in inner:
            hoisted = deepcopy(flow)
            at(hoisted["steps"], way)[last : last + 1] = deepcopy(branch)  # type: ignore[operator]  # an index
            yield hoisted


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def paths(value: Any, path: Path) -> Iterator[Path]:
    """The paths of everything that can be left out, the large ones first."""
    if isinstance(value, list):
        for index in range(2 if not path else 0, len(value)):
            yield [*path, index]
        for index, inner in enumerate(value):
            yield from paths(inner, [*path, index])
    elif isinstance(value, dict):
        is_step = "id" in value
        for key, inner in value.items():
            if key in {"on_error", "payload"} or (key == "when" and is_step) or (key == "else" and "if" in value):
                yield [*path, key]
            if key not in {"topic", "remove"}:
                yield from paths(inner, [*path, key])


def branches(step: dict[str, Any]) -> Iterator[list[Any]]:
    """The lists of steps inside a step."""
    yield from step.get("fork", ())
    yield step.get("filter", {}).get("else", [])
    for case in step.get("switch", {}).get("cases", ()):
        yield case.get("steps", case.get("else"))
