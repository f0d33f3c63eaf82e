"""Operations that could grow are bounded when they run, on the values they get."""

from collections.abc import Callable
from typing import Any

import pytest

from flowrunner.errors import StepError
from flowrunner.expressions import limits

Compute = Callable[..., Any]

TOO_LARGE = [
    "payload.big * payload.big", "payload.text * 1000000", "1000000 * payload.text", "[0] * 1000000",
    "payload.list * 100000",
    "10 ** 10 ** 10", "2 ** 4096", "payload.big ** payload.big", "-2 ** 5000", "(0 - 3) ** 100000", "1 << 5000",
    "payload.big << 4000",
    "'ab' * payload.big * payload.big", "payload.text.ljust(10000000)", "payload.text.rjust(10000000, '.')",
    "payload.text.center(payload.big)", "payload.text.zfill(10000000)", "payload.long.replace('a', payload.long)",
    "payload.long.replace('', payload.long)", "payload.long.join(payload.list * 1000)", "range(1000000)",
    "range(-payload.big, payload.big)",
    "range(0, payload.big, 2)", "[[1 for a in range(10000)] for b in range(10000)]",
    "[1 for a in range(1000) for b in range(1000) for c in range(1000)]", "[payload.long + 'x' for p in range(10000)]",
    "sum(len(list(payload.long)) for p in range(10000))", "[p for p in range(100000) if p in range(100000)]",
    "any(p == q for p in range(10000) for q in range(10000) if p != q)", "[payload.long[1:] for p in range(1000)]",
    "{p: payload.long.upper() for p in range(1000)}", "[sorted(payload.long) for p in range(1000)]",
    "[str(payload.list * 1000) for p in range(10000)]", "[hash(payload.list * 1000) for p in range(10000)]",
    "[{**payload, 'a': payload.long + 'b'} for p in range(1000)]",
    "[''.join(payload.list * 1000) for p in range(100000)]",
    "[''.join(q for q in payload.many) for p in range(10000)]", "[payload.long.split('a') for p in range(1000)]",
    "[p for p in range(100000) if payload.list * 1000 == payload.list * 1000]",
    "[p for p in range(1000) if payload.long == payload.same]", "[p for p in range(10000) if thing == 'a']",
    "[payload.long for p in range(1000)]", "[{'a': payload.long, 'b': p} for p in range(1000)]",
    "[[payload.long]] * 1000",
    "[payload.list and payload.long for p in range(1000)]", "{p: [payload.fields] for p in range(10000)}",
    "[p for q in range(1000) for p in [payload.long]]", "[[p for p in [payload.long]] for q in range(1000)]",
    "[payload.get('long') for p in range(1000)]", "[max([payload.long]) for p in range(1000)]", "[payload] * 1000",
    "[{**payload} for p in range(1000)]", "[[payload.long] + [p] for p in range(1000)]",
    "[range(1000) for p in range(100000)]", "[[0] * 1000 for p in range(100000)]",
    "[payload.list | p for p in range(100000)]"
    .replace("payload.list | p", "payload.fields | {p: 1}"),
]  # fmt: skip

VALUES = {
    "big": 2**2100,
    "text": "ab",
    "long": "a" * 50_000,
    "list": ["a", "b", "c"],
    "many": [""] * 50_000,
    "same": "a" * 50_000,
    "fields": {str(n): n for n in range(5_000)},
}


@pytest.mark.parametrize("text", TOO_LARGE)
def test_what_would_be_too_large_is_a_step_error(compute: Compute, text: str) -> None:
    with pytest.raises(StepError) as caught:
        compute(text, payload=VALUES, thing=["b"] * 10_000)
    assert caught.value.code == "too-large"


