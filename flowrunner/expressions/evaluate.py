"""Turns a part of an expression that just failed into its value, to see which part is to blame."""

import ast
from collections.abc import Mapping
from typing import Any, Final

from flowrunner.expressions.lower import lower_node
from flowrunner.expressions.model import Scope
from flowrunner.expressions.namespace import NAMESPACE


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""What a part gives that cannot be computed here."""


def evaluate(node: ast.expr, values: Mapping[str, object]) -> Any:
    """The value of a part of a checked expression, or UNKNOWN where it fails or reads what is not there."""
    if isinstance(node, ast.GeneratorExp):
        node = ast.copy_location(ast.ListComp(node.elt, node.generators), node)
    try:
        tree = ast.Expression(lower_node(node, Scope({})))
        names = {**NAMESPACE, "__builtins__": {}, "now": float, **values}
        return eval(compile(tree, "expression", "eval"), names)  # noqa: S307 (lowered: nothing but the language is in it)
    except Exception:  # noqa: BLE001 (that is the question)
        return UNKNOWN
