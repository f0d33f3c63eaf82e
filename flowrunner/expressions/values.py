"""Turns values into what they are inside a text, and keeps bytes from being taken for text."""

from typing import Any

import orjson

from flowrunner.errors import StepError
from flowrunner.jsons import dumps, explain_dumps

_AROUND_A_VALUE = 4  # characters for the quotes, commas and brackets
DECODE_FIRST = "put `- decode: utf-8` or `- json` before this step"
"""The help wherever bytes stand where a text or a map was meant."""


def kind_word(value: Any) -> str:
    """What a value is, with its article, in the words of the language: `a text`, `a number`, `null`, ..."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case bytes() | bytearray() | memoryview():
            return "bytes"
        case dict():
            return "a map"
        case list() | tuple():
            return "a list"
    return "something else"


def as_text(value: Any, /) -> str:
    """The text that `${value}` inserts into a longer text; raises StepError for bytes that are not UTF-8."""
    kind = type(value)
    if kind is str:
        text: str = value
        return text
    if kind is float or kind is int:
        return repr(value)
    if isinstance(value, bytes | bytearray):
        return decoded(value)
    return str(value) if isinstance(value, str) else json_text(value)


def decoded(value: bytes | bytearray) -> str:
    """Bytes as UTF-8; raises StepError if they are not."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of these bytes is not UTF-8"
        raise StepError(
            message, code="not-text", help="`- decode: latin-1`, `hex` or `base64` reads such bytes"
        ) from None


def json_text(value: Any) -> str:
    """A value as compact JSON; raises StepError for what JSON cannot hold."""
    return dumps(value).decode()


def canonical(value: Any) -> bytes:
    """A value as JSON that is the same for equal values: the fields in order of their names."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise explain_dumps(error) from None


def formatted(value: Any, spec: str, /) -> str:
    """A number or text in a format spec that was checked before; raises StepError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        message = f"`:{spec}` formats numbers and texts, this is {kind_word(value)}"
        raise StepError(message, code="bad-format")
    try:
        return format(value, spec)
    except (ValueError, OverflowError):
        message = f"`:{spec}` cannot format {kind_word(value)}"
        help = "use `${float(x):...}`" if isinstance(value, str) else ""
        raise StepError(message, code="bad-format", help=help) from None


class GuardedBytes(bytes):
    """Bytes that fail when they are compared with a text, where Python would silently say no."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            raise _compared()
        return bytes.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            raise _compared()
        return bytes.__contains__(self, item)  # type: ignore[operator]

    def __hash__(self) -> int:
        # a map whose keys are texts would answer "not there"
        raise _compared()


def _compared() -> StepError:
    return StepError("bytes are compared with a text", code="bytes-payload", help=DECODE_FIRST)


def guarded(value: Any, /) -> Any:
    """The value, every bytes in it being such that fail when they are compared with a text."""
    if isinstance(value, bytes):
        return GuardedBytes(value)
    if isinstance(value, list) and _holds_bytes(value):
        return [guarded(item) for item in value]
    if isinstance(value, dict) and _holds_bytes(value):
        return {key: guarded(item) for key, item in value.items()}
    return value


def _holds_bytes(value: Any) -> bool:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, bytes):
            return True
        if isinstance(value, list | tuple):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value.values())
    return False


def size_of(value: Any, most: int) -> int:
    """About how long the JSON of a value is, counted until it is longer than `most`."""
    size, pending = 0, [value]
    while pending and size <= most:
        value = pending.pop()
        size += _AROUND_A_VALUE
        if isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, list | tuple):
            pending.extend(value)
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
    return size


def without_bytes(value: Any, /) -> Any:
    """The value whose method is called, if it is not bytes."""
    if isinstance(value, bytes):
        raise StepError("the methods of texts are not for bytes", code="bytes-payload", help=DECODE_FIRST)
    return value
