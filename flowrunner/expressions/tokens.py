"""Turns the text of an expression into tokens, and refuses characters that no expression holds."""

import re
from typing import Literal

from flowrunner.expressions.limits import MAX_DIGITS
from flowrunner.expressions.model import refuse
from flowrunner.records import dataclass
from flowrunner.text import Passage

TokenKind = Literal["number", "text", "name", "operator", "open", "close"]

#: Longest first; those that Python does not have are here too, so that they can be named.
_OPERATORS = (
    "===", "!==", "...", "**=", "//=", "<<=", ">>=", "<=>", "==", "!=", "<=", ">=", "<>", "=>", "=<", "->", ":=", "&&",
    "||", "??", "?.", "**", "//", "<<", ">>", "++", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "+", "-", "*", "/",
    "%", "<", ">", "=", "&", "|", "^", "~", "!", "?", ".", ",", ":", "@", ";",
)  # fmt: skip
_OPERATOR = re.compile("|".join(map(re.escape, _OPERATORS)))
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+"
    r"|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?[jJ]?"
)
_BLANK = re.compile(r"[ \t\r\n]+")
_TEXT_PREFIX = re.compile(r"(?i:[bruf]{0,2})(?=[\"'])")

#: Characters that look like something an expression can hold, and what was meant.
LOOKALIKES = {
    **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("‘’‚‛′´", "'"), **dict.fromkeys("−–—‒", "-"),
    "×": "*", "·": "*", "÷": "/", "≥": ">=", "≤": "<=", "≠": "!=", "＝": "==", "＞": ">", "＜": "<", "，": ",",
    "：": ":", "（": "(", "）": ")", "∧": "and", "∨": "or", "¬": "not", "∈": "in",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression; `start` and `end` count characters of the passage."""

    kind: TokenKind
    text: str
    start: int
    end: int


def read_tokens(passage: Passage) -> list[Token]:
    """The tokens of an expression; raises ExpressionError at the first character that cannot be in one."""
    text, tokens, at = passage.text, list[Token](), 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        token = _text(passage, at) or _number(passage, at) or _name(text, at) or _sign(text, at)
        if token is None:
            raise _strange(passage, at)
        tokens.append(token)
        at = token.end
    return tokens


def _text(passage: Passage, at: int) -> Token | None:
    text, prefix = passage.text, _TEXT_PREFIX.match(passage.text, at)
    if prefix is None:
        return None
    quote = text[prefix.end()]
    quote = quote * 3 if text.startswith(quote * 3, prefix.end()) else quote
    end = prefix.end() + len(quote)
    while not text.startswith(quote, end):
        if end >= len(text):
            message = f"this text has no closing `{quote}`"
            raise refuse(passage.span(at, at + 1), message, label="it begins here")
        if text[end] in "\r\n" and len(quote) == 1:
            message = f"this text has no closing `{quote}` on its line"
            help = "a line end inside a text is written `\\n`"
            raise refuse(passage.span(at, end), message, help=help)
        end += 2 if text[end] == "\\" else 1
    if end + len(quote) > len(text):
        raise refuse(passage.span(at, at + 1), f"this text has no closing `{quote}`", label="it begins here")
    _check_characters(passage, at, end)
    return Token("text", text[at : end + len(quote)], at, end + len(quote))


def _check_characters(passage: Passage, start: int, end: int) -> None:
    for at in range(start, end):
        char = passage.text[at]
        if (char < " " and char not in "\t\r\n") or "\ud800" <= char <= "\udfff" or char == "\x7f":
            message = f"the character {ord(char):#06x} cannot stand in an expression"
            help = f"inside a text it is written `\\x{ord(char):02x}`" if ord(char) < 0x80 else ""
            raise refuse(passage.span(at, at + 1), message, help=help)


def _number(passage: Passage, at: int) -> Token | None:
    found = _NUMBER.match(passage.text, at)
    if found is None:
        return None
    text, end = passage.text, found.end()
    word = found.group()
    if end < len(text) and continues_name(text[end]):
        rest = name_end(text, end)
        unit = text[end:rest]
        message = f"`{text[at:rest]}` is neither a number nor a name"
        help = f"a number has no unit: `{word}`" if word.isdecimal() and unit.isalpha() else ""
        raise refuse(passage.span(at, rest), message, help=help)
    if len(word) > MAX_DIGITS:
        raise refuse(passage.span(at, end), f"a number has at most {MAX_DIGITS} digits")
    if "__" in word or word.endswith("_"):
        raise refuse(passage.span(at, end), "`_` stands between two digits of a number")
    if len(word) > 1 and word[0] == "0" and word.replace("_", "").isdecimal() and word.strip("0_"):
        help = f"write `{word.lstrip('0_')}`, or `0o{word.lstrip('0_')}` for an octal number"
        raise refuse(passage.span(at, end), "a number does not begin with `0`", help=help)
    return Token("number", word, at, end)


def _name(text: str, at: int) -> Token | None:
    if not text[at].isidentifier():
        return None
    end = name_end(text, at)
    return Token("name", text[at:end], at, end)


def name_end(text: str, at: int) -> int:
    """Where the name that goes on at a place ends."""
    while at < len(text) and continues_name(text[at]):
        at += 1
    return at


def continues_name(char: str) -> bool:
    """Whether a character can stand inside a name."""
    return ("a" + char).isidentifier()


def _sign(text: str, at: int) -> Token | None:
    if text[at] in "([{":
        return Token("open", text[at], at, at + 1)
    if text[at] in ")]}":
        return Token("close", text[at], at, at + 1)
    found = _OPERATOR.match(text, at)
    return Token("operator", found.group(), at, found.end()) if found else None


def _strange(passage: Passage, at: int) -> Exception:
    text, char = passage.text, passage.text[at]
    span = passage.span(at, at + 1)
    if text.startswith("${", at):
        end = text.find("}", at)
        inner = text[at + 2 : end].strip() if end > 0 else ""
        help = f"write `{text[:at]}{inner}{text[end + 1 :]}`" if inner and len(text) < 60 else ""
        return refuse(passage.span(at, at + 2), "an expression needs no `${}`", help=help)
    if char in LOOKALIKES:
        message = f"`{char}` is not `{LOOKALIKES[char]}`, although it looks like it"
        return refuse(span, message, help=f"type `{LOOKALIKES[char]}`")
    if char == "#":
        help = "put the comment on a line of its own"
        return refuse(span, "a comment cannot stand inside an expression", help=help)
    if char == "`":
        return refuse(span, "a text stands in `\"` or `'`, not in backticks")
    if char == "\\":
        return refuse(span, "`\\` has a meaning inside a text only")
    if char == "$":
        return refuse(span, "a name has no `$` before it")
    if char.isspace() or char in "\u200b\u200c\u200d\ufeff\u2060":
        return refuse(span, f"this is not an ordinary space but U+{ord(char):04X}", help="type a space")
    _check_characters(passage, at, at + 1)
    return refuse(span, f"`{char}` cannot stand in an expression")
