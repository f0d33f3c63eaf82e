"""What is held in Redis comes back as it was, and values that are equal there are those that are equal here."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.memory import as_key
from flowrunner.remote.packing import both_keys, key_text, pack, pack_held, unpack, unpack_held, value_text
from flowrunner.steps.changed import differs

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.just("\0")
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.binary()
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(DATA)
def test_values_come_back_as_they_were(value: Any) -> None:
    back = unpack(pack(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [math.nan, [None, math.nan], {"a": math.inf, "b": None}])
def test_numbers_that_json_does_not_know_come_back(value: Any) -> None:
    assert repr(unpack(pack(value))) == repr(value)


@pytest.mark.parametrize("value", [{"\0": ["int", "5"]}, {"\0": 1}, {"a": {"\0": ["bytes", "AA=="]}}])
def test_a_payload_cannot_pass_itself_off_as_something_else(value: Any) -> None:
    assert unpack(pack(value)) == value


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(StepError, match="a object cannot be kept in Redis"):
        pack([object()])


@given(DATA, st.binary())
def test_a_held_message_comes_back_with_what_arrived(value: Any, payload: bytes) -> None:
    origin = ("in/a", payload, 1, False, {"user": {"a": "b"}, "correlation_data": payload})
    held = {"_origin": origin, "payload": value, "topic": "in/a", "k": "a"}
    assert unpack_held(pack_held(held)) == held


@given(DATA, DATA)
def test_keys_are_equal_where_they_are_in_memory(one: Any, other: Any) -> None:
    try:
        expected = as_key(one) == as_key(other)
    except StepError:  # bytes inside of a list, which are no key here either
        with pytest.raises(StepError):
            key_text(one), key_text(other)
        return
    assert (key_text(one) == key_text(other)) is expected


def test_two_keys_cannot_be_taken_for_two_others() -> None:
    assert both_keys(b"t1", b"tab") != both_keys(b"t1t", b"ab")


@given(DATA, DATA)
def test_what_differs_in_memory_differs_in_redis(one: Any, other: Any) -> None:
    assert (value_text(one) != value_text(other)) is differs(one, other, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        ([1, 2], [True, 2.0]),
        ({"a": 1, "b": [0]}, {"b": [False], "a": 1.0}),
        ("x" * 999, "x" * 999),
    ],
)
def test_what_is_equal_is_equal(one: Any, other: Any) -> None:
    assert value_text(one) == value_text(other)


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, "1"), (b"1", "1"), (None, 0), ("x" * 999, "x" * 998 + "y")])
def test_what_is_not_equal_is_not(one: Any, other: Any) -> None:
    assert value_text(one) != value_text(other)
