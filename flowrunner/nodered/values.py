"""Turns what a value is made of into how it is written in a flow: as an option, or as an expression."""

import ast
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.expressions import METHODS

Kind = str
"""What is known of a value: `bytes text number bool list map`; `data` for what was JSON, else `any`."""


class Uncertain(Exception):
    """Something cannot be translated for certain; the text says what."""


class Code(str):
    """An expression, which stands bare in the file."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that never changes."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """An expression; `spec` is a format such as `.1f`, which makes a text of it."""

    tree: ast.expr
    kind: Kind = "any"
    spec: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A text with expressions in it."""

    parts: tuple[str | Computed, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A map whose fields are values."""

    fields: Mapping[str, "Value"]


Value = Constant | Computed | Template | Built


def kind_of(value: Value) -> Kind:
    """What is known of a value."""
    match value:
        case Template():
            return "text"
        case Built():
            return "map"
        case Computed(kind=kind, spec=spec):
            return "text" if spec else kind
        case Constant(value=constant):
            return kind_of_constant(constant)


def kind_of_constant(constant: Any) -> Kind:
    """The same of a constant."""
    for kind, types in _TYPES.items():
        if isinstance(constant, types):
            return kind
    return "any"


_TYPES: dict[Kind, type | tuple[type, ...]] = {
    "text": str, "bool": bool, "number": (int, float), "list": list, "map": dict,
}  # fmt: skip


def name(word: str, kind: Kind = "any") -> Computed:
    """A name, as a value."""
    return Computed(ast.Name(word), kind)


def source(tree: ast.expr) -> Code:
    """An expression as text."""
    return Code(ast.unparse(ast.fix_missing_locations(tree)).replace("\n", " "))


def parsed(text: str) -> ast.expr:
    """An expression out of our own text; texts in it keep their double quotes."""
    return _Quotes().visit(ast.parse(text, mode="eval").body)  # type: ignore[no-any-return]


class _Quotes(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return constant_tree(node.value)


def constant_tree(value: Any) -> ast.expr:
    """A constant as an expression, in the words of the flow language."""
    if isinstance(value, str):
        # a name is written as it is, so this chooses the quotes
        return ast.Name(json.dumps(value, ensure_ascii=False))
    if value is None or isinstance(value, bool):
        return ast.Name({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, list):
        return ast.List([constant_tree(item) for item in value])
    if isinstance(value, dict):
        return ast.Dict([constant_tree(key) for key in value], [constant_tree(item) for item in value.values()])
    if isinstance(value, int | float) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def tree_of(value: Value) -> ast.expr:
    """A value as an expression. Raises Uncertain for a text with a format in it, which only templates have."""
    match value:
        case Constant(value=constant):
            return constant_tree(constant)
        case Computed(spec=""):
            return value.tree
        case Computed():
            raise Uncertain("a number with a fixed number of digits")
        case Built(fields=fields):
            return ast.Dict([constant_tree(key) for key in fields], [tree_of(inner) for inner in fields.values()])
        case Template(parts=parts):
            trees = [constant_tree(part) if isinstance(part, str) else _text_tree(part) for part in parts]
            joined = trees[0] if trees else constant_tree("")
            for tree in trees[1:]:
                joined = ast.BinOp(joined, ast.Add(), tree)
            return joined


def _text_tree(part: Computed) -> ast.expr:
    return tree_of(part) if kind_of(part) == "text" else call("str", tree_of(part))


def call(function: str, *arguments: ast.expr) -> ast.expr:
    """A call of a listed function."""
    return ast.Call(ast.Name(function), list(arguments), [])


def option(value: Value) -> Any:
    """A value as it stands in an option, where `${}` inserts."""
    match value:
        case Constant(value=constant):
            return escaped(constant)
        case Computed(tree=tree, spec=spec):
            return hole(tree, spec)
        case Built():
            return hole(tree_of(value))
        case Template(parts=parts):
            return "".join(escaped(part) if isinstance(part, str) else hole(part.tree, part.spec) for part in parts)


def rich(value: Value) -> Any:
    """A value as it stands where a map may be built field by field."""
    if isinstance(value, Built):
        return {key: rich(inner) for key, inner in value.fields.items()}
    return option(value)


def hole(tree: ast.expr, spec: str = "") -> str:
    """`${...}` around an expression."""
    code = source(tree)
    if code.startswith("{") or code.endswith("}"):
        code = Code(f"({code})")
    return f"${{{code}{':' + spec if spec else ''}}}"


def escaped(constant: Any) -> Any:
    """A constant in whose texts nothing is inserted."""
    if isinstance(constant, str):
        return constant.replace("${", "$${")
    if isinstance(constant, list):
        return [escaped(item) for item in constant]
    if isinstance(constant, dict):
        return {key: escaped(item) for key, item in constant.items()}
    return constant


def field_of(tree: ast.expr, key: str | int) -> ast.expr:
    """A field of a map, or an item of a list."""
    is_plain = isinstance(key, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key) and not keyword.iskeyword(key)
    if is_plain and key not in METHODS and "__" not in str(key) and not _is_number(tree):
        return ast.Attribute(tree, str(key))
    return ast.Subscript(tree, constant_tree(key))


def _is_number(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant)


def joined_text(parts: list[str | Computed]) -> Value:
    """A text out of parts, as short as it can be."""
    merged: list[str | Computed] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    if not merged:
        return Constant("")
    if len(merged) == 1 and isinstance(merged[0], str):
        return Constant(merged[0])
    return Template(tuple(merged))
