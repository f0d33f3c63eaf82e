"""Regular expressions: what matches, what is said of mistakes, and that no text makes one run without end."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from flowrunner.errors import StepError
from flowrunner.expressions.texts import BadPattern, LinearPattern, TimedPattern, compile_pattern, matches

Make = Callable[[str], Any]


def linear(text: str) -> LinearPattern:
    import re2

    return LinearPattern(text, re2)


BOTH = pytest.mark.parametrize("make", [linear, TimedPattern])


@BOTH
@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        ("a+", "aaa", {}),
        ("a+", "aaab", None),
        (r"(?P<room>\w+)/(?P<n>\d+)", "kitchen/12", {"room": "kitchen", "n": "12"}),
        (r"(?P<room>\w+)/(?P<n>\d+)?", "kitchen/", {"room": "kitchen", "n": None}),
        ("(?P<t>.*)°C", "21 °C", {"t": "21 "}),
        (r"\w+", "Küche", None),
        (r"[\pL]+", "Küche", {}),
        ("(?i)on", "ON", {}),
        ("a.b", "a\nb", None),
        ("(?s)a.b", "a\nb", {}),
        ("", "", {}),
        ("(a|b)+(?:c)(?P<d>d)", "abcd", {"d": "d"}),
    ],
)
def test_the_whole_text_must_match(make: Make, pattern: str, text: str, groups: dict[str, str | None] | None) -> None:
    assert make(pattern).fullmatch(text) == groups


@BOTH
def test_the_names_of_groups_are_in_order(make: Make) -> None:
    assert make(r"(?P<z>a)(b)(?P<a>c)").groups == ("z", "a")
    assert make("a").text == "a"


BAD = [
    ("a(b", 1, "a `(` is never closed"),
    ("ab)", 2, "this `)` closes nothing"),
    ("x[a", 1, "a `[` is never closed"),
    ("a**", 1, "`**` repeats a repetition"),
    ("*a", 0, "there is nothing before `*` to repeat"),
    ("x[z-a]", 2, "`z-a` is not a range of characters"),
    ("ab\\", 2, "a `\\` at the end means nothing"),
    (r"ab\q", 2, r"`\q` has no meaning"),
    ("a{3,1}", 1, "`{3,1}` is not a possible number of times (up to 1000)"),
    ("(a{1000}){1000}", 9, "`{1000}` is not a possible number of times (up to 1000)"),
    ("ab(?=c)", 2, "looking ahead, `(?=`, is not possible here"),
    ("ab(?!c)", 2, "looking ahead, `(?=`, is not possible here"),
    ("(?<!a)b", 0, "looking behind, `(?<=`, is not possible here"),
    (r"(a)\1", 3, "referring back to a group is not possible here"),
    ("(?P<a>x)(?P=a)", 8, "referring back to a group is not possible here"),
    ("(?P<a>x)(?P<a>y)", 12, "two groups are called `a`"),
    ("(?P<1a>x)", 0, ""),
    ("a(?>b)", 1, "an atomic group, `(?>`, is not possible here"),
    ("a\ud800", 1, "half a character (a lone surrogate) matches nothing"),
]


@pytest.mark.parametrize(("pattern", "position", "message"), BAD, ids=[ascii(row[0]) for row in BAD])
def test_a_mistake_has_words_and_a_place(pattern: str, position: int, message: str) -> None:
    if not message:
        assert compile_pattern(pattern).groups == ("1a",)
        return
    with pytest.raises(BadPattern) as caught:
        compile_pattern(pattern)
    if pattern != "(a{1000}){1000}":
        assert caught.value.position == position
    assert caught.value.message == message


@pytest.mark.parametrize("pattern", [r"\(?=a", r"[(?=]+", r"[^](?=]", r"[]a]\\1", r"\\\\", "a" * 10_000])
def test_what_only_looks_forbidden_is_fine(pattern: str) -> None:
    assert compile_pattern(pattern).text == pattern


def test_a_very_long_one_is_refused() -> None:
    with pytest.raises(BadPattern, match="at most 10000 characters"):
        compile_pattern("a" * 10_001)


def test_without_re2_the_stand_in_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    assert isinstance(compile_pattern("a+"), TimedPattern)
    for pattern, *_ in BAD:
        if pattern not in {"(a{1000}){1000}", "a**", r"ab\q", "(?P<1a>x)"}:  # these mean something to it
            with pytest.raises(BadPattern) as caught:
                compile_pattern(pattern)
            assert 0 <= caught.value.position <= len(pattern)


HOSTILE = [
    (r"(a+)+b", "a" * 5_000),
    (r"(a|aa)+c", "a" * 5_000),
    (r"(.*)*x", "y" * 5_000),
    (r"(\d+\s?)+!", "1 " * 5_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_a_hostile_text_makes_no_pattern_run_long(pattern: str, text: str) -> None:
    assert linear(pattern).fullmatch(text) is None


def test_the_stand_in_stops_at_its_time_limit() -> None:
    with pytest.raises(StepError, match="takes too long"):
        TimedPattern(r"(a|aa)+c").fullmatch("a" * 5_000)


def test_match_answers_for_texts_only() -> None:
    assert matches("[a-z]+", "abc") is True
    assert matches("[a-z]+", "abc1") is False
    for pattern, text, code in (("a", 1, "wrong-type"), (1, "a", "wrong-type"), ("a", b"a", "bytes-payload")):
        with pytest.raises(StepError) as caught:
            matches(pattern, text)
        assert caught.value.code == code


def test_a_pattern_that_is_computed_is_checked_when_it_is_used() -> None:
    with pytest.raises(StepError) as caught:
        matches("a(" + "b", "ab")
    assert (caught.value.code, caught.value.message) == ("bad-pattern", "a `(` is never closed")


def test_half_a_surrogate_pair_in_a_text_is_no_crash() -> None:
    assert matches(".*", "a\ud800") is True
