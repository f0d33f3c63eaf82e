"""Turns an expression and the kinds of its names into what is known of its value."""

import ast
from functools import reduce

from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import Expression, Kind, Scope, Template

_TEXT_FUNCTIONS = {"str", "iso", "hash"}
_NUMBER_FUNCTIONS = {
    "len", "round", "int", "float", "sum", "mean", "median", "stdev", "sqrt", "floor", "ceil", "log", "exp", "uniform",
    "randint", "now", "abs",
}  # fmt: skip
_DATA_FUNCTIONS = _NUMBER_FUNCTIONS | {"any", "all", "bool", "isfinite", "match", "range"}


def kind_of(part: Expression | Template, scope: Scope) -> Kind:
    """What is known of the value of an expression or template."""
    if isinstance(part, Template):
        return kind_of(part.single, scope) if part.single else "text"
    return kind_of_node(part.tree, scope)


def join_kinds(*kinds: Kind) -> Kind:
    """What is known of a value that is one of several."""
    return reduce(_either, kinds)


def _either(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    return "data" if {one, other} <= {"text", "data"} else "any"


def kind_of_node(node: ast.expr, scope: Scope) -> Kind:
    """What is known of the value of a part of an expression."""
    match node:
        case ast.Constant(value=value):
            return "text" if isinstance(value, str) else "bytes" if isinstance(value, bytes) else "data"
        case ast.Name(id=name):
            return "data" if name in {"true", "false", "null"} else scope.names.get(name, "any")
        case ast.Attribute(value=ast.Name(id="env")):
            return "text"
        case ast.Attribute(value=value):
            return "any" if kind_of_node(value, scope) in {"any", "bytes"} else "data"
        case ast.Subscript():
            return _of_subscript(node, scope)
        case ast.Call():
            return _of_call(node, scope)
        case ast.Compare() | ast.UnaryOp():
            return "data"
    return _of_compound(node, scope)


def _of_subscript(node: ast.Subscript, scope: Scope) -> Kind:
    kind = kind_of_node(node.value, scope)
    if kind == "bytes" and not isinstance(node.slice, ast.Slice):
        return "data"
    return kind


def _of_compound(node: ast.expr, scope: Scope) -> Kind:
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult() | ast.BitOr(), right=right):
            kinds = kind_of_node(left, scope), kind_of_node(right, scope)
            return "bytes" if "bytes" in kinds and "any" not in kinds else join_kinds(*kinds)
        case ast.BinOp():
            return "data"
        case ast.BoolOp(values=values):
            return join_kinds(*(kind_of_node(value, scope) for value in values))
        case ast.IfExp(body=body, orelse=orelse):
            return join_kinds(kind_of_node(body, scope), kind_of_node(orelse, scope))
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return _of_parts(parts, scope)
        case ast.Dict(keys=keys, values=parts):
            return _of_parts([*(key for key in keys if key), *parts], scope)
        case ast.ListComp(elt=part, generators=loops) | ast.GeneratorExp(elt=part, generators=loops):
            return _of_parts([part], inside(loops, scope))
        case ast.DictComp(key=key, value=value, generators=loops):
            return _of_parts([key, value], inside(loops, scope))
    return "any"


def _of_parts(parts: list[ast.expr], scope: Scope) -> Kind:
    return "data" if all(kind_of_node(part, scope) in {"data", "text"} for part in parts) else "any"


def _of_call(node: ast.Call, scope: Scope) -> Kind:
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    match node.func:
        case ast.Name(id=name) if name in _TEXT_FUNCTIONS:
            return "text"
        case ast.Name(id=name) if name in _DATA_FUNCTIONS:
            return "data"
        case ast.Name(id=name) if name in FUNCTIONS:
            return _of_parts(given, scope)
        case ast.Attribute(attr=name, value=value) if name in METHODS:
            if METHODS[name].returns_text:
                return "text"
            return _of_parts([value, *given], scope)
    return "any"


def inside(loops: list[ast.comprehension], scope: Scope) -> Scope:
    """The scope inside a comprehension: the items of data are data, those of bytes are numbers."""
    for loop in loops:
        kind: Kind = "any" if kind_of_node(loop.iter, scope) == "any" else "data"
        names = (node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name))
        scope = scope.with_(**dict.fromkeys(names, kind))
    return scope


def is_number(node: ast.expr) -> bool:
    """Whether a part of an expression is a number, or fails: no text, list or map can come out of it."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Subscript(value=ast.Constant(value=bytes()), slice=index):
            return not isinstance(index, ast.Slice)
        case ast.UnaryOp() | ast.BinOp(op=ast.Sub() | ast.Div() | ast.FloorDiv()):
            return True
        case ast.BinOp(op=ast.Add() | ast.BitOr() | ast.BitAnd(), left=left, right=right):
            return is_number(left) or is_number(right)
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return is_number(left) and is_number(right)
        case ast.BinOp(op=ast.Pow() | ast.LShift() | ast.RShift() | ast.Mod() | ast.BitXor()):
            return True
        case ast.Compare():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in _NUMBER_FUNCTIONS or name in {"any", "all", "bool", "isfinite", "match"}
    return False


def is_float(node: ast.expr) -> bool:
    """Whether a part of an expression is a number with a fraction part, or fails: it cannot grow."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, float)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return is_float(operand)
        case ast.BinOp(op=ast.Div()):
            return True
        case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult(), left=left, right=right):
            return is_float(left) or is_float(right)
        case ast.Call(func=ast.Name(id=name)):
            return name in {"float", "mean", "stdev", "sqrt", "exp", "log", "uniform", "now"}
    return False
