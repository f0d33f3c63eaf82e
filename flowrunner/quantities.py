"""Turns texts such as `5s`, `64KiB` and `10/s` into numbers."""

import re
from decimal import Decimal

DURATION_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
"""What a duration looks like, for JSON Schema."""

SIZE_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
"""What a size looks like, for JSON Schema."""

RATE_PATTERN = r"^[0-9]{1,15}/(s|m|h|d)$"
"""What a rate looks like, for JSON Schema."""

LONGEST_DURATION = 36_525 * 86_400.0
"""A hundred years in seconds: what clocks and timers everywhere can count to."""

LARGEST_SIZE = 2**53
"""In bytes: what JSON and floats count to without a gap."""

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86_400)}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

_OTHER_WORDS_FOR_TIME = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "s": ("sec", "secs", "second", "seconds"),
    "m": ("min", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}
_TIME_WORDS = {word: unit for unit, words in _OTHER_WORDS_FOR_TIME.items() for word in (unit, *words)}
_SIZE_WORDS = {"k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB", "byte": "B", "bytes": "B"}
_SIZE_WORDS |= {unit.lower(): unit for unit in _BYTES if unit != "KB"}

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_NUMBER_AND_WORD = re.compile(rf"({_NUMBER}) ?([A-Za-z]*)")
_PARTS_OF_TIME = re.compile(rf"({_NUMBER}) ?([A-Za-z]+),? ?")
_COUNT_AND_WORD = re.compile(r"([0-9]{1,15}) ?(?:/|per) ?([A-Za-z]+)")


class BadQuantity(ValueError):
    """A text is not the duration, size or rate that it should be; `help` is what to write instead, or empty."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `500ms`, `5s`, `1.5m`, `1h`, `1d`; raises BadQuantity."""
    if not (found := re.fullmatch(rf"({_NUMBER})(ms|s|m|h|d)", text)):
        raise _bad_duration(text)
    seconds = float(Decimal(found[1]) * _SECONDS[found[2]])
    if seconds > LONGEST_DURATION:
        raise BadQuantity("a duration is at most a hundred years, `36525d`")
    return seconds


def parse_size(text: str) -> int:
    """Bytes of a size such as `64KiB` (65 536), `10MB` (10 000 000) or `12B`; raises BadQuantity."""
    found = _NUMBER_AND_WORD.fullmatch(text)
    if not found or found[2] not in _BYTES or " " in text:
        raise _bad_size(text)
    size = Decimal(found[1]) * _BYTES[found[2]]
    if size != int(size):
        raise BadQuantity("a size must be a whole number of bytes")
    if size > LARGEST_SIZE:
        raise BadQuantity("a size is at most 9007 TB")
    return int(size)


def parse_rate(text: str) -> tuple[int, float]:
    """How many, in how many seconds, of a rate such as `10/s` (10, 1.0) or `5/m` (5, 60.0); raises BadQuantity."""
    if not (found := re.fullmatch(r"([0-9]{1,15})/(s|m|h|d)", text)):
        raise _bad_rate(text)
    if int(found[1]) == 0:
        raise BadQuantity("a rate must be at least one", f"write `1/{found[2]}`")
    return int(found[1]), float(_SECONDS[found[2]])


def format_duration(seconds: float) -> str:
    """The duration as people write it, in the largest unit that needs no fraction: `500ms`, `90s`, `1h`."""
    given = Decimal(str(seconds))
    fitting = [unit for unit, size in _SECONDS.items() if given >= size and given % size == 0]
    unit = fitting[-1] if fitting else ("ms" if given < 1 else "s")
    return f"{(given / _SECONDS[unit]).normalize():f}{unit}"


def format_size(size: int) -> str:
    """The size as people write it, in the largest unit that needs no fraction: `64KiB`, `10MB`, `12B`."""
    fitting = [unit for unit, count in _BYTES.items() if unit != "KB" and size >= count and size % count == 0]
    unit = max(fitting, key=_BYTES.__getitem__, default="B")
    return f"{size // _BYTES[unit]}{unit}"


