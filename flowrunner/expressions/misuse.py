"""Turns operations that cannot work on what is certainly bytes, or certainly text, into diagnostics."""

import ast
from collections.abc import Iterator

from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions.describe import is_literal
from flowrunner.expressions.evaluate import UNKNOWN, evaluate
from flowrunner.expressions.kinds import inside, is_float, is_number, kind_of_node
from flowrunner.expressions.model import Scope, fault
from flowrunner.expressions.names import LITERALS
from flowrunner.expressions.places import span_of
from flowrunner.expressions.values import DECODE_FIRST
from flowrunner.text import Source

_NUMERIC = {"abs", "round", "sum", "mean", "median", "stdev", "sqrt", "floor", "ceil", "log", "exp", "isfinite", "iso"}
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def find_misuse(tree: ast.expr, source: Source, scope: Scope) -> Iterator[Diagnostic]:
    """The places where bytes are taken for a text, number or map, or a text for a number."""
    yield from _Misuse(source).visit(tree, scope)


class _Misuse:
    def __init__(self, source: Source) -> None:
        self.source = source

    def visit(self, node: ast.AST, scope: Scope) -> Iterator[Diagnostic]:
        if isinstance(node, ast.expr) and (problem := self.at(node, scope)):
            yield problem
            return
        if isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp):
            scope = inside(node.generators, scope)
        match node:
            case ast.Call(func=ast.Attribute(value=value), args=arguments, keywords=keywords):
                children: list[ast.AST] = [value, *arguments, *keywords]  # `.upper` in `x.upper()` is no field
            case _:
                children = list(ast.iter_child_nodes(node))
        for child in children:
            yield from self.visit(child, scope)

    def at(self, node: ast.expr, scope: Scope) -> Diagnostic | None:
        match node:
            case ast.Compare(left=left, ops=operators, comparators=others):
                pairs = zip([left, *others], operators, others, strict=False)
                problems = (self.compared(node, *pair, scope) for pair in pairs)
                return next((problem for problem in problems if problem), None)
            case ast.Attribute(value=value) if _is_bytes(value, scope):
                return self.still_bytes(node, value, "bytes have no fields")
            case ast.Attribute(value=value, attr=name) if what := _not_a_map(value, scope):
                help = "`len(x)` is the length" if name in {"length", "size"} else ""
                return self.wrong(node, f"{what} has no field `{name[:30]}`", help)
            case ast.Subscript(value=value, slice=index) if _is_bytes(value, scope) and _is_text(index, scope):
                return self.still_bytes(node, value, "bytes have no fields")
            case ast.Subscript(value=value, slice=index) if what := _not_a_map(value, scope):
                return self.subscripted(node, what, index, scope)
            case ast.Call(func=ast.Attribute(value=value)) if _is_bytes(value, scope):
                return self.still_bytes(node, value, "bytes have no methods")
            case ast.Call(func=ast.Name(id=name), args=[*_, value]) if name in _NUMERIC | {"match"}:
                wanted = "a text" if name == "match" else "numbers"
                return self.still_bytes(node, value, f"`{name}` needs {wanted}") if _is_bytes(value, scope) else None
            case ast.BinOp(left=left, right=right):
                return self.computed(node, left, right, scope)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=value) if _is_bytes(value, scope):
                return self.still_bytes(node, value, "bytes are no number")
        return None

    def still_bytes(self, node: ast.expr, value: ast.expr, label: str) -> Diagnostic:
        what = "the payload" if isinstance(value, ast.Name) and value.id == "payload" else "this value"
        message = f"{what} is still bytes here"
        return fault(span_of(node, self.source), message, label=label, help=DECODE_FIRST, code="bytes-payload")

    def wrong(self, node: ast.expr, message: str, help: str = "") -> Diagnostic:
        return fault(span_of(node, self.source), message, help=help, code="wrong-type")

    def subscripted(self, node: ast.Subscript, what: str, index: ast.expr, scope: Scope) -> Diagnostic | None:
        if what not in {"a text", "a list", "this"}:
            return self.wrong(node, f"{what} has no items")
        if _is_no_index(index) or _is_text(index, scope):
            return self.wrong(node, f"the items of {what} are counted with whole numbers")
        return None

    def compared(
        self, node: ast.expr, left: ast.expr, operator: ast.cmpop, right: ast.expr, scope: Scope
    ) -> Diagnostic | None:
        if isinstance(operator, ast.Is | ast.IsNot):
            what = _not_a_map(left, scope)
            is_never = what in {"a text", "a number", "a list"} or (isinstance(left, ast.Constant) and what == "this")
            return self.wrong(node, f"{what} is never `{span_of(right, self.source).text}`") if is_never else None
        if isinstance(operator, ast.In | ast.NotIn):
            return self.sought(node, left, right, scope)
        for value, other in ((left, right), (right, left)):
            if _is_bytes(value, scope) and kind_of_node(other, scope) in {"text", "data"}:
                what = "bytes are never equal to a text" if _is_text(other, scope) else "bytes are no number"
                return self.still_bytes(node, value, what)
            if _is_text(value, scope) and _is_numeric_constant(other):
                return self.text_and_number(node, value, operator)
        return None

    def text_and_number(self, node: ast.expr, value: ast.expr, operator: ast.cmpop) -> Diagnostic:
        is_order = isinstance(operator, _ORDER)
        message = "a text cannot be compared with a number" if is_order else "a text is never equal to a number"
        written = span_of(value, self.source).text
        help = f"use `float({written})`" if len(written) <= 40 and not isinstance(value, ast.Constant) else ""
        return self.wrong(node, message, help)

    def sought(self, node: ast.expr, left: ast.expr, right: ast.expr, scope: Scope) -> Diagnostic | None:
        if _is_bytes(right, scope) and _is_text(left, scope):
            return self.still_bytes(node, right, "bytes hold no text")
        if _is_bytes(left, scope) and kind_of_node(right, scope) in {"text", "data"}:
            return self.still_bytes(node, left, "bytes are never equal to a text")
        return None

    def computed(self, node: ast.BinOp, left: ast.expr, right: ast.expr, scope: Scope) -> Diagnostic | None:
        for value, other in ((left, right), (right, left)):
            if _is_bytes(value, scope) and kind_of_node(other, scope) in {"text", "data"}:
                return self.still_bytes(node, value, "bytes are no number and no text")
        return None


