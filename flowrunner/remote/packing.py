"""Turns values and messages into texts for Redis, and back into what they were."""

import base64
from collections.abc import Mapping
from math import isfinite
from typing import Any

import orjson

from flowrunner.errors import StepError
from flowrunner.jsons import explain_dumps
from flowrunner.memory import Held, as_key

#: The key of a map that stands for what JSON does not know; it looks so in JSON.
_MARK = "\0"
_WRITTEN = b"\\u0000"

#: Longer texts are remembered by their hash.
_LONGEST = 256


def pack(value: Any) -> bytes:
    """A value as JSON; what JSON does not know stands in maps of its own. Raises StepError for what is no data.

    Tuples come back as lists.
    """
    try:
        written = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        pass
    else:
        if _WRITTEN not in written and b"null" not in written:
            return written
    try:
        return orjson.dumps(_marked(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise explain_dumps(error) from None


def unpack(written: bytes) -> Any:
    """The value that was packed."""
    value = orjson.loads(written)
    return _plain(value) if _WRITTEN in written else value


def pack_held(held: Held) -> bytes:
    """A message that is held: its names and their values."""
    return pack({**held})


def unpack_held(written: bytes) -> Held:
    """The message that was packed."""
    held: Held = unpack(written)
    held["_origin"] = tuple(held["_origin"])
    return held


def _marked(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else {_MARK: ["int", str(value)]}
        case float():
            return value if isfinite(value) else {_MARK: ["float", repr(value)]}
        case bytes() | bytearray():
            return {_MARK: ["bytes", base64.b64encode(value).decode()]}
        case list() | tuple():
            return [_marked(item) for item in value]
        case Mapping():
            if _MARK in value or not all(isinstance(key, str) for key in value):
                return {_MARK: ["map", [[_marked(key), _marked(item)] for key, item in value.items()]]}
            return {key: _marked(item) for key, item in value.items()}
    raise StepError(f"a {type(value).__name__} cannot be kept in Redis", code="not-json-able")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {_MARK}:
        return {key: _plain(item) for key, item in value.items()}
    kind, data = value[_MARK]
    match kind:
        case "int":
            return int(data)
        case "float":
            return float(data)
        case "bytes":
            return base64.b64decode(data)
    return {_plain(key): _plain(item) for key, item in data}


def key_text(value: Any) -> bytes:
    """A value as a key of a step; 1 and 1.0 are one. Raises StepError for what JSON cannot hold."""
    return _key(as_key(value))


def _key(key: Any) -> bytes:
    match key:
        case str():
            return b"t" + key.encode("utf-8", "surrogatepass")
        case bytes():
            return b"b" + key
        case int() | float():
            return _number(key)
    return b"j" + repr(key).encode("utf-8", "surrogatepass")


def both_keys(by: bytes, own: bytes) -> bytes:
    """Two keys as one."""
    return b"%d:%b%b" % (len(by), by, own)


def value_text(value: Any) -> bytes:
    """A value as a text that is equal where the value is: numbers begin with `n`, and may be compared as such."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    text = _kind(value) + _canonical(value)
    if len(text) <= _LONGEST:
        return text
    return _kind(value) + b"#" + _key(as_key(text))


def _kind(value: Any) -> bytes:
    kinds = ((bool, b"?"), (str, b"t"), (bytes, b"b"), (list, b"l"), (tuple, b"u"), (Mapping, b"m"))
    return next((mark for kind, mark in kinds if isinstance(value, kind)), b"0")


def _number(number: float) -> bytes:
    if number != number:  # noqa: PLR0124 - NaN alone is not itself
        return b"N"
    if isinstance(number, int) or number.is_integer():
        return b"n%d" % int(number)
    return b"n" + (repr(number) if isfinite(number) else ("1e999" if number > 0 else "-1e999")).encode()


def _canonical(value: Any) -> bytes:
    match value:
        case None:
            return b"0"
        case int() | float():  # inside of lists and maps, true is 1
            return _number(value)
        case str():
            return b"t" + orjson.dumps(value) if _is_plain(value) else b"T" + repr(value).encode()
        case bytes():
            return b"b" + base64.b64encode(value)
        case list() | tuple():
            return b"[" + b",".join(_canonical(item) for item in value) + b"]"
        case Mapping():
            pairs = sorted(_canonical(key) + b":" + _canonical(item) for key, item in value.items())
            return b"{" + b",".join(pairs) + b"}"
    raise StepError(f"a {type(value).__name__} cannot be compared in Redis", code="not-json-able")


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
