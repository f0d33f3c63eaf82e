"""Turns a checked expression into what is compiled: Python's own operations wherever they can do no harm."""

import ast
from collections.abc import Callable
from typing import Any

from flowrunner.expressions.kinds import is_float, is_number, kind_of_node
from flowrunner.expressions.loops import Counting, call, is_small_or_counted
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import Expression, Hole, Scope, Template
from flowrunner.expressions.places import place

_CONSTANTS = {"true": True, "false": False, "null": None}
_SMALL = 1 << 64  # a factor below adds a few bits to a number, which takes for ever to get large
#: Functions whose work grows with what they get; inside comprehensions it is counted.
_COUNTED = {
    "min", "max", "sum", "sorted", "any", "all", "int", "float", "list", "dict", "zip", "enumerate", "unique", "mean",
    "median", "stdev", "match", "choice",
}  # fmt: skip
_COUNTED_RESULT = {"range", "str"}
_MEMBERSHIP = (ast.In, ast.NotIn)
_EQUALITY = (ast.Eq, ast.NotEq, *_MEMBERSHIP)


def lower(part: Expression | Template, scope: Scope) -> ast.expr:
    """The tree that is compiled, every node at its position in the YAML file.

    It reads the names of NAMESPACE from its globals, and the names of the scope as they are. The part was checked
    against this scope before.
    """
    if isinstance(part, Expression):
        return lower_node(part.tree, scope)
    if part.single:
        return lower_node(part.single.tree, scope)
    pieces = [_constant(piece, part) if isinstance(piece, str) else _inserted(piece, scope) for piece in part.parts]
    if part.is_constant:
        return pieces[0] if pieces else _constant("", part)
    joined = ast.JoinedStr(pieces)
    place(joined, part.passage.span())
    return joined


def lower_node(node: ast.expr, scope: Scope) -> ast.expr:
    """What is compiled of a part of a checked expression."""
    return _Lowering(scope).lower(node)


def _constant(text: str, template: Template) -> ast.expr:
    constant = ast.Constant(text)
    place(constant, template.passage.span())
    return constant


def _inserted(hole: Hole, scope: Scope) -> ast.expr:
    tree = hole.expression.tree
    value = lower_node(tree, scope)
    if hole.spec:
        value = call("_format", [value, ast.copy_location(ast.Constant(hole.spec), tree)], tree)
    elif kind_of_node(tree, scope) != "text":
        value = call("_text", [value], tree)
    return ast.copy_location(ast.FormattedValue(value, -1, None), tree)


