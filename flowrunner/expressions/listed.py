"""Turns the listed functions that Python does not have, or has without bounds, into code."""

import math
from collections.abc import Iterable
from typing import Any

from flowrunner.errors import StepError
from flowrunner.expressions.bounds import too_large
from flowrunner.expressions.limits import MAX_ITEMS
from flowrunner.expressions.values import canonical, kind_word

_MAX_DIGITS = 1000  # of a text that becomes an integer, or of the places to round to


def rounded(value: Any, digits: Any = None, /) -> Any:
    """`round`, with a bound on the digits: Python computes a power of ten first."""
    if isinstance(digits, int) and not -_MAX_DIGITS <= digits <= _MAX_DIGITS:
        raise StepError(f"`round` takes at most {_MAX_DIGITS} digits", code="bad-value")
    return round(value, digits)


def in_order(values: Any, /, *, reverse: Any = False, key: Any = None) -> list[Any]:
    """The items in ascending order, of maps by the field `key`."""
    if key is None:
        return sorted(values, reverse=bool(reverse))
    if not isinstance(key, str):
        raise StepError("`key` of `sorted` is the name of a field", code="wrong-type")
    return sorted(values, key=lambda item: _field(item, key), reverse=bool(reverse))


def _field(item: Any, name: str) -> Any:
    if isinstance(item, dict) and name in item:
        return item[name]
    raise StepError(f"an item has no field `{name}` to sort by", code="missing-field")


def whole(value: Any, base: Any = None, /) -> int:
    """`int`, with a bound on the length of a text."""
    if isinstance(value, str | bytes) and len(value) > _MAX_DIGITS:
        raise StepError(f"`int` reads a text of at most {_MAX_DIGITS} characters", code="bad-value")
    return int(value) if base is None else int(value, base)


def number(value: Any, /) -> float:
    """`float`, with a bound on the length of a text."""
    if isinstance(value, str | bytes) and len(value) > _MAX_DIGITS:
        raise StepError(f"`float` reads a text of at most {_MAX_DIGITS} characters", code="bad-value")
    return float(value)


def mapping(pairs: Any = (), /, **named: Any) -> dict[Any, Any]:
    """`dict`."""
    return dict(pairs, **named)


def counted(*limits: Any) -> list[int]:
    """`range` as a list of at most MAX_ITEMS items."""
    numbers = range(*limits)
    try:
        count = len(numbers)
    except OverflowError:
        count = MAX_ITEMS + 1
    if count > MAX_ITEMS:
        raise too_large("this list")
    return list(numbers)


def zipped(*values: Any) -> list[list[Any]]:
    """`zip` as a list of lists, as JSON has them."""
    return [list(items) for items in zip(*values, strict=False)]


def numbered(values: Any, start: Any = 0, /) -> list[list[Any]]:
    """`enumerate` as a list of lists, as JSON has them."""
    return [[index, item] for index, item in enumerate(values, start)]


def unique(values: Any, /) -> list[Any]:
    """The items without repetitions, compared by their JSON where they cannot be keys."""
    seen = set[Any]()
    kept = []
    for item in values:
        mark = ("json", canonical(item)) if isinstance(item, dict | list | tuple) else item
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def _numbers(values: Any, name: str, least: int) -> list[Any]:
    found = list(values)
    if len(found) < least:
        amount = "an empty list" if not found else "a single value"
        raise StepError(
            f"{amount} has no {name}", code="bad-value", help="`x if payload else 0` answers for an empty list"
        )
    for item in found:
        if not isinstance(item, int | float):
            raise StepError(f"the {name} needs numbers, here is {kind_word(item)}", code="wrong-type")
    return found


def mean(values: Iterable[Any], /) -> float:
    """The average of numbers."""
    found = _numbers(values, "mean", 1)
    return math.fsum(found) / len(found)


def median(values: Iterable[Any], /) -> Any:
    """The middle of numbers."""
    found = sorted(_numbers(values, "median", 1))
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


def stdev(values: Iterable[Any], /) -> float:
    """The standard deviation of a sample."""
    found = _numbers(values, "standard deviation", 2)
    middle = math.fsum(found) / len(found)
    return math.sqrt(math.fsum((item - middle) ** 2 for item in found) / (len(found) - 1))


def random_number(low: Any, high: Any, /) -> float:
    """A random number between two."""
    import random

    return random.uniform(low, high)  # noqa: S311 (a value for a flow, no secret)


def random_whole(low: Any, high: Any, /) -> int:
    """A random integer of a closed range."""
    import random

    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise StepError(f"there is no number from {low} to {high}", code="bad-value")
    return random.randint(low, high)  # noqa: S311 (a value for a flow, no secret)


def pick(values: Any, /) -> Any:
    """A random item of a list or character of a text."""
    import random

    if not isinstance(values, list | tuple | str):
        raise StepError(f"`choice` needs a list, this is {kind_word(values)}", code="wrong-type")
    if not values:
        raise StepError("an empty list has nothing to choose from", code="bad-value")
    return random.choice(values)  # noqa: S311 (a value for a flow, no secret)


def iso(seconds: Any, /) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    from datetime import UTC, datetime

    try:
        whole_seconds, thousandths = divmod(round(seconds * 1000), 1000)
        moment = datetime.fromtimestamp(whole_seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise StepError("this number of seconds is no date of the years 1 to 9999", code="bad-value") from None
    fraction = f".{thousandths:03d}" if thousandths else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{fraction}Z"


def digest(value: Any, /) -> str:
    """16 hexadecimal digits of SHA-256 over bytes, or over the JSON with sorted keys."""
    import hashlib

    data = value if isinstance(value, bytes) else canonical(value)
    return hashlib.sha256(data).hexdigest()[:16]
