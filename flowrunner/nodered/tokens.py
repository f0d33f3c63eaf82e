"""Turns JavaScript and JSONata into words, as far as simple expressions need them."""

import json
import re
from dataclasses import dataclass

from flowrunner.nodered.values import Uncertain

_WORDS = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<number>(?:0[xX][0-9a-fA-F]{1,12}|(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,2})?)(?![\w$]))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<template>`(?:[^`\\]|\\.)*`)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||=>|\?\?|\?\.|\+\+|--|\+=|-=|\*=|/=|[-+*/%<>=!?:;,.(){}\[\]&|^~])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_MOST = 4000


@dataclass(frozen=True, slots=True)
class Word:
    """A word: `kind` is `number`, `text`, `template`, `name` or `sign`."""

    kind: str
    text: str


def read_words(text: str) -> list[Word]:
    """The words of a program. Raises Uncertain for what is none of the simple ones, such as a regular expression."""
    words: list[Word] = []
    place = 0
    while place < len(text):
        found = _WORDS.match(text, place)
        if not found or len(words) > _MOST:
            raise Uncertain(f"`{text[place : place + 20].splitlines()[0]}`")
        kind = str(found.lastgroup)
        if kind in ("text", "template"):
            words.append(Word(kind, unescape(found[0][1:-1])))
        elif kind != "blank":
            words.append(Word(kind, found[0]))
        place = found.end()
    return words


def unescape(text: str) -> str:
    r"""A text of JavaScript without its escapes; `\${` in a template stays as it is, and is refused there."""
    if "\\" not in text:
        return text
    made = re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\n|.)", _unescaped, text, flags=re.DOTALL)
    if re.search(r"[\ud800-\udfff\x00-\x08\x0e-\x1f\x7f]", made):
        raise Uncertain("a character that no file can hold")
    return made


def _unescaped(found: re.Match[str]) -> str:
    mark = found[1]
    if mark == "$":
        raise Uncertain(r"`\$`")
    if len(mark) > 1:
        return chr(int(mark[1:], 16))
    return _ESCAPES.get(mark, "" if mark == "\n" else mark)


def number(text: str) -> int | float:
    """A number of JavaScript."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if len(text) > 1 and text.isdigit() and text[0] == "0":
        raise Uncertain(f"`{text}`")
    value: int | float = json.loads(text) if re.fullmatch(r"\d+", text) else float(text)
    return int(value) if value == int(value) and abs(value) < 1e15 else value
