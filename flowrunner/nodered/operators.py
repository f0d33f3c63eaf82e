"""Turns operators, functions and methods of JavaScript into our own, where it is certain that they mean the same."""

import ast

from flowrunner.nodered.values import (
    Computed,
    Constant,
    Template,
    Uncertain,
    Value,
    call,
    constant_tree,
    joined_text,
    kind_of,
    parsed,
    tree_of,
)

_ARITHMETIC: dict[str, type[ast.operator]] = {"-": ast.Sub, "*": ast.Mult, "/": ast.Div}
_MATHS = {"floor", "ceil", "abs", "sqrt", "min", "max", "exp", "log"}
_TEXT_METHODS = {
    "toUpperCase": "upper", "toLowerCase": "lower", "trim": "strip", "startsWith": "startswith", "endsWith": "endswith",
    "split": "split", "indexOf": "find",
}  # fmt: skip
_GIVES = {"startswith": "bool", "endswith": "bool", "split": "list", "find": "number"}


def truth(value: Value) -> ast.expr:
    """A condition; a field that is missing is false, too.

    Raises Uncertain where JavaScript may mean something else: empty lists and maps are true there.
    """
    if kind_of(value) in ("list", "map"):
        raise Uncertain("a list as a condition")
    return or_nothing(value)


def or_nothing(value: Value) -> ast.expr:
    """A value before `||`: a field that may be missing is asked for."""
    tree = tree_of(value)
    if isinstance(tree, ast.Attribute):
        return ast.Call(ast.Attribute(tree.value, "get"), [constant_tree(tree.attr)], [])
    return tree


def is_bool(*values: Value) -> bool:
    """Whether all are certainly true or false."""
    return all(kind_of(value) == "bool" for value in values)


def is_number(*values: Value) -> bool:
    """Whether all are certainly numbers."""
    return all(kind_of(value) == "number" for value in values)


def as_number(value: Value) -> ast.expr:
    """A value that JavaScript would make a number of."""
    match kind_of(value):
        case "text":
            return call("float", tree_of(value))
        case "list" | "map" | "bytes" | "bool":
            raise Uncertain("a number made of something else")
    return tree_of(value)


def arithmetic(left: Value, sign: str, right: Value) -> Value:
    """A difference, product or quotient; a sum of numbers."""
    operator = ast.Add() if sign == "+" else _ARITHMETIC[sign]()
    return Computed(ast.BinOp(as_number(left), operator, as_number(right)), "number")


def added(left: Value, right: Value) -> Value:
    """`+` where a text is certainly part of it, or a number."""
    if is_number(left, right):
        return arithmetic(left, "+", right)
    if "text" not in (kind_of(left), kind_of(right)):
        raise Uncertain("`+` of what may be numbers or texts")
    return joined_text([*pieces(left), *pieces(right)])


def pieces(value: Value) -> list[str | Computed]:
    """What a value adds to a text."""
    match value:
        case Template(parts=parts):
            return list(parts)
        case Constant(value=constant) if not isinstance(constant, list | dict):
            return [method(value, "toString", []).value if not isinstance(constant, str) else constant]  # type: ignore[union-attr]
        case Computed() if value.kind not in ("list", "map", "bytes"):
            return [value]
    raise Uncertain("a list or map in a text")


def compared(left: Value, operator: type[ast.cmpop], right: Value) -> Value:
    """A comparison; a text that is compared with a number becomes one."""
    kinds = {kind_of(left), kind_of(right)}
    left_tree, right_tree = tree_of(left), tree_of(right)
    if operator not in (ast.Eq, ast.NotEq) and kinds == {"text", "number"}:
        left_tree, right_tree = as_number(left), as_number(right)
    elif kinds & {"list", "map"}:
        raise Uncertain("a comparison of lists or maps")
    return Computed(ast.Compare(left_tree, [operator()], [right_tree]), "bool")


def called(function: str, given: list[Value]) -> Value:
    """A call of a function that is known in both worlds."""
    first = given[0] if given else Constant("")
    group, _, word = function.rpartition(".")
    match function, len(given):
        case "Math.round", 1:
            return Computed(call("floor", ast.BinOp(as_number(first), ast.Add(), ast.Constant(0.5))), "number")
        case "Math.random", 0:
            return Computed(parsed("uniform(0, 1)"), "number")
        case "Math.pow", 2:
            return Computed(ast.BinOp(as_number(first), ast.Pow(), as_number(given[1])), "number")
        case _, 1 | 2 if group == "Math" and word in _MATHS and (word in ("min", "max") or len(given) == 1):
            return Computed(call(word, *map(as_number, given)), "number")
        case "Date.now", 0:
            return Computed(parsed("round(now() * 1000)"), "number")
        case "Date.iso", 0:
            return Computed(parsed("iso(now())"), "text")
        case (("Number" | "parseFloat" | "Number.parseFloat"), 1):
            return first if is_number(first) else Computed(call("float", tree_of(first)), "number")
        case (("parseInt" | "Number.parseInt"), 1 | 2):
            if len(given) == 2 and not (isinstance(given[1], Constant) and given[1].value == 10):
                raise Uncertain("`parseInt` with a base")
            return Computed(call("int", call("float", tree_of(first))), "number")
        case "String", 1 if not isinstance(first, Constant):
            return Computed(call("str", tree_of(first)), "text")
        case "JSON.stringify", 1 if kind_of(first) in ("map", "list", "number", "bool", "data", "any"):
            return Computed(call("str", tree_of(first)), "text")
    raise Uncertain(f"`{function}(...)`")


def method(value: Value, word: str, given: list[Value]) -> Value:
    """A method of a text, number or list."""
    if word == "toFixed" and len(given) <= 1:
        digits = given[0] if given else Constant(0)
        if not isinstance(digits, Constant) or not isinstance(digits.value, int) or not 0 <= digits.value <= 20:
            raise Uncertain("`toFixed` with digits that are computed")
        return Computed(as_number(value), "number", f".{digits.value}f")
    if word == "toString" and not given:
        if isinstance(value, Constant) and not isinstance(value.value, list | dict | None.__class__):
            constant = value.value
            text = str(constant).lower() if isinstance(constant, bool) else str(constant)
            return Constant(text)
        if kind_of(value) in ("list", "map"):
            raise Uncertain("`toString` of a list or map")
        return value if kind_of(value) == "text" else Computed(call("str", tree_of(value)), "text")
    if kind_of(value) != "text":
        raise Uncertain(f"`.{word}(...)` of what may be no text")
    if word == "includes" and len(given) == 1:
        return Computed(ast.Compare(tree_of(given[0]), [ast.In()], [tree_of(value)]), "bool")
    if word == "replace" and len(given) == 2 and all(kind_of(one) == "text" for one in given):
        arguments = [*map(tree_of, given), ast.Constant(1)]
        return Computed(ast.Call(ast.Attribute(tree_of(value), "replace"), arguments, []), "text")
    if word in _TEXT_METHODS and all(kind_of(one) == "text" for one in given) and len(given) <= 1:
        ours = _TEXT_METHODS[word]
        if bool(given) == (ours in ("upper", "lower", "strip")):
            raise Uncertain(f"`.{word}(...)`")
        tree = ast.Call(ast.Attribute(tree_of(value), ours), [tree_of(one) for one in given], [])
        return Computed(tree, _GIVES.get(ours, "text"))
    raise Uncertain(f"`.{word}(...)`")
