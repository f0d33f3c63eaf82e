"""Turns a parsed expression into what in it is not allowed: a whitelist of Python's syntax."""

import ast
from collections.abc import Callable, Iterator
from unicodedata import normalize

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.expressions.calls import Function, Method, count_problem
from flowrunner.expressions.functions import FUNCTIONS, RESERVED
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import fault
from flowrunner.expressions.names import LITERALS
from flowrunner.expressions.places import span_of
from flowrunner.expressions.texts import BadPattern, compile_pattern
from flowrunner.expressions.words import FUNCTIONS_ELSEWHERE, METHODS_ELSEWHERE, MODULES, NAMES
from flowrunner.text import Source, Span

#: Python's syntax that is not ours: message and help.
_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.JoinedStr: ("texts with `f` before them are not there", "in a text: `${a} and ${b}`"),
    ast.Lambda: ("there are no functions of one's own here", "for every item: `[p.x for p in payload]`"),
    ast.NamedExpr: ("an expression names nothing", "name a value with `let`"),
    ast.Await: ("an expression never waits", "the steps `http` and `python` wait"),
    ast.Yield: ("`yield` is not there", "the step `split` makes several messages"),
    ast.YieldFrom: ("`yield` is not there", "the step `split` makes several messages"),
    ast.Starred: ("`*` before a value is not there", "`a + b` joins lists"),
    ast.Set: ("a map has keys and values, a list stands in brackets", 'write `{"a": 1}` or `[1, 2]`'),
    ast.SetComp: ("there are no sets", "write `unique([p.x for p in payload])`"),
}  # fmt: skip

#: Signs that join bits, and the words that join conditions.
_JOINING: dict[type[ast.operator], tuple[str, str]] = {ast.BitAnd: ("&", "and"), ast.BitOr: ("|", "or")}
_PLAIN = (ast.List, ast.Dict, ast.IfExp, ast.BoolOp, ast.Slice, ast.UnaryOp)


def check_tree(tree: ast.expr, source: Source, functions: frozenset[str]) -> list[Diagnostic]:
    """Everything in a tree, whose positions are those of the source, that is not part of the language."""
    return list(_Whitelist(source, functions).visit(tree))


