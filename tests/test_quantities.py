"""Durations, sizes and rates: what is read, and what is said about the rest."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowrunner.quantities import (
    DURATION_PATTERN,
    LARGEST_SIZE,
    LONGEST_DURATION,
    RATE_PATTERN,
    SIZE_PATTERN,
    BadQuantity,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

PARSERS: list[tuple[Callable[[str], Any], str]] = [
    (parse_duration, DURATION_PATTERN),
    (parse_size, SIZE_PATTERN),
    (parse_rate, RATE_PATTERN),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("5s", 5.0), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0), ("0.1s", 0.1), ("0s", 0.0)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("64KiB", 65536), ("10MB", 10_000_000), ("12B", 12), ("1.5kB", 1500), ("1KB", 1000), ("2GiB", 2**31), ("0B", 0)],
)
def test_a_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", (10, 1.0)), ("5/m", (5, 60.0)), ("1/h", (1, 3600.0)), ("3/d", (3, 86400.0))]
)
def test_a_rate_is_a_count_and_seconds(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("parse", "text", "message", "help"),
    [
        (parse_duration, "5", "5 what? a duration needs a unit", "write `5s` for seconds"),
        (parse_duration, "5 s", "a duration is a number and a unit: `ms s m h d`", "write `5s`"),
        (parse_duration, "5min", "a duration is a number and a unit: `ms s m h d`", "write `5m`"),
        (parse_duration, "5S", "a duration is a number and a unit: `ms s m h d`", "write `5s`"),
        (parse_duration, "10 seconds", "a duration is a number and a unit: `ms s m h d`", "write `10s`"),
        (parse_duration, "2w", "the longest unit of a duration is `d`", "write `14d`"),
        (parse_duration, "5us", "`us` is no unit of time; there are `ms s m h d`", "write `5s`"),
        (parse_duration, "1h30m", "a duration is one number with one unit", "write `90m`"),
        (parse_duration, "1 hour, 1 second", "a duration is one number with one unit", "write `3601s`"),
        (parse_duration, "-5s", "a duration is never negative", "write `5s` for five seconds"),
        (parse_duration, "soon", "a duration is a number and a unit: `ms s m h d`", "write `5s` for five seconds"),
        (parse_duration, "40000d", "a duration is at most a hundred years, `36525d`", ""),
        (parse_size, "64", "64 what? a size needs a unit", "write `64KiB` for units of 1024 bytes, or `64B`"),
        (parse_size, "64K", "a size is a number and a unit such as `B kB KiB MB MiB`", "write `64KiB`"),
        (parse_size, "64 mb", "a size is a number and a unit such as `B kB KiB MB MiB`", "write `64MB`"),
        (parse_size, "3 apples", "`apples` is no unit of size; there are `B kB KiB MB MiB GB GiB`", ""),
        (parse_size, "0.5B", "a size must be a whole number of bytes", ""),
        (parse_size, "99999TB", "a size is at most 9007 TB", ""),
        (parse_size, "", "a size is a number and a unit such as `B kB KiB MB MiB`", "write `64KiB` or `10MB`"),
        (parse_rate, "10", "10 in what time? a rate needs a unit", "write `10/s` for 10 in a second"),
        (parse_rate, "10/sec", "a rate is a number, `/` and a unit: `s m h d`", "write `10/s`"),
        (parse_rate, "10 per minute", "a rate is a number, `/` and a unit: `s m h d`", "write `10/m`"),
        (parse_rate, "10/5s", "a rate counts in one `s`, `m`, `h` or `d`", "write `10/s` or `5/m`"),
        (parse_rate, "0/s", "a rate must be at least one", "write `1/s`"),
        (parse_rate, "fast", "a rate is a number, `/` and a unit: `s m h d`", "write `10/s` for ten in a second"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(
    parse: Callable[[str], Any], text: str, message: str, help: str
) -> None:
    with pytest.raises(BadQuantity) as caught:
        parse(text)
    assert (caught.value.message, caught.value.help) == (message, help)


quantities = st.from_regex(r"[0-9]{1,17}(\.[0-9]{0,3})?[ /]?[a-zA-Z]{0,4}( ?[0-9]{1,3} ?[smhd])?", fullmatch=True)


@pytest.mark.parametrize(("parse", "pattern"), PARSERS)
@given(text=st.text(max_size=30) | quantities)
@example(text="٣s")
@example(text="5s\n")
@example(text="9" * 5000)
@example(text="9" * 12 + "TiB")
@example(text="9" * 15 + "w")
def test_any_text_is_a_quantity_or_a_short_message_and_what_is_proposed_is_one(
    parse: Callable[[str], Any], pattern: str, text: str
) -> None:
    bad = mistake_in(parse, text)
    if bad is None:
        assert re.fullmatch(pattern[1:-1], text)
        return
    assert bad.message
    assert len(bad.message) < 80
    assert not bad.message.endswith(".")
    for proposed in re.findall(r"write `([^`]+)`", bad.help):
        assert re.search(pattern, proposed), proposed


def mistake_in(parse: Callable[[str], Any], text: str) -> BadQuantity | None:
    try:
        parse(text)
    except BadQuantity as bad:
        return bad
    return None


@given(st.integers(0, 10**9), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60)]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: tuple[str, float]) -> None:
    word, seconds = unit
    value = number * seconds
    if value <= LONGEST_DURATION:
        assert parse_duration(f"{number}{word}") == pytest.approx(value)


@given(st.integers(0, LARGEST_SIZE))
def test_a_size_in_bytes_is_itself(number: int) -> None:
    if number < 10**15:
        assert parse_size(f"{number}B") == number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "500ms"),
        (2, "2s"),
        (90, "90s"),
        (3600, "1h"),
        (172_800, "2d"),
        (0.0004, "0.4ms"),
        (0, "0ms"),
        (1.5, "1500ms"),
    ],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (1500, "1500B"),
        (10_000_000, "10MB"),
        (65_536, "64KiB"),
        (1024**3, "1GiB"),
        (2**53, "8192TiB"),
    ],
)
def test_a_size_is_written_as_people_do(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000
    assert parse_size(format_size(milliseconds)) == milliseconds