def _not_a_map(node: ast.expr, scope: Scope) -> str:
    """What a value is for sure, if that has no fields; empty for all others."""
    match node:
        case ast.Name(id="true" | "false") | ast.Constant(value=bool()):
            return "true or false"
        case ast.Name(id="null") | ast.Constant(value=None):
            return "null"
        case ast.List() | ast.Tuple() | ast.ListComp():
            return "a list"
    kind = kind_of_node(node, scope)
    return {"text": "a text", "bytes": "this"}.get(kind, "a number" if is_number(node) else "")


def _is_no_index(node: ast.expr) -> bool:
    match node:
        case ast.Slice():
            return False
        case ast.Name(id=name):
            return name in LITERALS
        case ast.List() | ast.Tuple() | ast.Dict() | ast.ListComp() | ast.DictComp():
            return True
    value = evaluate(node, {}) if is_literal(node) else UNKNOWN
    return is_float(node) or not (value is UNKNOWN or type(value) is int)


def _is_bytes(node: ast.expr, scope: Scope) -> bool:
    # what is written as `b"..."` is meant as bytes
    return kind_of_node(node, scope) == "bytes" and not isinstance(node, ast.Constant)


def _is_text(node: ast.expr, scope: Scope) -> bool:
    return kind_of_node(node, scope) == "text"


def _is_numeric_constant(node: ast.expr) -> bool:
    return is_number(node) and not any(isinstance(part, ast.Name | ast.Call) for part in ast.walk(node))
