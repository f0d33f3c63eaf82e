"""Turns a comparison or computation that failed into which operand is to blame."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from flowrunner.expressions.describe import SIGNS, is_numeral, short, subject, written
from flowrunner.expressions.model import Failure
from flowrunner.expressions.values import DECODE_FIRST, kind_word

_ORDERS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NUMBER_ONLY = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift, ast.BitAnd, ast.BitXor)

Pair = tuple[ast.expr, ast.expr]
Values = tuple[Any, Any]


def explain_comparison(sign: ast.cmpop, pair: Pair, values: Values) -> Failure | None:
    """Why two values cannot be compared, or None if they can."""
    if isinstance(sign, ast.In | ast.NotIn):
        return _explain_in(pair, values)
    order = _ORDERS.get(type(sign))
    if order is None:
        return None
    try:
        order(*values)
    except TypeError:
        return _not_comparable(SIGNS[type(sign)], pair, values)
    return None


def _not_comparable(sign: str, pair: Pair, values: Values) -> Failure:
    if (null := _null(pair, values)) is not None:
        message = f"{subject(null)} is null, `{sign}` cannot compare it"
        return Failure("wrong-type", message, _null_help(null))
    one, other = map(kind_word, values)
    if one == other and one in {"a list", "a map"}:
        inner = "the items of these lists differ in kind" if one == "a list" else "maps have no order"
        return Failure("wrong-type", f"`{sign}` cannot compare {one} with {other}", (inner,))
    return Failure("wrong-type", f"`{sign}` cannot compare {one} with {other}", _helps(pair, values, sign))


def _null(pair: Pair, values: Values) -> ast.expr | None:
    nulls = [node for node, value in zip(pair, values, strict=True) if value is None]
    return nulls[0] if nulls else None


def _null_help(node: ast.expr) -> tuple[str, ...]:
    name = written(node)
    return (f"ask before: `{name.strip('`')} is not null and ...`",) if name else ()


def _helps(pair: Pair, values: Values, sign: str) -> tuple[str, ...]:
    """What makes a number of a text, or a text of bytes."""
    for node, value in zip(pair, values, strict=True):
        name = written(node).strip("`")
        if isinstance(value, bytes):
            return (f"use `float({name})`",) if is_numeral(value) and name else (DECODE_FIRST,)
        if isinstance(value, str) and is_numeral(value) and name and not isinstance(node, ast.Constant):
            return (f"use `float({name})`",)
    for node, value in zip(pair, values, strict=True):
        if isinstance(value, str) and not isinstance(node, ast.Constant):
            return (f"{subject(node)} is {short(value)}",)
    return (f"{subject(pair[1])} is {kind_word(values[1])}",) if sign != "+" else ()


def _explain_in(pair: Pair, values: Values) -> Failure | None:
    part, place = values
    if isinstance(place, str) and not isinstance(part, str):
        message = f"only a text can be in a text, {subject(pair[0])} is {kind_word(part)}"
        return Failure("wrong-type", message, ("use `str(...)`",) if isinstance(part, int | float) else ())
    if isinstance(place, dict) and isinstance(part, list | dict):
        return Failure("wrong-type", f"the name of a field is a text, {subject(pair[0])} is {kind_word(part)}")
    if not isinstance(place, str | list | dict | bytes):
        what = "is null" if place is None else f"is {kind_word(place)}"
        return Failure("wrong-type", f"`in` needs a text, list or map, {subject(pair[1])} {what}")
    return None


def explain_operation(error: BaseException, node: ast.BinOp, values: Values) -> Failure | None:
    """Why two values cannot be computed with."""
    sign, pair = SIGNS[type(node.op)], (node.left, node.right)
    if isinstance(error, ZeroDivisionError):
        zero = "this" if isinstance(node.right, ast.Constant) else subject(node.right)
        message = f"{zero} is zero, nothing can be divided by it"
        return Failure("division-by-zero", message)
    if isinstance(error, OverflowError):
        return Failure("too-large", f"the result of `{sign}` is too large a number")
    if isinstance(error, ValueError):
        return Failure("bad-value", f"`{sign}` needs a number that is not negative on its right")
    if not isinstance(error, TypeError):
        return None
    if (null := _null(pair, values)) is not None:
        return Failure("wrong-type", f"{subject(null)} is null, `{sign}` cannot compute with it", _null_help(null))
    one, other = map(kind_word, values)
    if isinstance(node.op, ast.Add):
        return _not_added(pair, values, one, other)
    if one == other:
        return Failure("wrong-type", f"`{sign}` cannot compute with {one} and {other}", _helps(pair, values, sign))
    if isinstance(node.op, _NUMBER_ONLY) and "a number" in {one, other}:
        index = 0 if other == "a number" else 1
        wrong = f"{subject(pair[index])} is {kind_word(values[index])}"
        return Failure("wrong-type", f"`{sign}` needs numbers, {wrong}", _helps(pair, values, sign))
    return Failure("wrong-type", f"`{sign}` cannot compute with {one} and {other}", _helps(pair, values, sign))


def _not_added(pair: Pair, values: Values, one: str, other: str) -> Failure:
    message = f"`+` cannot join {one} with {other}"
    helps = _helps(pair, values, "+")
    if {one, other} == {"a text", "a number"} and not any("float" in text for text in helps):
        number = pair[0] if one == "a number" else pair[1]
        name = written(number).strip("`")
        return Failure("wrong-type", message, (f"use `str({name})`",) if name else ("use `str(...)`",))
    if {one, other} == {"a map"}:
        helps = ("`a | b` is a map with the fields of both",)
    if "a list" in {one, other} and one != other:
        helps = ("an item is added in brackets: `list + [item]`",)
    return Failure("wrong-type", message, helps)
