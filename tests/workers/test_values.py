"""Values on their way to another process: plain ones arrive as they are, others in words."""

import datetime as dt
import decimal
import enum
import pickle
import threading
import types
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.message import Message
from flowrunner.workers.values import pack, pack_all, unpack

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)


class Odd(enum.Enum):
    ONE = 1


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no")

    __hash__ = None  # type: ignore[assignment]


class Own(dict[str, int]):
    pass


@given(PLAIN)
def test_plain_values_arrive_as_they_are(value: Any) -> None:
    assert unpack(pack(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 1, 2, 3, 4, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.timedelta(1),
        decimal.Decimal("1.20"),
        uuid.UUID(int=7),
        {1, 2},
        bytearray(b"x"),
        Message("a", b"x", properties={"user": {"a": "b"}}),
    ],
    ids=str,
)
def test_times_and_the_like_arrive_as_they_are(value: Any) -> None:
    assert unpack(pack({"payload": value})) == {"payload": value}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Odd.ONE, "<Odd.ONE: 1>"),
        (Own(a=1), "{'a': 1}"),
        (len, "<built-in function len>"),
        (Odd, "<enum 'Odd'>"),
        (Broken(), "(cannot be shown)"),
        (types.SimpleNamespace(a=1), "namespace(a=1)"),
    ],
    ids=["enum", "own map", "function", "class", "broken", "namespace"],
)
def test_what_is_not_plain_arrives_in_words(value: Any, words: str) -> None:
    assert unpack(pack([value, 1])) == [words, 1]


def test_what_cannot_be_pickled_at_all_does_not_hinder_the_rest() -> None:
    lock, made = threading.Lock(), (one for one in [1])
    with pytest.raises(TypeError):
        pickle.dumps(lock)
    found = unpack(pack_all([("look", {"a": lock, "b": made}), ("look", {"a": 1})]))
    assert found[1] == ("look", {"a": 1})
    assert found[0][1]["a"].startswith("<unlocked")


def test_properties_that_are_read_only_arrive_as_a_map() -> None:
    assert unpack(pack(types.MappingProxyType({"user": 1}))) == {"user": 1}


def test_what_is_nested_too_deep_is_said_where_it_stands() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    assert unpack(pack_all([("look", 1, deep), ("look", 2, [])])) == [
        ("look", 1, "(nested too deep to be shown)"),
        ("look", 2, []),
    ]
    while deep:  # Python itself cannot let go of it at once
        (deep,) = deep
