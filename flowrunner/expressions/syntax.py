"""Turns an expression that Python does not understand into the place and the words of the mistake."""

from dataclasses import field
from itertools import pairwise
from keyword import iskeyword

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.expressions.model import ExpressionError, fault, refuse
from flowrunner.expressions.tokens import Token
from flowrunner.expressions.words import MISPLACED
from flowrunner.records import dataclass
from flowrunner.text import Passage

_CLOSES = {"(": ")", "[": "]", "{": "}"}
_WORD_OPERATORS = {"and", "or", "in", "is", "if", "else", "for"}
_BEFORE_VALUES = {"not", "-", "+", "~", "*", "**", "lambda", "await", "yield"}
_STATEMENTS = {
    "import", "from", "def", "class", "return", "while", "try", "raise", "del", "pass", "assert", "with", "global",
    "nonlocal", "break", "continue", "elif", "except", "finally", "as", "async",
}  # fmt: skip


def check_brackets(tokens: list[Token], passage: Passage, *, most: int) -> None:
    """Raise ExpressionError unless every bracket is closed, in order, and at most `most` are open at once."""
    opened = list[Token]()
    for token in tokens:
        span = passage.span(token.start, token.end)
        if token.kind == "open":
            opened.append(token)
            if len(opened) > most:
                raise refuse(span, f"more than {most} brackets are open here", help="name a part of it with `let`")
        elif token.kind == "close":
            if not opened:
                raise refuse(span, f"this `{token.text}` closes nothing")
            last = opened.pop()
            if _CLOSES[last.text] != token.text:
                raise ExpressionError([_mismatch(last, token, passage)])
    if opened:
        last = opened[-1]
        message = f"`{last.text}` is never closed"
        raise refuse(passage.span(last.start, last.end), message, label=f"a `{_CLOSES[last.text]}` is missing")


def _mismatch(opened: Token, closed: Token, passage: Passage) -> Diagnostic:
    return Diagnostic(
        "bad-expression",
        f"expected `{_CLOSES[opened.text]}` before `{closed.text}`",
        passage.span(closed.start, closed.end),
        labels=(Label(passage.span(opened.start, opened.end), "to close this"),),
    )


