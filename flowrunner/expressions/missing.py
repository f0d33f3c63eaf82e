"""Turns a field or item that is not there into words: what is there instead, and what was probably meant."""

import ast
from typing import Any

from flowrunner.diagnostics import name_list, suggest
from flowrunner.expressions.describe import short, subject, written
from flowrunner.expressions.model import Failure
from flowrunner.expressions.values import DECODE_FIRST, kind_word

_LOOKED_AT = 200  # fields of a large map that are compared with the one that is missing
_LISTED = 8
_LONGEST_NAME = 30


def missing_field(node: ast.expr, base: ast.expr, value: Any, name: str) -> Failure:
    """A field was read that `value`, which `base` gave, does not have."""
    if isinstance(value, dict):
        return _not_in_map(base, value, name)
    who = subject(base)
    if value is None:
        helps = (f"`{_default(base)}` gives a default",) if _default(base) else ()
        return Failure("missing-field", f"{who} is null, it has no field {short(name)}", helps)
    if isinstance(value, bytes):
        return Failure("bytes-payload", f"{who} is still bytes, it has no field {short(name)}", (DECODE_FIRST,))
    message = f"{who} is {kind_word(value)}, it has no field {short(name)}"
    return Failure("missing-field", message, _helps_for(node, base, value, name))


def _helps_for(node: ast.expr, base: ast.expr, value: Any, name: str) -> tuple[str, ...]:
    read = written(base).strip("`")
    if name in {"length", "size", "count"} and isinstance(value, str | list) and read:
        return (f"`len({read})` is the length",)
    if isinstance(value, list) and read and isinstance(node, ast.Attribute):
        return (f"`{read}[0].{name}` is that of the first item, `[p.{name} for p in {read}]` those of all",)
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        return ("put `- json` before this step",)
    return ()


def _default(base: ast.expr) -> str:
    """`payload.get("a", {})` for `payload.a`, where that is short."""
    if isinstance(base, ast.Attribute) and (parent := written(base.value)):
        return f'{parent.strip("`")}.get("{base.attr}", {{}})'
    return ""


def _not_in_map(base: ast.expr, value: dict[Any, Any], name: str) -> Failure:
    who = subject(base)
    message = f"{who} has no field {short(name, _LONGEST_NAME)}"
    names = [key for key in list(value)[:_LOOKED_AT] if isinstance(key, str) and len(key) <= _LONGEST_NAME]
    if not value:
        return Failure("missing-field", message, (f"{who} is an empty map",))
    there = f"{who} has {name_list(names, most=_LISTED)}" if names else ""
    near = suggest(name, names) if len(name) <= _LONGEST_NAME else ""
    if near:
        return Failure("missing-field", message, (f"did you mean `{near}`? {there}",))
    deeper = [key for key in names if isinstance(value[key], dict) and name in value[key]]
    if deeper and (read := written(base).strip("`")):
        return Failure("missing-field", message, (f"did you mean `{read}.{deeper[0]}.{name}`?", there))
    return Failure("missing-field", message, (there,) if there else ())


def missing_item(node: ast.Subscript, value: Any, index: Any) -> Failure:
    """Something was read with brackets that is not there."""
    who = subject(node.value)
    if isinstance(index, str):
        return missing_field(node, node.value, value, index)
    if isinstance(value, dict):
        if isinstance(index, dict | list):
            return Failure("wrong-type", f"{kind_word(index)} cannot be the name of a field")
        return Failure("missing-field", f"{who} has no field {short(index)}", _key_help(value, index))
    if not isinstance(value, list | str | bytes):
        return Failure("wrong-type", f"{who} is {kind_word(value)}, it has no items")
    if isinstance(index, int):
        return _out_of_range(who, value, index)
    if isinstance(node.slice, ast.Slice):
        return Failure("wrong-type", "the bounds of a part `[a:b]` are whole numbers")
    return Failure("wrong-type", f"items are counted with whole numbers, this is {kind_word(index)}")


def _key_help(value: dict[Any, Any], index: Any) -> tuple[str, ...]:
    if isinstance(index, bytes):
        return (DECODE_FIRST,)
    return ("the names of fields are texts: `[str(x)]`",) if str(index) in value else ()


def _out_of_range(who: str, value: Any, index: int) -> Failure:
    things = "item" if isinstance(value, list) else "character" if isinstance(value, str) else "byte"
    count = len(value)
    amount = f"no {things}s" if not count else f"1 {things}" if count == 1 else f"{count} {things}s"
    message = f"{who} has {amount}, there is no {things} {short(index).strip('`')}"
    helps = (f"{things}s are counted from 0; the last one is `[-1]`",) if 0 < count == index else ()
    return Failure("missing-item", message, helps)