class _Whitelist:
    def __init__(self, source: Source, functions: frozenset[str]) -> None:
        self.source = source
        self.functions = functions

    def visit(self, node: ast.AST) -> Iterator[Diagnostic]:
        check: Callable[[ast.AST], Iterator[Diagnostic]] | None = getattr(self, type(node).__name__.lower(), None)
        if check is not None:
            yield from check(node)
        elif isinstance(node, _PLAIN):
            yield from self.children(node)
        elif isinstance(node, ast.expr):
            yield self.say(node, *_REFUSED.get(type(node), ("this is not part of an expression", "")))

    def children(self, node: ast.AST) -> Iterator[Diagnostic]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from self.visit(child)

    def say(
        self, node: ast.expr | ast.keyword, message: str, help: str = "", code: str = "bad-expression"
    ) -> Diagnostic:
        return fault(span_of(node, self.source), message, help=help, code=code)

    def constant(self, node: ast.Constant) -> Iterator[Diagnostic]:
        if isinstance(node.value, complex):
            yield self.say(node, "imaginary numbers are not there")
        elif isinstance(node.value, float) and node.value in (float("inf"), float("-inf")):
            yield self.say(node, "this number is too large", 'infinity is `float("inf")`')
        elif node.value is ...:
            yield self.say(node, "`...` has no meaning here")

    def name(self, node: ast.Name) -> Iterator[Diagnostic]:
        if node.id.startswith("_"):
            yield self.say(node, "names that begin with `_` are not there")
        elif node.id in FUNCTIONS or node.id in self.functions:
            yield self.say(
                node, f"`{node.id}` is a function", f"call it: `{node.id}({'' if node.id == 'now' else 'x'})`"
            )

    def attribute(self, node: ast.Attribute) -> Iterator[Diagnostic]:
        if normalize("NFKC", node.attr).startswith("__"):
            help = f'a field of a map that is called so is read with `["{node.attr}"]`'
            yield self.say(node, "names that begin with `__` are not there", help)
        yield from self.visit(node.value)

    def subscript(self, node: ast.Subscript) -> Iterator[Diagnostic]:
        if isinstance(node.slice, ast.Tuple):
            yield self.say(node.slice, "expected one index between the brackets", "items of items: `x[0][1]`")
        else:
            yield from self.visit(node.slice)
        yield from self.visit(node.value)

    def tuple(self, node: ast.Tuple) -> Iterator[Diagnostic]:
        yield from self.children(node)

    def binop(self, node: ast.BinOp) -> Iterator[Diagnostic]:
        sign, word = _JOINING.get(type(node.op), ("", ""))
        if sign and (_is_condition(node.left) or _is_condition(node.right)):
            yield self.say(node, f"conditions are joined with `{word}`, not with `{sign}`")
        elif sign == "|" and isinstance(node.right, ast.Name) and node.right.id in FUNCTIONS:
            span = span_of(node.left, self.source)
            help = f"write `{node.right.id}({span.text})`" if len(span.text) < 40 else ""
            yield self.say(node.right, "a function is called, not piped into", help)
            yield from self.visit(node.left)
            return
        elif isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
            yield self.say(node, "texts are not formatted with `%`", "write `${x:.1f}` in a text")
        yield from self.children(node)

    def compare(self, node: ast.Compare) -> Iterator[Diagnostic]:
        for operator, other in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.Is | ast.IsNot) and not _is_singleton(other):
                sign = "==" if isinstance(operator, ast.Is) else "!="
                help = f"values are compared with `{sign}`"
                if isinstance(other, ast.Name) and other.id in NAMES:
                    help = NAMES[other.id]
                yield self.say(node, "`is` asks for `null`, `true` or `false` only", help)
                return
        for middle in node.comparators[:-1]:
            if isinstance(middle, ast.BinOp) and (joining := _JOINING.get(type(middle.op))) and self.is_bare(middle):
                sign, word = joining
                help = f"write `a < b {word} c < d`"
                yield self.say(middle, f"conditions are joined with `{word}`, not with `{sign}`", help)
                return
        yield from self.children(node)

    def is_bare(self, node: ast.expr) -> bool:
        """Whether no bracket stands before a part."""
        return not self.source.text[: span_of(node, self.source).start].rstrip().endswith("(")

    def behind(self, called: ast.Attribute) -> Span:
        """The dot and the name of a method."""
        return self.source.span(span_of(called.value, self.source).end, span_of(called, self.source).end)

    def listcomp(self, node: ast.ListComp) -> Iterator[Diagnostic]:
        yield from self.loops(node.generators)
        yield from self.visit(node.elt)

    def dictcomp(self, node: ast.DictComp) -> Iterator[Diagnostic]:
        yield from self.loops(node.generators)
        yield from self.visit(node.key)
        yield from self.visit(node.value)

    def generatorexp(self, node: ast.GeneratorExp) -> Iterator[Diagnostic]:
        help = "put brackets around it: `[p.x for p in payload]`"
        yield self.say(node, "a list of results stands in brackets", help)

    def loops(self, generators: list[ast.comprehension]) -> Iterator[Diagnostic]:
        for loop in generators:
            if loop.is_async:
                yield self.say(loop.target, "an expression never waits")
            yield from self.target(loop.target)
            yield from self.visit(loop.iter)
            for condition in loop.ifs:
                yield from self.visit(condition)

    def target(self, target: ast.expr) -> Iterator[Diagnostic]:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                yield from self.target(part)
        elif not isinstance(target, ast.Name):
            yield self.say(target, "expected a name between `for` and `in`")
        elif target.id.startswith("_") or target.id in RESERVED:
            message = f"an item cannot be called `{target.id}`"
            yield self.say(target, message, "choose another name: `[p.x for p in payload]`")

    def call(self, node: ast.Call) -> Iterator[Diagnostic]:
        if isinstance(node.func, ast.Name):
            yield from self.function(node, node.func)
        elif isinstance(node.func, ast.Attribute):
            yield from self.method(node, node.func)
        else:
            yield self.say(node.func, "only functions and methods are called by their names")
        for argument in node.args:
            if isinstance(argument, ast.GeneratorExp):
                yield from self.loops(argument.generators)
                yield from self.visit(argument.elt)
            else:
                yield from self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg.startswith("_"):
                yield self.say(keyword, "expected `name=value`")
            yield from self.visit(keyword.value)

    def function(self, node: ast.Call, name: ast.Name) -> Iterator[Diagnostic]:
        if name.id in self.functions:
            return
        function = FUNCTIONS.get(name.id)
        if function is None:
            yield self.unknown_function(name)
            return
        yield from self.arguments(function, node)
        if name.id == "match" and node.args:
            yield from self.regular_expression(node.args[0])

    def unknown_function(self, name: ast.Name) -> Diagnostic:
        near = FUNCTIONS_ELSEWHERE.get(name.id) or suggest(name.id, FUNCTIONS)
        help = f"did you mean `{FUNCTIONS[near].signature}`?" if near else f"there are {name_list(list(FUNCTIONS))}"
        return self.say(name, f"there is no function `{name.id}`", help, "unknown-function")

    def method(self, node: ast.Call, called: ast.Attribute) -> Iterator[Diagnostic]:
        name = called.attr
        method = METHODS.get(name)
        if method is None:
            help = _help_for_method(called)
            yield fault(self.behind(called), f"there is no method `.{name}()`", help=help, code="unknown-method")
        else:
            yield from self.arguments(method, node)
        yield from self.visit(called.value)

    def arguments(self, call: Function | Method, node: ast.Call) -> Iterator[Diagnostic]:
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            return  # said where it stands
        problem = count_problem(call, node)
        if problem:
            yield self.say(node, problem, code="wrong-arguments")

    def regular_expression(self, node: ast.expr) -> Iterator[Diagnostic]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                compile_pattern(node.value)
            except BadPattern as error:
                yield self.say(node, error.message, error.help, "bad-pattern")


def _help_for_method(called: ast.Attribute) -> str:
    name = called.attr
    if name in FUNCTIONS:
        return f"did you mean `{FUNCTIONS[name].signature}`?"
    if isinstance(called.value, ast.Name) and called.value.id in MODULES:
        return NAMES[called.value.id]
    near = suggest(name, METHODS)
    return METHODS_ELSEWHERE.get(name) or (f"did you mean `.{near}()`?" if near else "")


def _is_condition(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.Compare | ast.BoolOp)


def _is_singleton(node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return node.id in LITERALS
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))
