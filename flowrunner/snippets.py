"""Turns snippets of Python with holes into statements whose positions are those of the YAML file."""

import ast
from collections.abc import Mapping, Sequence
from functools import lru_cache
from textwrap import dedent
from typing import Any, TypeVar

from flowrunner.text import Span

Hole = ast.expr | str | Sequence[ast.stmt]
"""What is put into a snippet: an expression, a name, or statements."""

Node = TypeVar("Node", bound=ast.AST)


@lru_cache(maxsize=64)  # most snippets of a step stand at its key
def positions(span: Span) -> Mapping[str, int]:
    """The place of a span as Python's `ast` writes it: lines from 1, columns from 0 in UTF-8 bytes."""
    source = span.source
    return {
        "lineno": span.line,
        "col_offset": source.byte_column_of(span.start),
        "end_lineno": span.end_line,
        "end_col_offset": source.byte_column_of(span.end),
    }


def place(node: Node, span: Span) -> Node:
    """Give one AST node (not what is inside it) the place of a span."""
    node.__dict__.update(positions(span))
    return node


def fill_statements(source: str, span: Span, holes: Mapping[str, Hole]) -> list[ast.stmt]:
    """The statements of a snippet with its holes filled, all of its own nodes at the place of the span."""
    return _fill_list(_parsed(source), holes, positions(span))


def fill_expression(source: str, span: Span, holes: Mapping[str, Hole]) -> ast.expr:
    """The same for a snippet that is one expression."""
    (statement,) = fill_statements(source, span, holes)
    assert isinstance(statement, ast.Expr)
    return statement.value


@lru_cache(maxsize=512)
def _parsed(source: str) -> list[ast.stmt]:
    return ast.parse(dedent(source)).body


def _fill_list(nodes: list[Any], holes: Mapping[str, Hole], at: Mapping[str, int]) -> list[Any]:
    filled: list[Any] = []
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Name(id=name)) if isinstance(block := holes.get(name), Sequence) and name in holes:
                if isinstance(block, str):
                    filled.append(_fill(node, holes, at))
                else:
                    filled += block
            case _:
                filled.append(_fill(node, holes, at))
    return filled


def _fill(node: Any, holes: Mapping[str, Hole], at: Mapping[str, int]) -> Any:
    if isinstance(node, ast.Name) and node.id in holes:
        hole = holes[node.id]
        return ast.Name(hole, node.ctx, **at) if isinstance(hole, str) else hole
    if not isinstance(node, ast.AST):
        return node
    fields: dict[str, Any] = {}
    for name in node._fields:
        value = getattr(node, name, None)
        fields[name] = _fill_list(value, holes, at) if type(value) is list else _fill(value, holes, at)
    return type(node)(
        **fields, **(at if isinstance(node, ast.expr | ast.stmt | ast.excepthandler | ast.arg | ast.keyword) else {})
    )
