"""Turns YAML values that may hold `${...}` anywhere inside into what computes them."""

import ast
from collections.abc import Callable, Iterator
from typing import Any

from flowrunner.expressions import Kind, Scope, Template, kind_of, lower
from flowrunner.records import dataclass
from flowrunner.text import Span


@dataclass(frozen=True, slots=True)
class Constant:
    """A value without `${}`: a number, bool, null, text, list or map."""

    value: Any
    span: Span


@dataclass(frozen=True, slots=True)
class Fields:
    """A map in which at least one value holds `${}`."""

    entries: tuple[tuple[str, "Value"], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Items:
    """A list in which at least one item holds `${}`."""

    items: tuple["Value", ...]
    span: Span


Value = Constant | Template | Fields | Items


def templates_of(value: Value) -> Iterator[Template]:
    """Every template inside a value, in the order of the file."""
    match value:
        case Template():
            yield value
        case Fields(entries):
            for _, inner in entries:
                yield from templates_of(inner)
        case Items(items):
            for inner in items:
                yield from templates_of(inner)


def value_kind(value: Value, scope: Scope) -> Kind:
    """What a value will be: `text`, `data` (no bytes inside), `bytes` or `any`."""
    match value:
        case Template():
            return kind_of(value, scope)
        case Constant(str()):
            return "text"
        case Constant():
            return "data"
    kinds = {kind_of(template, scope) for template in templates_of(value)}
    return "data" if kinds <= {"text", "data"} else "any"


def lower_value(value: Value, scope: Scope, constant: Callable[[Any], ast.expr]) -> ast.expr:
    """What computes a value: displays around the templates; what is constant is shared, not built anew."""
    match value:
        case Template():
            return lower(value, scope)
        case Constant():
            return constant(value.value)
        case Fields(entries):
            keys: list[ast.expr | None] = [constant(key) for key, _ in entries]
            return _placed(ast.Dict(keys, [lower_value(inner, scope, constant) for _, inner in entries]), constant)
        case Items(items):
            inside = [lower_value(inner, scope, constant) for inner in items]
            return _placed(ast.List(inside, ast.Load()), constant)


def _placed(node: ast.expr, constant: Callable[[Any], ast.expr]) -> ast.expr:
    return ast.copy_location(node, constant(None))
