"""Turns expressions of JavaScript and JSONata into our own, where it is certain that they mean the same."""

import ast
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from flowrunner.nodered.operators import (
    added,
    arithmetic,
    as_number,
    called,
    compared,
    is_bool,
    is_number,
    method,
    or_nothing,
    pieces,
    truth,
)
from flowrunner.nodered.tokens import Word, number, read_words
from flowrunner.nodered.values import (
    Built,
    Computed,
    Constant,
    Uncertain,
    Value,
    call,
    field_of,
    joined_text,
    kind_of,
    tree_of,
)

Read = Callable[[tuple[str | int, ...]], Value]
"""Gives the value of a property of the message, or of a variable: its names on the way."""

_DEEPEST = 12
_COMPARISONS: Mapping[str, type[ast.cmpop]] = {
    "===": ast.Eq, "==": ast.Eq, "!==": ast.NotEq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE,
    ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip


class Reader:
    """Reads one expression, or several out of one list of words."""

    def __init__(self, words: list[Word], read: Read) -> None:
        self.words = words
        self.read = read
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> str:
        """The word that comes, if it is a sign or a name, else nothing."""
        word = self.words[self.place] if self.place < len(self.words) else None
        return word.text if word and word.kind in ("sign", "name") else ""

    @property
    def is_at_end(self) -> bool:
        """Whether there is no further word."""
        return self.place >= len(self.words)

    def take(self, *texts: str) -> str:
        """The next word if it is one of these, else nothing."""
        if self.next and self.next in texts:
            self.place += 1
            return self.words[self.place - 1].text
        return ""

    def need(self, text: str) -> None:
        """Go over a word that must be there."""
        if not self.take(text):
            self.give_up()

    def give_up(self) -> NoReturn:
        """Raise Uncertain with the word that comes."""
        if self.is_at_end:
            raise Uncertain("an end that comes too early")
        near = self.words[max(self.place - 1, 0) : self.place + 3]
        raise Uncertain(f"`{' '.join(word.text[:20] for word in near)}`".replace("\n", " "))

    def whole(self) -> Value:
        """An expression after which nothing comes."""
        found = self.expression()
        if not self.is_at_end:
            self.give_up()
        return found

    def expression(self) -> Value:
        """`a ? b : c` and all that binds closer."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Uncertain("an expression that is nested so deep")
        found = self.either()
        if self.take("?"):
            yes = self.expression()
            self.need(":")
            no = self.expression()
            kind = kind_of(yes) if kind_of(yes) == kind_of(no) else "any"
            found = Computed(ast.IfExp(truth(found), tree_of(yes), tree_of(no)), kind)
        self.depth -= 1
        return found

    def either(self) -> Value:
        """`a || b`; the first may be a field that is not there."""
        found = self.both()
        while self.take("||", "or"):
            other = self.both()
            left = or_nothing(found)
            found = Computed(ast.BoolOp(ast.Or(), [left, tree_of(other)]), "bool" if is_bool(found, other) else "any")
        return found

    def both(self) -> Value:
        """`a && b`."""
        found = self.comparison()
        while self.take("&&", "and"):
            other = self.comparison()
            if not is_bool(found, other):
                self.give_up()
            found = Computed(ast.BoolOp(ast.And(), [tree_of(found), tree_of(other)]), "bool")
        return found

    def comparison(self) -> Value:
        """`a === b` and so on."""
        found = self.sum()
        while sign := self.take(*self.comparisons):
            found = compared(found, self.comparisons[sign], self.sum())
        return found

    comparisons: Mapping[str, type[ast.cmpop]] = _COMPARISONS

    def sum(self) -> Value:
        """`a + b`, also of texts."""
        found = self.product()
        while sign := self.take("+", "-"):
            other = self.product()
            found = arithmetic(found, sign, other) if sign == "-" or is_number(found, other) else added(found, other)
        return found

    def product(self) -> Value:
        """`a * b`."""
        found = self.unary()
        while sign := self.take("*", "/"):
            found = arithmetic(found, sign, self.unary())
        return found

    def unary(self) -> Value:
        """`!a`, `-a`, `+a`."""
        if self.take("!"):
            return Computed(ast.UnaryOp(ast.Not(), truth(self.unary())), "bool")
        if sign := self.take("-", "+"):
            found = self.unary()
            if isinstance(found, Constant) and isinstance(found.value, int | float):
                return Constant(-found.value if sign == "-" else found.value)
            tree = as_number(found)
            return Computed(ast.UnaryOp(ast.USub(), tree) if sign == "-" else tree, "number")
        return self.behind(self.primary())

    def primary(self) -> Value:
        """A constant, a name, brackets, a list or a map."""
        if self.is_at_end:
            self.give_up()
        word = self.words[self.place]
        if word.kind == "number":
            self.place += 1
            return Constant(number(word.text))
        if word.kind == "text":
            self.place += 1
            return Constant(word.text)
        if word.kind == "template":
            self.place += 1
            return self.template(word.text)
        if self.take("("):
            found = self.expression()
            self.need(")")
            return found
        if self.take("["):
            items = self.listed("]")
            if all(isinstance(item, Constant) for item in items):
                return Constant([item.value for item in items if isinstance(item, Constant)])
            return Computed(ast.List([tree_of(item) for item in items]), "list")
        if self.take("{"):
            return self.map()
        return self.named() if word.kind == "name" else self.give_up()

    def named(self) -> Value:
        """What begins with a name: a property on its way, or the call of a known function."""
        word = self.words[self.place].text
        self.place += 1
        known = {"true": True, "false": False, "null": None}
        if word in known:
            return Constant(known[word])
        if word in ("Math", "Date", "JSON", "Number") and self.next == ".":
            self.place += 1
            function = self.next
            self.place += 1
            self.need("(")
            return called(f"{word}.{function}", self.listed(")"))
        if word == "new" and self.take("Date"):
            self.need("(")
            self.need(")")
            self.need(".")
            method = self.take("getTime", "valueOf", "toISOString")
            self.need("(")
            self.need(")")
            return called("Date.now" if method != "toISOString" else "Date.iso", [])
        if self.take("("):
            return called(word, self.listed(")"))
        return self.property(word)

    def property(self, word: str) -> Value:
        """A property and its fields, as far as they are plain."""
        path: list[str | int] = [word]
        while True:
            place = self.place
            if self.take("."):
                key = self.next
                self.place += 1
                if not re.fullmatch(r"[A-Za-z_$][\w$]*", key):
                    self.give_up()
                if self.next == "(":
                    self.place = place
                    break
                path.append(key)
            elif self.next == "[" and self.place + 2 < len(self.words) and self.words[self.place + 2].text == "]":
                key_word = self.words[self.place + 1]
                if key_word.kind not in ("text", "number") or not (key_word.kind == "text" or key_word.text.isdigit()):
                    break
                path.append(key_word.text if key_word.kind == "text" else int(key_word.text))
                self.place += 3
            else:
                break
        return self.read(tuple(path))

    def behind(self, found: Value) -> Value:
        """`.method(...)` and `[...]` behind a value."""
        while True:
            if self.next in (".", "[") and isinstance(found, Constant) and isinstance(found.value, dict | list):
                self.give_up()
            if self.take("."):
                word = self.next
                self.place += 1
                if self.take("("):
                    found = method(found, word, self.listed(")"))
                elif word == "length":
                    found = Computed(call("len", tree_of(found)), "number")
                elif re.fullmatch(r"[A-Za-z_$][\w$]*", word) and kind_of(found) in ("any", "data", "map"):
                    found = Computed(field_of(tree_of(found), word))
                else:
                    raise Uncertain(f"`.{word}`")
            elif self.take("["):
                key = self.expression()
                self.need("]")
                if not isinstance(key, Constant) or isinstance(key.value, bool | float | list | dict):
                    raise Uncertain("`[...]` with a value that is computed")
                kind = "text" if kind_of(found) == "list" else "any"
                found = Computed(ast.Subscript(tree_of(found), tree_of(key)), kind)
            else:
                return found

    def listed(self, end: str) -> list[Value]:
        """Values with commas between them, up to a bracket."""
        found: list[Value] = []
        while not self.take(end):
            found.append(self.expression())
            if not self.take(","):
                self.need(end)
                break
        return found

    def map(self) -> Value:
        """`{a: 1, "b": 2}`."""
        found: dict[str, Value] = {}
        while not self.take("}"):
            word = self.words[self.place] if not self.is_at_end else self.give_up()
            if word.kind not in ("name", "text"):
                self.give_up()
            self.place += 1
            if self.take(":"):
                found[word.text] = self.expression()
            else:
                found[word.text] = self.read((word.text,))
            if not self.take(","):
                self.need("}")
                break
        if all(isinstance(value, Constant) for value in found.values()):
            return Constant({key: value.value for key, value in found.items() if isinstance(value, Constant)})
        return Built(found)

    def apart(self, words: list[Word]) -> Value:
        """An expression that stands inside of a text."""
        outer = self.words, self.place
        self.words, self.place = words, 0
        found = self.whole()
        self.words, self.place = outer
        return found

    def template(self, text: str) -> Value:
        """A text with `${...}` in it."""
        parts: list[str | Computed] = []
        for place, piece in enumerate(re.split(r"\$\{([^{}`]*)\}", text)):
            if place % 2 == 0:
                parts.append(piece)
            else:
                parts += pieces(self.apart(read_words(piece)))
        if any(isinstance(part, str) and "${" in part for part in parts):
            raise Uncertain("a text with brackets in `${...}`")
        return joined_text(parts)


def read_javascript(text: str, read: Read) -> Value:
    """An expression of JavaScript. Raises Uncertain."""
    return Reader(read_words(text), read).whole()
