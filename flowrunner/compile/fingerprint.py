"""Turns a flow into a text that stays the same as long as the flow does the same."""

import ast
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import blake2b
from itertools import count
from pathlib import PurePath
from typing import Any

from flowrunner.expressions import Expression, Template
from flowrunner.expressions.form import form_of
from flowrunner.options.nested import Called
from flowrunner.read.flow import Flow
from flowrunner.step import Step, trees_of, walk
from flowrunner.text import Source, Span

_unknown = count(1)


def fingerprint(flow: Flow) -> str:
    """A short text, equal for two versions of a flow that do the same with the same messages.

    Comments, description, tests, quotes, blanks in expressions and the order of options do not count. What an option
    holds of other files does. The order of keys in a map of the user's does: it is seen in what is published.
    """
    does = (flow.name, flow.is_enabled, flow.sources, flow.queue, flow.publish_only, flow.on_error, flow.steps)
    return digest((form(does), form(given_to(flow))))


def digest(form: Hashable) -> str:
    """A form as a short text."""
    return blake2b(repr(form).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def given_to(flow: Flow) -> dict[str, Any]:
    """The constants that a flow uses, and what it reads of the environment."""
    parts = list(parts_in([*flow.steps, *flow.on_error.steps]))
    found = used_of(flow.constants, parts)
    if any("env" in part.names for part in parts):
        used = env_names(parts)
        found["env"] = {name: flow.env[name] for name in sorted(flow.env) if used is None or name in used}
    return found


def used_of(constants: Mapping[str, Any], parts: Iterable[Expression | Template]) -> dict[str, Any]:
    """Those constants that an expression or template names."""
    names = frozenset[str]().union(*(part.names for part in parts))
    return {name: constants[name] for name in sorted(constants) if name in names}


def parts_in(steps: Sequence[Step]) -> Iterator[Expression | Template]:
    """Every expression and template of steps."""
    for step in walk(steps):
        yield from step.parts()
        if step.at.when is not None:
            yield step.at.when


def env_names(parts: Sequence[Expression | Template]) -> frozenset[str] | None:
    """The variables that are read as `env.NAME`; None if `env` is used in any other way."""
    names: set[str] = set()
    for part in parts:
        nodes = [node for tree in trees_of(part) for node in ast.walk(tree)]
        read = [node for node in nodes if isinstance(node, ast.Attribute) and is_env(node.value)]
        if len(read) < sum(is_env(node) for node in nodes):
            return None
        names |= {node.attr for node in read}
    return frozenset(names)


def is_env(node: ast.AST) -> bool:
    """Whether an expression is the name `env`."""
    return isinstance(node, ast.Name) and node.id == "env"


def form(value: Any) -> Hashable:
    """A value as nested tuples without places in files. What is of no known kind equals nothing, not even itself."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case Expression() | Template():
            return form_of(value)
        case Step():
            at = value.at
            options = tuple((option.name, form(getattr(value, option.field))) for option in value.options())
            return (value.KEY, at.id, form(at.when), form(at.on_error), options)
        case Called():
            used = used_of(value.constants, parts_in(value.steps))
            return (value.name, form(value.steps), form(used))
        case Mapping():
            return ("{}", *((form(key), form(inner)) for key, inner in value.items()))
        case list() | tuple():
            return tuple(form(inner) for inner in value)
        case AbstractSet():
            return tuple(sorted((form(inner) for inner in value), key=repr))
        case PurePath():
            return value.as_posix()
    return form_of_object(value)


def form_of_object(value: Any) -> Hashable:
    """The fields of a dataclass, the text of a regular expression, the name of a function or class."""
    kind = type(value)
    if is_dataclass(kind):
        inner = (getattr(value, name) for name in compared_fields(kind))
        return (kind.__qualname__, *(form(one) for one in inner if not isinstance(one, Span | Source)))
    if isinstance(text := getattr(value, "text", None), str):
        return (kind.__qualname__, text)
    if name := getattr(value, "__qualname__", ""):
        return (value.__module__, name)
    return ("?", next(_unknown))


@cache
def compared_fields(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass that count when two of it are compared."""
    return tuple(field.name for field in fields(kind) if field.compare)
