"""Turns an expression into a value that is the same for all its spellings: blanks, brackets and quotes do not count."""

import ast
from collections.abc import Hashable
from functools import cache
from typing import Any

from flowrunner.expressions.model import Expression, Template

#: What says how a node is meant to be used, not what it means.
_SILENT = {"ctx", "kind", "type_comment"}


def form_of(part: Expression | Template) -> Hashable:
    """Equal for two expressions or templates that Python would compile to the same."""
    if isinstance(part, Expression):
        return _form(part.tree)
    return tuple(
        piece if isinstance(piece, str) else (_form(piece.expression.tree), piece.spec) for piece in part.parts
    )


def _form(value: Any) -> Hashable:
    if isinstance(value, ast.Name):
        return value.id
    if isinstance(value, ast.Constant):
        return type(value.value).__name__, repr(value.value)
    if isinstance(value, ast.AST):
        return type(value).__name__, *[_form(getattr(value, name, None)) for name in _fields(type(value).__name__)]
    if isinstance(value, list):
        return tuple(_form(item) for item in value)
    return repr(value)


@cache
def _fields(kind: str) -> tuple[str, ...]:
    fields: tuple[str, ...] = getattr(ast, kind)._fields
    return tuple(name for name in fields if name not in _SILENT)
