"""Turns the part of an expression that failed, and the values it failed on, into words."""

import ast
from collections.abc import Callable, Mapping
from typing import Any

from flowrunner.expressions.call_failures import explain_function, explain_method
from flowrunner.expressions.describe import SIGNS, subject
from flowrunner.expressions.evaluate import UNKNOWN, evaluate
from flowrunner.expressions.loops import Comprehension
from flowrunner.expressions.missing import missing_field, missing_item
from flowrunner.expressions.model import Failure
from flowrunner.expressions.operand_failures import explain_comparison, explain_operation
from flowrunner.expressions.values import kind_word


def explain_at(error: BaseException, node: ast.expr, values: Mapping[str, object]) -> Failure | None:
    """What went wrong at a part of an expression, or None where that cannot be told."""
    return _Explaining(error, values).at(node)


class _Explaining:
    """Looks for the reason of one exception; the methods are called after the kinds of Python's nodes."""

    def __init__(self, error: BaseException, values: Mapping[str, object]) -> None:
        self.error = error
        self.values = values

    def value(self, node: ast.expr) -> Any:
        """What a part gives, or UNKNOWN."""
        return evaluate(node, self.values)

    def at(self, node: ast.expr) -> Failure | None:
        """What went wrong at a part, or None."""
        explain: Callable[[Any], Failure | None] | None = getattr(self, f"at_{type(node).__name__.lower()}", None)
        return (explain(node) if explain else None) or self.iterated(node)

    def iterated(self, node: ast.expr) -> Failure | None:
        """The value itself could be computed: it was to be gone through, or taken apart."""
        if not isinstance(self.error, TypeError) or isinstance(node, Comprehension):
            return None
        value = self.value(node)
        if value is UNKNOWN or isinstance(value, list | str | dict):
            return None
        return Failure("wrong-type", f"{subject(node)} is {kind_word(value)}, one cannot go through it")

    def at_name(self, node: ast.Name) -> Failure | None:
        if isinstance(self.error, NameError):
            return Failure("no-value", f"`{node.id}` has no value here")
        return None

    def at_attribute(self, node: ast.Attribute) -> Failure | None:
        base = self.value(node.value)
        if isinstance(self.error, AttributeError):  # reading a field never raises it: this is a method
            return explain_method(self.error, node, base, [])
        if base is UNKNOWN:
            return None
        is_there = isinstance(base, dict) and node.attr in base
        return None if is_there else missing_field(node, node.value, base, node.attr)

    def at_subscript(self, node: ast.Subscript) -> Failure | None:
        base = self.value(node.value)
        index = None if isinstance(node.slice, ast.Slice) else self.value(node.slice)
        if base is UNKNOWN or index is UNKNOWN or self.value(node) is not UNKNOWN:
            return None
        return missing_item(node, base, index)

    def at_compare(self, node: ast.Compare) -> Failure | None:
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            pair = operands[index], operands[index + 1]
            values = self.value(pair[0]), self.value(pair[1])
            if UNKNOWN in values:
                return None
            if found := explain_comparison(operator, pair, values):
                return found
        return None

    def at_binop(self, node: ast.BinOp) -> Failure | None:
        values = self.value(node.left), self.value(node.right)
        return None if UNKNOWN in values else explain_operation(self.error, node, values)

    def at_unaryop(self, node: ast.UnaryOp) -> Failure | None:
        value = self.value(node.operand)
        if value is UNKNOWN or not isinstance(self.error, TypeError):
            return None
        message = f"`{SIGNS[type(node.op)]}` needs a number, {subject(node.operand)} is {kind_word(value)}"
        return Failure("wrong-type", message)

    def at_call(self, node: ast.Call) -> Failure | None:
        arguments = [self.value(argument) for argument in node.args]
        match node.func:
            case ast.Attribute() as function:
                return explain_method(self.error, function, self.value(function.value), arguments)
            case ast.Name(id=name):
                return explain_function(self.error, name, node, arguments)
        return None

    def at_dict(self, node: ast.Dict) -> Failure | None:
        for key, value in zip(node.keys, node.values, strict=True):
            found = self.value(key or value)
            if key is None and not isinstance(found, dict) and found is not UNKNOWN:
                return Failure("wrong-type", f"`**` needs a map, {subject(value)} is {kind_word(found)}")
            if key is not None and isinstance(found, list | dict):
                return Failure("wrong-type", f"the name of a field is a text, {subject(key)} is {kind_word(found)}")
        return None

    def at_tuple(self, node: ast.Tuple | ast.List) -> Failure | None:
        count = len(node.elts)
        if isinstance(self.error, ValueError) and isinstance(node.ctx, ast.Store):
            return Failure("bad-value", f"every item must be a list of {count} values here")
        if isinstance(self.error, TypeError) and isinstance(node.ctx, ast.Store):
            return Failure("wrong-type", f"every item must be a list of {count} values here")
        return None

    at_list = at_tuple

    def at_listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Failure | None:
        return self.iterated(node.generators[0].iter)

    at_generatorexp = at_listcomp

    def at_dictcomp(self, node: ast.DictComp) -> Failure | None:
        if found := self.iterated(node.generators[0].iter):
            return found
        if isinstance(self.error, TypeError):
            return Failure("wrong-type", "the name of a field is a text or number, this is a list or map")
        return None
