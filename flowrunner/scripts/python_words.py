"""Turns expressions, templates and values of a flow into the text of the same in Python."""

import ast
import builtins
import io
import json
import keyword
import tokenize
from collections.abc import Callable, Mapping
from typing import Any

from flowrunner.expressions import Expression, Scope, Template
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.kinds import is_number, kind_of_node
from flowrunner.expressions.model import Hole
from flowrunner.values import Constant, Fields, Items, Value

_CONSTANTS = {"true": True, "false": False, "null": None}
#: Functions that Python has under the same name, and means the same with them.
_SAME = {"abs", "min", "max", "sum", "len", "round", "any", "all", "int", "float", "bool", "list", "dict", "sorted"}
#: Functions of modules: name -> module, and the function there.
_OF_MODULES = {
    **{name: ("math", name) for name in ("sqrt", "floor", "ceil", "log", "exp", "isfinite")},
    **{name: ("random", name) for name in ("uniform", "randint", "choice")},
    "mean": ("statistics", "fmean"),
    "median": ("statistics", "median"),
    "stdev": ("statistics", "stdev"),
    "now": ("time", "time"),
}
_HELPERS = {"unique": "unique", "iso": "iso", "hash": "digest", "str": "text"}
_LISTS = {"range", "zip", "enumerate"}
#: Functions that give numbers.
_NUMERIC = {"len", "round", "int", "float", "mean", "median", "stdev", "sqrt", "floor", "ceil", "log", "exp", "now",
            "uniform", "randint"}  # fmt: skip
#: Names of a script that no name of a flow may take.
_TAKEN = {"client", "message", "mqtt", "json", "error", "steps", "main", "handle", "on_connect", "on_message"}

Need = Callable[[str], str]


def own_name(name: str, taken: frozenset[str]) -> str:
    """A name of the flow as it is called in the script."""
    clashes = name in _TAKEN or name in taken or keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}_" if clashes and name != "error" else name


class Words:
    """Writes expressions of one flow; `need` and `needs_import` hear what the script must have for them."""

    def __init__(self, flow: str, need: Need, needs_import: Need, taken: frozenset[str]) -> None:
        self.flow = flow
        self.need = need
        self.needs_import = needs_import
        self.taken = taken
        self.numbers: set[str] = set()  # names that are certainly numbers

    def name(self, name: str) -> str:
        """A name of the flow as it is called in the script."""
        return own_name(name, self.taken)

    def expression(self, part: Expression) -> str:
        """An expression."""
        return double_quoted(self.raw(part.tree))

    def raw(self, tree: ast.expr) -> str:
        """An expression as Python prints it, with single quotes."""
        return ast.unparse(ast.fix_missing_locations(_Translation(self).visit(_copy(tree))))

    def template(self, part: Template, scope: Scope, *, is_text: bool = False) -> str:
        """A template: a text, an f-string, or where it is a single `${...}` the expression itself."""
        if part.is_constant:
            return quote(part.constant)
        if part.single is not None and not is_text:
            return self.expression(part.single)
        if part.single is not None and kind_of_node(part.single.tree, scope) == "text":
            return self.expression(part.single)
        pieces = [one if isinstance(one, str) else self.hole(one, scope) for one in part.parts]
        holes = [piece for piece, one in zip(pieces, part.parts, strict=True) if isinstance(one, Hole)]
        if any('"' in hole or "\\" in hole or "{" in hole for hole in holes):
            return self.joined(part, pieces)
        texts = [
            "{" + piece + "}" if isinstance(one, Hole) else in_f_string(one)
            for piece, one in zip(pieces, part.parts, strict=True)
        ]
        return f'f"{"".join(texts)}"'

    def joined(self, part: Template, pieces: list[str]) -> str:
        """A template whose expressions hold quotes, which an f-string cannot before Python 3.12."""
        texts: list[str] = []
        for piece, one in zip(pieces, part.parts, strict=True):
            if isinstance(one, Hole) and one.spec:
                value = self.raw(one.expression.tree)
                texts.append(f"format({value}, {quote(one.spec)})")
            else:
                texts.append(f"str({piece})" if isinstance(one, Hole) else quote(piece))
        return f'"".join([{", ".join(texts)}])'

    def hole(self, hole: Hole, scope: Scope) -> str:
        """What stands between the braces of an f-string."""
        tree = hole.expression.tree
        text = self.raw(tree)
        if hole.spec:
            return f"{text}:{hole.spec}"
        return text if self.is_number(tree) or kind_of_node(tree, scope) == "text" else f"{self.need('text')}({text})"

    def is_number(self, tree: ast.expr) -> bool:
        """Whether an expression is certainly a number, and no bool: then Python writes it as JSON does."""
        match tree:
            case ast.Name(id=name):
                return name in self.numbers
            case ast.Call(func=ast.Name(id=name)):
                return name in _NUMERIC
            case ast.Constant(value=value):
                return isinstance(value, int | float) and not isinstance(value, bool)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
                return all(self.is_number(one) or is_number(one) for one in (left, right))
        return False

    def value(self, value: Value | Expression, scope: Scope) -> str:
        """A value in which anything may be inserted."""
        match value:
            case Expression():
                return self.expression(value)
            case Template():
                return self.template(value, scope)
            case Constant():
                return literal(value.value)
            case Fields(entries):
                return display([(quote(key), self.value(inner, scope)) for key, inner in entries])
            case Items(items):
                return f"[{', '.join(self.value(inner, scope) for inner in items)}]"