FITTING = [
    ("payload.big * 2 > payload.big", True),
    ("len('ab' * 500000)", 1_000_000),
    ("len([0] * 100000)", 100_000),
    ("payload.text * 0 + payload.text * -5", ""),
    ("2 ** 4000 > 1", True),
    ("1 ** 10000000000 + (-1) ** 10000000001 + 0 ** 5", 0),
    ("0 << 100000", 0),
    ("len(payload.text.ljust(1000000))", 1_000_000),
    ("len(payload.long.replace('a', 'bb'))", 100_000),
    ("len(','.join(payload.many))", 49_999),
    ("len(range(100000))", 100_000),
    ("len([[x for x in range(100)] for y in range(1000)])", 1_000),
    ("len([p for p in range(1000) if p in range(1000)])", 1_000),
    ("len([p for p in range(100000)])", 100_000),
    ("sum(p * 2 for p in range(100000))", 9_999_900_000),
    ("len([p for p in payload.fields if p in payload.fields])", 5_000),
    ("payload.long.rfind('b') + len(payload.long.rstrip('a'))", -1),
]


@pytest.mark.parametrize(("text", "value"), FITTING, ids=[row[0] for row in FITTING])
def test_what_fits_is_computed(compute: Compute, text: str, value: object) -> None:
    assert compute(text, payload=VALUES) == value


@pytest.mark.parametrize(
    "text", ["p.rfind(q)", "p.rsplit(q)", "p.rpartition(q)", "p.strip(q)", "p.lstrip(q)", "p.rstrip(q)"]
)
def test_a_search_from_the_end_of_two_long_texts_is_refused(compute: Compute, text: str) -> None:
    with pytest.raises(StepError) as caught:
        compute(
            text.replace("p.", "payload.a.").replace("q", "payload.b"), payload={"a": "a" * 90_000, "b": "b" * 9_000}
        )
    assert caught.value.message == "this search would be too large"


BAD_VALUES = [
    ("(-8) ** 0.5", "a negative number has no power with a fraction"),
    ("payload.text % 3", "`%` needs numbers, the left side is a text"),
    ("round(5, -1000000000)", "`round` takes at most 1000 digits"),
    ("int('9' * 100000)", "`int` reads a text of at most 1000 characters"),
    ("float('9' * 100000)", "`float` reads a text of at most 1000 characters"),
    ("mean([])", "an empty list has no mean"),
    ("median([])", "an empty list has no median"),
    ("stdev([1])", "a single value has no standard deviation"),
    ("mean(['a'])", "the mean needs numbers, here is a text"),
    ("choice([])", "an empty list has nothing to choose from"),
    ("choice(3)", "`choice` needs a list, this is a number"),
    ("randint(3, 1)", "there is no number from 3 to 1"),
    ("iso(1e300)", "this number of seconds is no date of the years 1 to 9999"),
    ("iso(float('nan'))", "this number of seconds is no date of the years 1 to 9999"),
    ("sorted([{'a': 1}, {}], key='a')", "an item has no field `a` to sort by"),
    ("sorted([1], key=1)", "`key` of `sorted` is the name of a field"),
    ("str(thing)", "JSON holds no bytes"),
    ("hash(thing)", "JSON holds no bytes"),
]


@pytest.mark.parametrize(("text", "message"), BAD_VALUES, ids=[row[0] for row in BAD_VALUES])
def test_what_has_no_value_is_said(compute: Compute, text: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        compute(text, payload=VALUES, thing=[b"x"])
    assert caught.value.message == message


def test_the_bounds_are_those_of_the_reference() -> None:
    assert (limits.MAX_BITS, limits.MAX_TEXT, limits.MAX_ITEMS) == (4096, 1_000_000, 100_000)


def test_what_has_a_value_after_numbers_of_any_kind(compute: Compute) -> None:
    assert compute("payload.a * payload.b", payload={"a": True, "b": "xy"}) == "xy"
    assert compute("payload.a * payload.b", payload={"a": 1.5, "b": 2}) == 3.0
    assert compute("thing * 2", thing=b"ab") == b"abab"
    with pytest.raises(TypeError):
        compute("payload.a * payload.b", payload={"a": "x", "b": "y"})
