"""Turns positions in the text of an expression into positions in the YAML file, and those into spans."""

import ast
from collections.abc import Iterator
from itertools import chain

from flowrunner.expressions.model import Expression, Template
from flowrunner.text import Passage, Source, Span

_LINE_ENDS = {"\n", "\r"}

Position = tuple[int, int, int, int]
"""Line and end line (from 1), byte column and end byte column (from 0): the order of `code.co_positions()`."""


def move_to_source(tree: ast.expr, wrapped: Source, passage: Passage, lead: int) -> None:
    """Give every node of `tree`, parsed from `wrapped`, its place in the source of the passage.

    `wrapped` is the text of the passage behind `lead` other characters.
    """
    if isinstance(passage.starts, range) and passage.text.isascii() and not _LINE_ENDS & set(passage.text):
        _shift(tree, passage, lead)
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword):
            start = wrapped.offset_of_bytes(line=node.lineno, byte_column=node.col_offset) - lead
            end_column = node.end_col_offset or 0
            end = wrapped.offset_of_bytes(line=node.end_lineno or node.lineno, byte_column=end_column) - lead
            place(node, passage.span(start, end))


def _shift(tree: ast.expr, passage: Passage, lead: int) -> None:
    # what stands in one line of the file as it is meant needs no look at each character
    source, start = passage.source, passage.span().start
    line, shift = source.line_of(start), source.byte_column_of(start) - lead
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.keyword):
            node.lineno = node.end_lineno = line
            node.col_offset += shift
            node.end_col_offset = (node.end_col_offset or 0) + shift


def place(node: ast.expr | ast.keyword, span: Span) -> None:
    """Give a node the position of a span."""
    source = span.source
    node.lineno, node.col_offset = span.line, source.byte_column_of(span.start)
    node.end_lineno, node.end_col_offset = span.end_line, source.byte_column_of(span.end)


def span_of(node: ast.expr | ast.keyword, source: Source) -> Span:
    """The span in the YAML file of a node whose positions are those of the file."""
    start = source.offset_of_bytes(line=node.lineno, byte_column=node.col_offset)
    end = source.offset_of_bytes(line=node.end_lineno or node.lineno, byte_column=node.end_col_offset or 0)
    return source.span(start, end)


def position_of(node: ast.expr | ast.keyword) -> Position:
    """The position of a node as compiled code reports it."""
    return node.lineno, node.end_lineno or node.lineno, node.col_offset, node.end_col_offset or 0


def node_at(part: Expression | Template, position: Position) -> ast.expr | None:
    """The node, as the user wrote it, that stands at a position of compiled code.

    Of several that stand exactly there it is the outermost; where none does, the smallest around the place (Python
    gives the last line only of a method call over several lines).
    """
    nodes = [node for node in _nodes(part) if isinstance(node, ast.expr)]
    start, end = (position[0], position[2]), (position[1], position[3])
    around = None
    for node in nodes:
        line, end_line, column, end_column = found = position_of(node)
        if found == position:
            return node
        if (line, column) <= start and end <= (end_line, end_column):
            around = node  # outer nodes come first
    return around


def _nodes(part: Expression | Template) -> Iterator[ast.AST]:
    if isinstance(part, Expression):
        return ast.walk(part.tree)
    return chain.from_iterable(ast.walk(hole.expression.tree) for hole in part.holes)
