"""Turns the text of an expression into a checked tree whose positions are those of the YAML file."""

import ast
import warnings
from collections.abc import Collection

from flowrunner.expressions.allowed import check_tree
from flowrunner.expressions.limits import MAX_BRACKETS, MAX_DEPTH, MAX_SOURCE
from flowrunner.expressions.model import Expression, ExpressionError, refuse
from flowrunner.expressions.names import free_names
from flowrunner.expressions.places import move_to_source
from flowrunner.expressions.syntax import check_brackets, check_commas, check_texts, explain_syntax
from flowrunner.expressions.tokens import Token, continues_name, name_end, read_tokens
from flowrunner.expressions.words import refuse_foreign
from flowrunner.text import Passage, Source


def parse_expression(passage: Passage, *, functions: Collection[str] = ()) -> Expression:
    """Understand an expression; raises ExpressionError with everything that is wrong with it.

    `functions` are names that may be called here besides the listed ones (with any values).
    """
    tokens = _tokens(passage)
    tree = _tree(passage, tokens)
    problems = check_tree(tree, passage.source, frozenset(functions))
    if problems:
        raise ExpressionError(sorted(problems, key=lambda problem: problem.sort_key))
    return Expression(passage, tree, free_names(tree), frozenset(functions))


def _tokens(passage: Passage) -> list[Token]:
    if len(passage.text) > MAX_SOURCE:
        raise refuse(passage.span(0, 1), f"an expression has at most {MAX_SOURCE} characters")
    tokens = read_tokens(passage)
    if not tokens:
        raise refuse(passage.span(), "expected an expression", label="there is nothing here")
    refuse_foreign(tokens, passage)
    check_brackets(tokens, passage, most=MAX_BRACKETS)
    check_commas(tokens, passage)
    check_texts(tokens, passage)
    return tokens


def _tree(passage: Passage, tokens: list[Token]) -> ast.expr:
    wrapped = f"({passage.text}\n)"
    try:
        with warnings.catch_warnings():
            # `"\d"` is what people write in a regular expression, and it means what they mean
            warnings.simplefilter("ignore")
            tree = ast.parse(wrapped, mode="eval").body
    except (RecursionError, MemoryError):
        raise _too_deep(passage) from None
    except (SyntaxError, ValueError, OverflowError):
        raise ExpressionError([explain_syntax(tokens, passage)]) from None
    if _depth(tree) > MAX_DEPTH:
        raise _too_deep(passage)
    source = Source("", wrapped)
    _keep_field_names(tree, source)
    move_to_source(tree, source, passage, 1)
    return tree


def _too_deep(passage: Passage) -> ExpressionError:
    return refuse(passage.span(), "this expression is nested too deeply", help="name a part of it with `let`")


def _depth(tree: ast.expr) -> int:
    level, depth = list[ast.AST]([tree]), 0
    while level and depth <= MAX_DEPTH:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _keep_field_names(tree: ast.expr, wrapped: Source) -> None:
    """Python normalises names (`µ` becomes `μ`); the name of a field is what the user typed."""
    text = wrapped.text
    if text.isascii():
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            start = end = wrapped.offset_of_bytes(line=node.end_lineno or 1, byte_column=node.end_col_offset or 0)
            while continues_name(text[start - 1]):
                start -= 1
            node.attr = text[start:end]
        elif isinstance(node, ast.keyword) and node.arg is not None:
            start = wrapped.offset_of_bytes(line=node.lineno, byte_column=node.col_offset)
            node.arg = text[start : name_end(text, start)]