class _Lowering(Counting):
    def lower(self, node: ast.expr) -> ast.expr:
        method: Callable[[Any], ast.expr] = getattr(self, f"lower_{type(node).__name__.lower()}")
        return ast.copy_location(method(node), node)

    def may_be_bytes(self, node: ast.expr) -> bool:
        return kind_of_node(node, self.scope) in {"bytes", "any"}

    def lower_constant(self, node: ast.Constant) -> ast.expr:
        return ast.Constant(node.value)

    def lower_name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(_CONSTANTS[node.id]) if node.id in _CONSTANTS else ast.Name(node.id, ast.Load())

    def lower_attribute(self, node: ast.Attribute) -> ast.expr:
        field = ast.copy_location(ast.Constant(node.attr), node)
        return ast.Subscript(self.lower(node.value), field, ast.Load())

    def lower_subscript(self, node: ast.Subscript) -> ast.expr:
        taken = ast.copy_location(ast.Subscript(self.lower(node.value), self.lower(node.slice), ast.Load()), node)
        return self.charged(taken, node) if isinstance(node.slice, ast.Slice) else taken

    def lower_slice(self, node: ast.Slice) -> ast.expr:
        return ast.Slice(*(part and self.lower(part) for part in (node.lower, node.upper, node.step)))

    def lower_list(self, node: ast.List | ast.Tuple) -> ast.expr:
        return ast.List([self.lower(part) for part in node.elts], ast.Load())

    lower_tuple = lower_list  # there is one kind of list, as in JSON

    def lower_dict(self, node: ast.Dict) -> ast.expr:
        keys = [key and self.lower(key) for key in node.keys]
        values = [
            self.lower(value) if key else self.charged(self.lower(value), value)
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        return ast.Dict(keys, values)

    def lower_unaryop(self, node: ast.UnaryOp) -> ast.expr:
        return ast.UnaryOp(node.op, self.lower(node.operand))

    def lower_boolop(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, [self.lower(value) for value in node.values])

    def lower_ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.lower(node.test), self.lower(node.body), self.lower(node.orelse))

    def lower_binop(self, node: ast.BinOp) -> ast.expr:
        helper, left, right = _helper_of(node), self.lower(node.left), self.lower(node.right)
        done = call(helper, [left, right], node) if helper else ast.BinOp(left, node.op, right)
        is_growing = isinstance(node.op, ast.Add | ast.Mult | ast.BitOr)
        return self.charged(ast.copy_location(done, node), node) if is_growing else done

    def lower_compare(self, node: ast.Compare) -> ast.expr:
        users = [node.left, *node.comparators]
        values = [self.lower(user) for user in users]
        for index, (operator, user) in enumerate(zip(node.ops, node.comparators, strict=True), 1):
            if isinstance(operator, _MEMBERSHIP) and not isinstance(user, ast.List | ast.Tuple):
                values[index] = self.charged(values[index], user, by="_sought")
            elif self._is_long(users[index - 1]) and self._is_long(user):
                values[index] = self.kept(values[index], user)
        for index, user in enumerate(users):
            if self.may_be_bytes(user) and any(self._may_be_text(other) for other in _compared_with(node, index)):
                values[index] = self._guard(values[index], user)
        return ast.Compare(values[0], node.ops, values[1:])

    def _is_long(self, node: ast.expr) -> bool:
        """Whether looking at a whole value in every round of a comprehension could be much work."""
        return bool(self.loops) and not self.is_own(node) and not is_small_or_counted(node)

    def _guard(self, value: ast.expr, user: ast.expr) -> ast.expr:
        return call("_guard", [self.kept(value, user) if self._is_long(user) else value], user)

    def _may_be_text(self, node: ast.expr) -> bool:
        is_constant = isinstance(node, ast.Name) and node.id in _CONSTANTS
        if is_constant or (isinstance(node, ast.Constant) and not isinstance(node.value, str)) or is_number(node):
            return False
        return kind_of_node(node, self.scope) != "bytes"

    def lower_call(self, node: ast.Call) -> ast.expr:
        match node.func:
            case ast.Attribute():
                return self._method(node, node.func)
            case ast.Name():
                return self._function(node, node.func)
        raise TypeError("this call was not checked")

    def _function(self, node: ast.Call, function: ast.Name) -> ast.expr:
        name, arguments = function.id, [self.lower(argument) for argument in node.args]
        if name in _COUNTED:
            arguments = [self.charged(value, user) for value, user in zip(arguments, node.args, strict=True)]
        keywords = [
            ast.copy_location(ast.keyword(keyword.arg, self.lower(keyword.value)), keyword) for keyword in node.keywords
        ]
        if name == "hash" and self.loops:
            return call("_hash", [self.budget(node), *arguments], node)
        called = ast.copy_location(ast.Name(name, ast.Load()), function)
        done = ast.copy_location(ast.Call(called, arguments, keywords), node)
        return self.charged(done, node) if name in _COUNTED_RESULT else done

    def _method(self, node: ast.Call, function: ast.Attribute) -> ast.expr:
        method, user = METHODS[function.attr], function.value
        receiver = self.lower(user)
        if method.name != "get":
            receiver = self.charged(receiver, user)
        if self.may_be_bytes(user):
            receiver = call("_no_bytes", [receiver], user)
        arguments = [self._method_argument(argument, method.name) for argument in node.args]
        if not method.helper:
            called = ast.copy_location(ast.Attribute(receiver, method.name, ast.Load()), function)
            return ast.Call(called, arguments, [])
        return self.charged(call(method.helper, [receiver, *arguments], node), node)

    def _method_argument(self, user: ast.expr, method: str) -> ast.expr:
        value = self.lower(user)
        if method == "join":
            value = self.charged(value, user)
        is_compared = method in {"get", "count", "index"} and self.may_be_bytes(user)
        return self._guard(value, user) if is_compared else value

    def lower_listcomp(self, node: ast.ListComp) -> ast.expr:
        return self.comprehension(node, lambda loops: ast.ListComp(self.output(node.elt), loops))

    def lower_generatorexp(self, node: ast.GeneratorExp) -> ast.expr:
        return self.comprehension(node, lambda loops: ast.GeneratorExp(self.output(node.elt), loops))

    def lower_dictcomp(self, node: ast.DictComp) -> ast.expr:
        return self.comprehension(
            node, lambda loops: ast.DictComp(self.output(node.key), self.output(node.value), loops)
        )

    def output(self, node: ast.expr) -> ast.expr:
        """What is compiled of a part that every round of a comprehension adds to the result."""
        match node:
            case ast.IfExp(test=test, body=body, orelse=orelse):
                done: ast.expr = ast.IfExp(self.lower(test), self.output(body), self.output(orelse))
            case ast.BoolOp(op=operator, values=values):
                done = ast.BoolOp(operator, [self.output(value) for value in values])
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                done = ast.List([self.output(part) for part in parts], ast.Load())
            case ast.Dict(keys=keys, values=values):
                done = ast.Dict([key and self.output(key) for key in keys], [self.output(value) for value in values])
            case _:
                value = self.lower(node)
                return value if is_small_or_counted(node) or self.is_own(node) else self.kept(value, node)
        return ast.copy_location(done, node)


def _compared_with(node: ast.Compare, index: int) -> list[ast.expr]:
    """The operands that one operand is compared with for being equal, or for being in."""
    users = [node.left, *node.comparators]
    beside = [(index - 1, index - 1), (index, index + 1)]
    return [
        users[other]
        for operator, other in beside
        if 0 <= operator < len(node.ops) and isinstance(node.ops[operator], _EQUALITY)
    ]


def _helper_of(node: ast.BinOp) -> str:
    """The helper that does an operation which could grow, or format a text; empty where Python's own cannot."""
    match node:
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return "" if is_float(left) or is_float(right) or _is_scaled(left, right) else "_times"
        case ast.BinOp(op=ast.Pow()):
            return "_power"
        case ast.BinOp(op=ast.LShift()):
            return "_shift"
        case ast.BinOp(op=ast.Mod(), left=left):
            return "" if is_number(left) else "_modulo"
    return ""


def _is_scaled(left: ast.expr, right: ast.expr) -> bool:
    return (is_number(left) and _is_small(right)) or (is_number(right) and _is_small(left))


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) < _SMALL
