"""Turns JSON into values and values into JSON, within the limits that are the same everywhere in flowrunner."""

import re
from typing import Any

import orjson

from flowrunner.errors import StepError

loads = orjson.loads

_OPTIONS = orjson.OPT_NON_STR_KEYS


def dumps(value: Any, *, indent: bool = False, is_sorted: bool = False) -> bytes:
    """A value as JSON in UTF-8, the keys of its maps in their order or sorted.

    Raises StepError for what JSON cannot hold: bytes, integers beyond 64 bits, half a surrogate pair.
    """
    option = _OPTIONS | (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if is_sorted else 0)
    try:
        return orjson.dumps(value, option=option)
    except (TypeError, ValueError, RecursionError) as error:
        raise explain_dumps(error) from None


def explain_dumps(error: Exception) -> StepError:
    """Why a value cannot be JSON, in words."""
    text = str(error)
    if "64-bit" in text:
        message, help = "JSON holds no integer beyond 64 bits", "make it a text: `${str(...)}`"
    elif "bytes" in text:
        message, help = "JSON holds no bytes", "put `- decode: utf-8` before"
    elif "utf-8" in text or "surrogate" in text:
        message, help = "the text holds half a surrogate pair, which is no UTF-8", ""
    elif "ecursion" in text:
        message, help = "the value is nested too deep for JSON", ""
    else:
        message, help = "the value cannot be written as JSON", ""
    return StepError(message, code="not-json-able", help=help)


def to_payload(value: Any) -> bytes:
    """What `publish` sends: bytes as they are, text as UTF-8, null as the empty payload, everything else as JSON."""
    kind = type(value)
    if kind is dict or kind is list:
        try:
            written: bytes = orjson.dumps(value)  # what `dumps` does, for the keys that most maps have
        except TypeError:
            return dumps(value)
        return written
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise explain_dumps(ValueError("surrogate")) from None
    return b"" if value is None else dumps(value)


def explain_json(error: Exception, payload: Any) -> StepError | None:
    """Why a payload is no JSON, in words; None for an error of another kind."""
    if isinstance(error, TypeError) or not isinstance(payload, bytes | str):
        return StepError("the payload is no text or bytes any more: it needs no `json`", code="not-text")
    if not isinstance(error, ValueError):
        return None
    try:
        text = payload.decode() if isinstance(payload, bytes) else payload
    except UnicodeDecodeError as bad:
        message = f"the payload is not JSON: byte 0x{bad.object[bad.start]:02x} at position {bad.start} is no UTF-8"
        return StepError(message, code="not-json", help="if it is text, put `- decode: latin-1` before")
    position = getattr(error, "pos", None)
    return StepError(f"the payload is not JSON{_reason(error, text)}", code="not-json", help=_json_help(text, position))


#: What orjson says, and what we say; all else is a character that was not expected.
_REASONS = {
    "byte order mark": ": it begins with a byte order mark",
    "depth limit": ": it is nested too deep",
    "infinity": ": a number in it is too large",
    "surrogate": ": a text in it holds half a surrogate pair",
    "control character": ": a text in it holds a control character",
}


def _reason(error: ValueError, text: str) -> str:
    if not text.strip():
        return ": it is empty"
    if reason := next((words for part, words in _REASONS.items() if part in str(error)), ""):
        return reason
    position = getattr(error, "pos", None)
    if position is None:
        return ""
    if position >= len(text.rstrip()):
        return ": it ends too early"
    shown = text[position] if text[position].isprintable() else f"U+{ord(text[position]):04X}"
    return f": unexpected `{shown}` at character {position + 1}"


def _json_help(text: str, position: int | None) -> str:
    if text.startswith("\ufeff"):
        return "put `- decode: utf-8-sig` before"
    start = text.lstrip()[:1]
    if start in {"{", "["} and "'" in text and '"' not in text:
        return "JSON wants double quotes: this looks like Python's `str()`; send `json.dumps(...)` instead"
    if any(word in text for word in ("NaN", "Infinity", "nan")):
        return "JSON knows no NaN and no Infinity; the sender must leave them out or send null"
    if start.isalpha() or not start:
        return "for plain text use `- decode: utf-8`"
    return _help_at(text, position) if position is not None else ""


#: What people write at a place where JSON wants something else.
_INSTEAD = {
    "'": 'JSON wants double quotes: `"`',
    "=": "between a key and its value stands `:`",
    ";": "entries are separated by `,`",
    "+": "a number has no `+`",
    ".": "a number begins with a digit, such as `0.5`",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
    **dict.fromkeys("“”„‟«»", 'these are typographic quotes: JSON wants `"`'),
}
_DECIMAL_COMMA = re.compile(r"(?<![\d,])(\d{1,9}),(\d{1,9})(?![\d,])")
_PYTHON = {"True": "true", "False": "false", "None": "null"}
_SHELL = """in a shell, put single quotes around all of it: `-m '{"key": 1}'`"""


def _help_at(text: str, position: int) -> str:
    """What to write at a place where something else stands."""
    before, after = text[:position].rstrip(), text[position:]
    comma = _DECIMAL_COMMA.search(text, max(0, position - 20), position + 20)
    if comma and comma.start() <= position < comma.end():
        return f"a number has a decimal point: `{comma[1]}.{comma[2]}`"
    if not after.strip():
        return "is it cut off? a bracket or a quote is missing at the end"
    if re.match(r",\s*[}\]]", after) or (after[0] in "}]" and before.endswith(",")):
        return f"no comma stands before `{after.lstrip(', ')[:1]}`"
    if word := re.match(r"[^\W\d]\w*", after):
        return _help_with_word(word[0], before)
    if re.match(r"0\d", after):
        return "a number does not begin with `0`; a text stands in double quotes"
    if _is_json(before):
        more = "" if before[0] in "{[" else "; for plain text use `- decode: utf-8`"
        return f"after the value nothing may follow{more}"
    if before[-1:] not in {"", "{", "[", ",", ":"} and after[0] in '"{[-0123456789':
        return "a `,` or `:` is missing before it"
    return _INSTEAD.get(after[0], "")


def _help_with_word(word: str, before: str) -> str:
    if word in _PYTHON:
        return f"JSON writes `{_PYTHON[word]}`"
    if _is_json(before):
        return "for plain text use `- decode: utf-8`"
    what = "a key" if before[-1:] in {"{", ","} else "a text"
    return f"{what} stands in double quotes; {_SHELL}"


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except ValueError:
        return False
    return True
