"""Turns the simplest expressions of JSONata into our own."""

import ast
from collections.abc import Mapping

from flowrunner.nodered.javascript import Read, Reader
from flowrunner.nodered.operators import added, called, pieces
from flowrunner.nodered.tokens import read_words
from flowrunner.nodered.values import Computed, Constant, Uncertain, Value, call, joined_text, kind_of, parsed, tree_of

_OURS = {
    "sum": "sum", "max": "max", "min": "min", "average": "mean", "count": "len", "floor": "floor", "ceil": "ceil",
    "abs": "abs",
}  # fmt: skip


class JsonataReader(Reader):
    """The signs that differ: `=` compares, `&` joins texts, `+` adds numbers, functions begin with `$`."""

    comparisons: Mapping[str, type[ast.cmpop]] = {
        "=": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
    }  # fmt: skip

    def sum(self) -> Value:
        """Sums of numbers, then `&`."""
        found = self.numbers()
        while self.take("&"):
            found = joined_text([*pieces(found), *pieces(self.numbers())])
        return found

    def numbers(self) -> Value:
        """`a + b`: whatever is added is a number."""
        found = self.product()
        while sign := self.take("+", "-"):
            other = self.product()
            if "text" in (kind_of(found), kind_of(other)):
                raise Uncertain("a sum of texts")
            operator = ast.Add() if sign == "+" else ast.Sub()
            found = Computed(ast.BinOp(tree_of(found), operator, tree_of(other)), "number")
        return found

    def named(self) -> Value:
        """A path, or a function."""
        word = self.words[self.place].text
        if not word.startswith("$"):
            return super().named()
        self.place += 1
        self.need("(")
        return _called(word[1:], self.listed(")"))


def _called(word: str, given: list[Value]) -> Value:
    match word, given:
        case "now", []:
            return Computed(parsed("iso(now())"), "text")
        case "millis", []:
            return Computed(parsed("round(now() * 1000)"), "number")
        case "number", [value]:
            return called("Number", [value])
        case "string", [value]:
            return added(Constant(""), value) if kind_of(value) == "text" else called("String", [value])
        case (("uppercase" | "lowercase" | "trim"), [value]) if kind_of(value) in ("text", "any"):
            method = {"uppercase": "upper", "lowercase": "lower", "trim": "strip"}[word]
            return Computed(ast.Call(ast.Attribute(tree_of(value), method), [], []), "text")
        case "length", [value]:
            return Computed(call("len", tree_of(value)), "number")
        case "round", [_] | [_, Constant()]:
            return Computed(call("round", *map(tree_of, given)), "number")
        case _, [value] if word in _OURS:
            return Computed(call(_OURS[word], tree_of(value)), "number")
    raise Uncertain(f"`${word}(...)`")


def read_jsonata(text: str, read: Read) -> Value:
    """An expression of JSONata. Raises Uncertain."""
    return JsonataReader(read_words(text), read).whole()