def _bad_duration(text: str) -> BadQuantity:
    stripped = text.strip()
    if stripped.startswith("-"):
        return BadQuantity("a duration is never negative", "write `5s` for five seconds")
    if found := _NUMBER_AND_WORD.fullmatch(stripped):
        number, word = found[1], found[2].lower()
        if not word:
            return BadQuantity(f"{_cut(number)} what? a duration needs a unit", f"write `{number}s` for seconds")
        if word in {"w", "week", "weeks"}:
            return BadQuantity("the longest unit of a duration is `d`", _write(f"{_times(number, 7)}d"))
        if unit := _TIME_WORDS.get(word):
            return BadQuantity("a duration is a number and a unit: `ms s m h d`", f"write `{number}{unit}`")
        return BadQuantity(f"`{_cut(found[2])}` is no unit of time; there are `ms s m h d`", f"write `{number}s`")
    if whole := _sum_of_parts(stripped):
        return BadQuantity("a duration is one number with one unit", _write(whole))
    return BadQuantity("a duration is a number and a unit: `ms s m h d`", "write `5s` for five seconds")


def _bad_size(text: str) -> BadQuantity:
    stripped = text.strip()
    if found := _NUMBER_AND_WORD.fullmatch(stripped):
        number, word = found[1], found[2]
        if not word:
            help = f"write `{number}KiB` for units of 1024 bytes, or `{number}B`"
            return BadQuantity(f"{_cut(number)} what? a size needs a unit", help)
        if unit := _SIZE_WORDS.get(word.lower()):
            return BadQuantity("a size is a number and a unit such as `B kB KiB MB MiB`", f"write `{number}{unit}`")
        return BadQuantity(f"`{_cut(word)}` is no unit of size; there are `B kB KiB MB MiB GB GiB`")
    return BadQuantity("a size is a number and a unit such as `B kB KiB MB MiB`", "write `64KiB` or `10MB`")


def _bad_rate(text: str) -> BadQuantity:
    stripped = text.strip()
    if found := _COUNT_AND_WORD.fullmatch(stripped):
        unit = _TIME_WORDS.get(found[2].lower(), "s")
        return BadQuantity("a rate is a number, `/` and a unit: `s m h d`", f"write `{found[1]}/{unit}`")
    if re.fullmatch(r"[0-9]{1,15}", stripped):
        help = f"write `{stripped}/s` for {_cut(stripped)} in a second"
        return BadQuantity(f"{_cut(stripped)} in what time? a rate needs a unit", help)
    if found := re.fullmatch(rf"[0-9]{{1,15}} ?/ ?({_NUMBER}[a-z]+)", stripped):
        return BadQuantity("a rate counts in one `s`, `m`, `h` or `d`", "write `10/s` or `5/m`")
    return BadQuantity("a rate is a number, `/` and a unit: `s m h d`", "write `10/s` for ten in a second")


def _sum_of_parts(text: str) -> str:
    """`1h30m` as a duration with one unit, here `90m`; empty if the text is not such a sum."""
    parts, place = [], 0
    while place < len(text) and (found := _PARTS_OF_TIME.match(text, place)):
        parts.append((Decimal(found[1]), _TIME_WORDS.get(found[2].lower(), "")))
        place = found.end()
    if place < len(text) or len(parts) < 2 or not all(unit for _, unit in parts):
        return ""
    smallest = min((unit for _, unit in parts), key=lambda unit: _SECONDS[unit])
    total = sum((number * _SECONDS[unit] for number, unit in parts), Decimal(0)) / _SECONDS[smallest]
    return f"{total.normalize():f}{smallest}"


def _write(duration: str) -> str:
    """The advice to write this duration, unless the calculation made it longer than durations are."""
    return f"write `{duration}`" if re.search(DURATION_PATTERN, duration) else ""


def _times(number: str, factor: int) -> str:
    return f"{(Decimal(number) * factor).normalize():f}"


def _cut(text: str) -> str:
    return text if len(text) <= 12 else f"{text[:11]}…"
