"""Turns an expression and the names that are there into what is wrong with it at that place."""

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.misuse import find_misuse
from flowrunner.expressions.model import Expression, Scope, Template, fault
from flowrunner.expressions.names import free_name_nodes
from flowrunner.expressions.places import span_of
from flowrunner.expressions.words import NAMES

_BRACES = re.compile(r"(?<![$\\])\{\{?\s*([A-Za-z_]\w*)(?:\.\w+)*\s*\}\}?")

_OF_A_MESSAGE = {"payload", "topic", "qos", "retain", "properties"}


def check(part: Expression | Template, scope: Scope) -> list[Diagnostic]:
    """Everything that is wrong with an expression or template where these names are there, by place."""
    found = _in_template(part, scope) if isinstance(part, Template) else _in_expression(part, scope)
    return sorted(found, key=lambda problem: problem.sort_key)


def _in_template(template: Template, scope: Scope) -> Iterator[Diagnostic]:
    for hole in template.holes:
        yield from _in_expression(hole.expression, scope)
    for found in _BRACES.finditer(template.passage.text):
        if found[1] in scope.names:
            inner = found.group().strip("{}").strip()
            span = template.passage.span(found.start(), found.end())
            message = f"`{{{inner}}}` is plain text here"
            yield Diagnostic(
                "plain-braces", message, span, helps=(f"to insert it write `${{{inner}}}`",), severity="warning"
            )


def _in_expression(expression: Expression, scope: Scope) -> Iterator[Diagnostic]:
    if not expression.names <= scope.names.keys():  # nearly always it is, and the tree need not be walked
        for node in free_name_nodes(expression.tree, frozenset()):
            if not _is_known(node, expression, scope):
                yield _unknown(node, expression, scope)
    yield from find_misuse(expression.tree, expression.passage.source, scope)


def _is_known(node: ast.Name, expression: Expression, scope: Scope) -> bool:
    return node.id in scope.names or node.id in FUNCTIONS or node.id in expression.functions


def _unknown(node: ast.Name, expression: Expression, scope: Scope) -> Diagnostic:
    name, span = node.id, span_of(node, expression.passage.source)
    message = f"there is no name `{name}` here"
    return fault(span, message, help=_help(node, expression, scope), code="unknown-name")


def _help(node: ast.Name, expression: Expression, scope: Scope) -> str:
    name = node.id
    if name in scope.missing:
        return scope.missing[name]
    if hyphenated := _hyphenated(node, expression.tree):
        return f"`-` means minus; a name with a hyphen is read as `{hyphenated}`"
    if name in {"msg", "message"} and (field := _field_of(node, expression.tree)) in _OF_A_MESSAGE:
        return f"write simply `{field}`"
    if name in NAMES:
        return NAMES[name]
    if near := suggest(name, scope.names):
        return f"did you mean `{near}`?"
    if _is_key(node, expression.tree):
        return f'the names of fields are texts: `{{"{name}": ...}}`'
    if functions := get_close_matches(name, FUNCTIONS, n=1, cutoff=0.8):
        return f"did you mean `{FUNCTIONS[functions[0]].signature}`?"
    if "payload" in scope.names:
        return f'a field of the payload is `payload.{name}`, a text is `"{name}"`'
    return f"here are {name_list(sorted(scope.names))}" if scope.names else ""


def _hyphenated(node: ast.Name, tree: ast.expr) -> str:
    """`payload["some-field"]` for the name `field` in `payload.some-field`."""
    for part in ast.walk(tree):
        match part:
            case ast.BinOp(op=ast.Sub(), left=ast.Attribute() as left, right=right) if right is node:
                is_close = left.end_col_offset == node.col_offset - 1
                return f'{ast.unparse(left.value)}["{left.attr}-{node.id}"]' if is_close else ""
    return ""


def _field_of(node: ast.Name, tree: ast.expr) -> str:
    for part in ast.walk(tree):
        if isinstance(part, ast.Attribute) and part.value is node:
            return part.attr
    return ""


def _is_key(node: ast.Name, tree: ast.expr) -> bool:
    return any(isinstance(part, ast.Dict) and node in part.keys for part in ast.walk(tree))
