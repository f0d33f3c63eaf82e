"""Turns the text of an unquoted YAML scalar into its value."""

import math
import re

Value = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_DIGITS = 308


def resolve(text: str) -> Value:
    """The value of a plain scalar: the words of YAML 1.2 (core schema) and numbers as JSON writes them.

    Everything else is text: `on`, `yes`, `12:30`, `010`, `1_000`, `0x10`, `.5`, `2024-01-01`. A number that no float
    can hold is returned as infinity, which nothing else is.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789" or not (found := _NUMBER.fullmatch(text)):
        return text
    if found.lastindex:
        return float(text)
    # Python refuses to read very long integers, and JSON could not carry them
    return int(text) if len(text) <= _MOST_DIGITS else math.inf
