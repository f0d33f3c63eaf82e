"""Turns operations that could grow without bound into ones that fail with a StepError instead."""

from typing import Any

from flowrunner.errors import StepError
from flowrunner.expressions.limits import MAX_BITS, MAX_ITEMS, MAX_SEARCH, MAX_TEXT, MAX_WORK
from flowrunner.expressions.values import size_of


def too_large(what: str) -> StepError:
    """The error of an operation whose result would go over a bound."""
    return StepError(f"{what} would be too large", code="too-large")


def times(left: Any, right: Any, /) -> Any:
    """`left * right`: numbers up to MAX_BITS, texts up to MAX_TEXT characters, lists up to MAX_ITEMS items."""
    if type(left) is float or type(right) is float:
        return left * right
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS:
            raise too_large("this number")
    else:
        repeated, count = (right, left) if isinstance(left, int) else (left, right)
        if isinstance(repeated, str | bytes | list | tuple) and isinstance(count, int):
            most = MAX_TEXT if isinstance(repeated, str | bytes) else MAX_ITEMS
            if count > 1 and (len(repeated) * count > most or size_of(repeated, MAX_WORK) * count > MAX_WORK):
                raise too_large("this text" if isinstance(repeated, str | bytes) else "this list")
    return left * right


def power(base: Any, exponent: Any, /) -> Any:
    """`base ** exponent`, a real number up to MAX_BITS."""
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent > 0 and abs(base) > 1 and (base.bit_length() - 1) * exponent >= MAX_BITS:
            raise too_large("this number")
    elif isinstance(base, int | float) and isinstance(exponent, int | float) and base < 0 and exponent % 1:
        raise StepError("a negative number has no power with a fraction", code="bad-value")
    return base**exponent


def shift(left: Any, places: Any, /) -> Any:
    """`left << places`, an integer up to MAX_BITS."""
    if isinstance(left, int) and isinstance(places, int) and left and left.bit_length() + places > MAX_BITS:
        raise too_large("this number")
    return left << places


def modulo(left: Any, right: Any, /) -> Any:
    """`left % right` of numbers; Python would format a text here."""
    if isinstance(left, str | bytes):
        raise StepError(
            "`%` needs numbers, the left side is a text", code="wrong-type", help="use `${x:.1f}` to format"
        )
    return left % right


def replace(text: Any, old: Any, new: Any, count: Any = -1, /) -> Any:
    """`text.replace(old, new, count)`; the result is no longer than MAX_TEXT or the text itself."""
    if isinstance(text, str) and isinstance(old, str) and isinstance(new, str) and len(new) > len(old):
        found = text.count(old)
        found = min(found, count) if isinstance(count, int) and count >= 0 else found
        if len(text) + found * (len(new) - len(old)) > MAX_TEXT:
            raise too_large("this text")
    return text.replace(old, new, count)


def join(separator: Any, texts: Any, /) -> Any:
    """`separator.join(texts)`, no longer than MAX_TEXT."""
    parts = list(texts)
    if isinstance(separator, str):
        size = len(separator) * max(len(parts) - 1, 0) + sum(len(part) for part in parts if isinstance(part, str))
        if size > MAX_TEXT:
            raise too_large("this text")
    return separator.join(parts)


def _check_width(width: Any) -> None:
    if isinstance(width, int) and width > MAX_TEXT:
        raise too_large("this text")


def ljust(text: Any, width: Any, fill: Any = " ", /) -> Any:
    """`text.ljust(width, fill)`, no longer than MAX_TEXT."""
    _check_width(width)
    return text.ljust(width, fill)


def rjust(text: Any, width: Any, fill: Any = " ", /) -> Any:
    """`text.rjust(width, fill)`, no longer than MAX_TEXT."""
    _check_width(width)
    return text.rjust(width, fill)


def center(text: Any, width: Any, fill: Any = " ", /) -> Any:
    """`text.center(width, fill)`, no longer than MAX_TEXT."""
    _check_width(width)
    return text.center(width, fill)


def zfill(text: Any, width: Any, /) -> Any:
    """`text.zfill(width)`, no longer than MAX_TEXT."""
    _check_width(width)
    return text.zfill(width)


def check_backward(text: Any, part: Any) -> None:
    """Refuse a search from the end that Python would do in a time that grows with the product of both lengths."""
    if isinstance(text, str) and isinstance(part, str) and len(text) * len(part) > MAX_SEARCH:
        raise too_large("this search")


def rfind(text: Any, part: Any, start: Any = None, stop: Any = None, /) -> Any:
    """`text.rfind(part, start, stop)`, if both are not very long."""
    check_backward(text, part)
    return text.rfind(part, start, stop)


def rsplit(text: Any, separator: Any = None, most: Any = -1, /) -> Any:
    """`text.rsplit(separator, most)`, if both are not very long."""
    check_backward(text, separator)
    return text.rsplit(separator, most)


def strip(text: Any, chars: Any = None, /) -> Any:
    """`text.strip(chars)`, if both are not very long."""
    check_backward(text, chars)
    return text.strip(chars)


def lstrip(text: Any, chars: Any = None, /) -> Any:
    """`text.lstrip(chars)`, if both are not very long."""
    check_backward(text, chars)
    return text.lstrip(chars)


def rstrip(text: Any, chars: Any = None, /) -> Any:
    """`text.rstrip(chars)`, if both are not very long."""
    check_backward(text, chars)
    return text.rstrip(chars)