class _Translation(ast.NodeTransformer):
    """Makes Python's own words of those of the language."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.bound: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if any(node.id in names for names in self.bound):
            return node
        if node.id in _CONSTANTS:
            return ast.Constant(_CONSTANTS[node.id])
        if node.id == "flow":
            return ast.Constant(self.words.flow)
        if node.id == "env":
            self.words.needs_import("os")
            return ast.Name("os.environ", ast.Load())
        return ast.Name(self.words.name(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Subscript(self.visit(node.value), ast.Constant(node.attr), ast.Load())

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            return node
        return ast.List([self.visit(part) for part in node.elts], ast.Load())

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self.loops(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        return self.loops(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self.loops(node)

    def loops(self, node: Any) -> ast.expr:
        """A comprehension, whose own names are its own."""
        targets = [name for loop in node.generators for name in ast.walk(loop.target) if isinstance(name, ast.Name)]
        self.bound.append({name.id for name in targets})
        found: ast.expr = self.generic_visit(node)  # type: ignore[assignment]
        self.bound.pop()
        return found

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Attribute):
            return self.method(node, node.func)
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        arguments = [self.visit(argument) for argument in node.args]
        keywords = [ast.keyword(one.arg, self.visit(one.value)) for one in node.keywords]
        if name == "sorted":
            keywords = [self.sort_key(one) if one.arg == "key" else one for one in keywords]
        if name in _LISTS:
            inner = ast.Call(ast.Name(name, ast.Load()), arguments, keywords)
            return ast.Call(ast.Name("list", ast.Load()), [inner], [])
        if name == "match":
            self.words.needs_import("re")
            found = ast.Call(ast.Name("re.fullmatch", ast.Load()), arguments, [])
            return ast.Compare(found, [ast.IsNot()], [ast.Constant(None)])
        return ast.Call(ast.Name(self.function(name), ast.Load()), arguments, keywords)

    def function(self, name: str) -> str:
        """What a listed function is called in the script."""
        if name in _OF_MODULES:
            module, function = _OF_MODULES[name]
            self.words.needs_import(module)
            return f"{module}.{function}"
        return self.words.need(_HELPERS[name]) if name in _HELPERS else name

    def sort_key(self, given: ast.keyword) -> ast.keyword:
        """`key="name"` as the function that Python wants."""
        item = ast.arguments([], [ast.arg("item")], None, [], [], None, [])
        field = ast.Subscript(ast.Name("item", ast.Load()), given.value, ast.Load())
        return ast.keyword("key", ast.Lambda(item, field))

    def method(self, node: ast.Call, function: ast.Attribute) -> ast.expr:
        """A method; those of maps give lists."""
        called = ast.Call(
            ast.Attribute(self.visit(function.value), function.attr, ast.Load()),
            [self.visit(argument) for argument in node.args],
            [],
        )
        is_view = function.attr in {"keys", "values", "items"}
        return ast.Call(ast.Name("list", ast.Load()), [called], []) if is_view else called


assert _SAME | set(_OF_MODULES) | set(_HELPERS) | _LISTS | {"match"} == set(FUNCTIONS)


def _copy(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


def in_f_string(text: str) -> str:
    """A text between the double quotes of an f-string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("{", "{{").replace("}", "}}")


def quote(text: str) -> str:
    """A text as Python writes it, in double quotes."""
    written = json.dumps(text, ensure_ascii=False)
    return written if text.isprintable() or text.isascii() else repr(text)


def literal(value: Any) -> str:
    """A plain value as Python writes it."""
    match value:
        case str():
            return quote(value)
        case Mapping():
            return display([(literal(key), literal(inner)) for key, inner in value.items()])
        case list() | tuple():
            return f"[{', '.join(literal(inner) for inner in value)}]"
    return repr(value)


_WIDE = 70


def display(entries: list[tuple[str, str]]) -> str:
    """A dict, on several lines where it is long."""
    line = "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"
    if len(line) <= _WIDE and "\n" not in line:
        return line
    inner = "".join(f"    {key}: {value},\n".replace("\n", "\n    ").rstrip(" ") for key, value in entries)
    return "{\n" + inner + "}"


def double_quoted(source: str) -> str:
    """An expression with double quotes around its texts, where there is nothing to escape."""
    found = source
    for token in reversed([*tokenize.generate_tokens(io.StringIO(source).readline)]):
        text = token.string
        if token.type == tokenize.STRING and text[0] == "'" and '"' not in text and "\\" not in text:
            found = found[: token.start[1]] + f'"{text[1:-1]}"' + found[token.end[1] :]
    return found
