"""Turns the names of fields into reads and changes of maps; what is changed is always a new map."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from flowrunner.diagnostics import name_list, suggest
from flowrunner.errors import StepError

_MISSING = object()
_LOOKED_AT = 100
_LONGEST_NAME = 40


def get_field(payload: Any, path: Sequence[str]) -> Any:
    """The value of a field. Raises StepError where it, or a map on the way, is missing."""
    value = payload
    for depth, key in enumerate(path):
        if type(value) is not dict:
            raise need_map(value, ".".join(path[:depth]))
        if key not in value:
            raise missing_field(path[: depth + 1], value)
        value = value[key]
    return value


def find_field(payload: Any, path: Sequence[str], default: Any = None) -> Any:
    """The value of a field, or `default` where it is missing."""
    value = payload
    for key in path:
        if type(value) is not dict or (value := value.get(key, _MISSING)) is _MISSING:
            return default
    return value


def set_field(payload: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """The map with a field set; missing maps on the way are made. Raises StepError where something is in the way."""
    if type(payload) is not dict:
        raise need_map(payload)
    if len(path) == 1:
        return {**payload, path[0]: value}
    inner = payload.get(path[0], _MISSING)
    if inner is _MISSING or inner is None:
        inner = {}
    elif type(inner) is not dict:
        raise need_map(inner, path[0])
    return {**payload, path[0]: set_field(inner, path[1:], value)}


def set_fields(payload: Any, paths: Sequence[Sequence[str]], values: Sequence[Any]) -> Any:
    """The map with several fields set, one after the other. Raises StepError as `set_field` does."""
    for path, value in zip(paths, values, strict=True):
        payload = set_field(payload, path, value)
    return payload


def remove_field(payload: Any, path: Sequence[str]) -> Any:
    """The map without a field; the same map where the field is missing."""
    if type(payload) is not dict or path[0] not in payload:
        return payload
    if len(path) == 1:
        return {key: value for key, value in payload.items() if key != path[0]}
    inner = payload[path[0]]
    return {**payload, path[0]: remove_field(inner, path[1:])} if type(inner) is dict else payload


def check_map(payload: Any) -> None:
    """Raise StepError unless the payload is a map."""
    if type(payload) is not dict:
        raise need_map(payload)


def need_map(value: Any, name: str = "") -> StepError:
    """The error for a value that has no fields."""
    subject = f"`{name}`" if name else "the payload"
    help = "put `- json` before this step" if isinstance(value, bytes) or looks_like_json(value) else ""
    return StepError(f"{subject} is {name_kind(value)}, not a map with fields", code="not-a-map", help=help)


def looks_like_json(value: Any) -> bool:
    """Whether a text is probably a JSON map that nobody parsed."""
    return isinstance(value, str) and value.lstrip().startswith("{")


def missing_field(path: Sequence[str], values: Mapping[str, Any]) -> StepError:
    """The error for a field that is not there, with those that are."""
    owner = f"`{'.'.join(path[:-1])}`" if len(path) > 1 else "the payload"
    names = few_names(values)
    near = suggest(path[-1], names)
    has = f"{owner} has {name_list(names)}" if names else "" if values else f"{owner} is an empty map"
    help = f"did you mean `{near}`? {has}" if near else has
    return StepError(f"{owner} has no field `{path[-1]}`", code="missing-field", help=help)


def few_names(values: Mapping[str, Any]) -> list[str]:
    """Names out of a map that may hold any number of any length: what an error can look at and show."""
    return [key for key in islice(values, _LOOKED_AT) if isinstance(key, str) and len(key) <= _LONGEST_NAME]


def name_kind(value: Any) -> str:
    """What a value is, in words: `a text`, `a list`, `bytes`."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case bytes():
            return "still bytes"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a map"
    return "no plain value"
