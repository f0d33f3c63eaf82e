"""Turns values and parts of expressions into the words in which people speak of them."""

import ast
import json
from typing import Any

from flowrunner.expressions.values import kind_word

_LONGEST = 40

#: Operators as they are written.
SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.LShift: "<<", ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.USub: "-",
    ast.UAdd: "+", ast.Invert: "~", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
    ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


def written(node: ast.expr) -> str:
    """A part of an expression as its user would write it, in backticks; empty where that would be long."""
    text = _path(node)
    return f"`{text}`" if text and len(text) <= _LONGEST else ""


def _path(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{base}.{name}" if (base := _path(value)) else ""
        case ast.Subscript(value=value, slice=ast.Constant(value=key)):
            return f"{base}[{json.dumps(key, ensure_ascii=False, default=repr)}]" if (base := _path(value)) else ""
        case ast.Constant(value=str() as text):
            return json.dumps(text, ensure_ascii=False)
    return "" if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) else ast.unparse(node)


def subject(node: ast.expr) -> str:
    """How a sentence calls a part of an expression: `the payload`, `payload.x` in backticks, or `this value`."""
    if isinstance(node, ast.Name) and node.id in {"payload", "topic"}:
        return f"the {node.id}"
    return written(node) or "this value"


def short(value: Any, most: int = 24) -> str:
    """A text or number in backticks, cut where it is long; of other values, what they are."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        text = value if isinstance(value, str) else repr(value)
        return f"`{text}`" if len(text) <= most else f"`{text[: most - 1]}…`"
    return kind_word(value)


def is_literal(node: ast.expr) -> bool:
    """Whether a part reads no names: it says itself what it is."""
    return not any(isinstance(part, ast.Name) for part in ast.walk(node))


def is_numeral(value: Any) -> bool:
    """Whether a text is a number that was written down."""
    try:
        return isinstance(value, str | bytes) and len(value) < 100 and float(value) is not None
    except ValueError:
        return False