def check_commas(tokens: list[Token], passage: Passage) -> None:
    """Raise ExpressionError at a comma outside of brackets: Python would make a list of it."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.kind == "open") - (token.kind == "close")
        if token.text == "," and depth == 0:
            raise ExpressionError([_top_comma(tokens, index, passage)])


def _top_comma(tokens: list[Token], index: int, passage: Passage) -> Diagnostic:
    around = tokens[max(index - 1, 0) : index + 2]
    text, end = "".join(token.text for token in around), around[-1].end
    if [token.kind for token in around] == ["number", "operator", "number"] and end - around[0].start == len(text):
        help = f"write `{text.replace(',', '.')}`"
        return fault(passage.span(around[0].start, end), "a number has a point, not a comma", help=help)
    comma = passage.span(tokens[index].start, tokens[index].end)
    return fault(comma, "an expression is one value", help="a list stands in brackets: `[1, 2]`")


def check_texts(tokens: list[Token], passage: Passage) -> None:
    """Raise ExpressionError where two texts follow each other: Python would join them, people forgot a comma."""
    for before, after in pairwise(tokens):
        if before.kind == after.kind == "text":
            raise refuse(passage.span(after.start, after.end), "expected `+` or a comma between two texts")


def explain_syntax(tokens: list[Token], passage: Passage) -> Diagnostic:
    """What is wrong with tokens that are no expression."""
    return _Reading(tokens, passage).find() or fault(passage.span(), "this is not an expression")


@dataclass(slots=True)
class _Reading:
    """One way through the tokens, on which values and operators must alternate."""

    tokens: list[Token]
    passage: Passage
    opened: list[str] = field(default_factory=list)
    before: Token | None = None
    wants_value: bool = True
    ifs: list[Token] = field(default_factory=list)

    def find(self) -> Diagnostic | None:
        for token in self.tokens:
            problem = self.at_value(token) if self.wants_value else self.at_operator(token)
            if problem:
                return problem
            self.before = token
        if self.wants_value and self.before:
            return self.say(self.before, f"expected a value after `{self.before.text}`", "nothing follows")
        if self.ifs:
            help = "write `a if condition else b`; a condition alone is written bare"
            return self.say(self.ifs[-1], "this `if` has no `else`", help=help)
        return None

    def say(self, token: Token, message: str, label: str = "", help: str = "") -> Diagnostic:
        return fault(self.passage.span(token.start, token.end), message, label=label, help=help)

    def at_value(self, token: Token) -> Diagnostic | None:
        if token.kind in {"number", "text"} or (token.kind == "name" and self.is_plain(token)):
            self.wants_value = False
        elif token.kind == "open":
            self.opened.append(token.text)
        elif token.kind == "close" and self.may_close():
            self.opened.pop()
            self.wants_value = False
        elif token.text == ":" and self.opened[-1:] in (["["], ["[x"]):
            pass
        elif token.text not in _BEFORE_VALUES:
            return self.no_value(token)
        return None

    def is_plain(self, token: Token) -> bool:
        if self.before is not None and self.before.text == ".":
            return not iskeyword(token.text)
        return token.text not in _WORD_OPERATORS | _STATEMENTS | _BEFORE_VALUES

    def may_close(self) -> bool:
        return self.before is not None and (self.before.kind == "open" or self.before.text in {",", ":"})

    def no_value(self, token: Token) -> Diagnostic:
        found = f"found `{token.text}`"
        if token.kind == "operator" or token.text in _WORD_OPERATORS:
            found = "found another operator"
        if self.before is None or self.before.kind == "open":
            help = MISPLACED.get(token.text, "")
            return self.say(token, f"expected a value before `{token.text}`", help=help)
        if self.before.text == "." and iskeyword(token.text):
            help = f'read this field with brackets: `["{token.text}"]`'
            return self.say(token, f"`{token.text}` is a word of the language", help=help)
        if self.before.text == ".":
            return self.say(token, "expected the name of a field after `.`", found)
        if self.before.text == token.text == "=":
            return self.say(token, "`==` is written without a blank")
        return self.say(token, f"expected a value after `{self.before.text}`", found, MISPLACED.get(token.text, ""))

    def at_operator(self, token: Token) -> Diagnostic | None:
        if token.kind in {"number", "text"}:
            return self.two_values(token)
        if token.kind == "name":
            return self.at_word(token)
        if token.kind == "open":
            if token.text == "{":
                return self.two_values(token)
            self.opened.append(token.text + "x")
            self.wants_value = True
        elif token.kind == "close":
            self.opened.pop()
        else:
            return self.at_sign(token)
        return None

    def at_word(self, token: Token) -> Diagnostic | None:
        if token.text not in _WORD_OPERATORS | {"not"}:
            return self.two_values(token)
        if token.text == "if" and not self.has_for():
            self.ifs.append(token)
        elif token.text == "else":
            if not self.ifs:
                return self.say(token, "this `else` has no `if`", help=MISPLACED["else"])
            self.ifs.pop()
        self.wants_value = token.text != "not"
        return None

    def has_for(self) -> bool:
        return any(token.text == "for" for token in self.tokens)

    def at_sign(self, token: Token) -> Diagnostic | None:
        place = self.opened[-1] if self.opened else ""
        if token.text == "=" and place != "(x":
            return self.say(token, "`=` sets a value, `==` compares", help="write `==`")
        if token.text == ":" and place not in {"[x", "{"}:
            return self.say(token, "`:` has no meaning here", help='a map stands in braces: `{"a": 1}`')
        if token.text == "~":
            return self.two_values(token)
        self.wants_value = True
        return None

    def two_values(self, token: Token) -> Diagnostic:
        before = self.before
        assert before is not None
        for word in (before, token):
            if word.kind == "name" and word.text.lower() in {"and", "or", "not"} and not word.text.islower():
                return self.say(word, f"`{word.text}` is written `{word.text.lower()}`")
            if word.kind == "name" and word.text in MISPLACED:
                return self.say(word, f"`{word.text}` is not a word of the language", help=MISPLACED[word.text])
        if token.kind == "number" and token.text.startswith("."):
            help = f"the items of a list are read with brackets: `{before.text}[{token.text[1:]}]`"
            return self.say(token, "expected the name of a field after `.`", help=help)
        if before.text == "not":
            return self.say(token, "expected `in` after `not`")
        message = f"expected an operator between `{_short(before.text)}` and `{_short(token.text)}`"
        if len(message) > 78:
            message = "expected an operator before this"
        return self.say(token, message, "a second value")


def _short(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:15]}…"
