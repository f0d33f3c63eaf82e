"""Expected and published messages side by side."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.jsons import to_payload
from flowrunner.read.cases import Expected
from flowrunner.text import Source
from flowrunner.trial.compare import differences, line_up, meets
from flowrunner.trial.host import Published

SPAN = Source("test", "x").span(0, 1)


def expect(topic: str | None = None, payload: Any = ..., **rest: Any) -> Expected:
    has_payload = payload is not ...
    given = {"qos": None, "retain": None, "properties": None} | rest
    return Expected(topic, payload if has_payload else None, has_payload, **given, span=SPAN)


def got(topic: str = "t", payload: Any = b"", **rest: Any) -> Published:
    return Published(topic, to_payload(payload), **rest)


topics = st.lists(st.sampled_from("abc"), max_size=7)


@given(topics, topics)
def test_everything_is_lined_up_once_and_in_order(expected: list[str], published: list[str]) -> None:
    pairs = line_up([expect(topic) for topic in expected], [got(topic) for topic in published])
    assert [pair.expected.topic for pair in pairs if pair.expected] == expected
    assert [pair.got.topic for pair in pairs if pair.got] == published
    assert all(pair.is_same for pair in pairs) is (expected == published)


@given(topics, topics)
def test_as_many_as_possible_are_the_same(expected: list[str], published: list[str]) -> None:
    def longest(one: list[str], other: list[str]) -> int:
        if not one or not other:
            return 0
        if one[0] == other[0]:
            return 1 + longest(one[1:], other[1:])
        return max(longest(one[1:], other), longest(one, other[1:]))

    pairs = line_up([expect(topic) for topic in expected], [got(topic) for topic in published])
    assert sum(pair.is_same for pair in pairs) == longest(expected, published)


def test_many_messages_take_no_longer_than_they_should() -> None:
    expected = [expect("x"), *(expect(str(number)) for number in range(3000))]
    pairs = line_up(expected, [got(str(number)) for number in range(3000)])
    assert not any(pair.is_same for pair in pairs)
    assert len(pairs) == 3001


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 2.0]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(values, values)
def test_a_value_meets_itself_and_nothing_else(one: Any, other: Any) -> None:
    assert meets(got(payload=one), expect(payload=one))
    if not isinstance(one, str) and not isinstance(other, str) and one is not None and other is not None:
        same = orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
        if same:
            assert meets(got(payload=other), expect(payload=one))


@pytest.mark.parametrize(
    ("expected", "published", "words"),
    [
        (expect("a"), got("b"), ['topic: expected "a", got "b"']),
        (expect(qos=1), got(), ["qos: expected 1, got 0"]),
        (expect(retain=True), got(), ["retain: expected true, got false"]),
        (expect(payload={"a": {"b": 1}}), got(payload={"a": {"b": 2}}), ["payload.a.b: expected 1, got 2"]),
        (expect(payload={"a": 1}), got(payload={"b": 2}), ["payload.a: expected 1, is not there", "payload.b: not expected, got 2"]),
        (expect(payload=[1, 2]), got(payload=[1]), ["payload[1]: expected 2, is not there"]),
        (expect(payload=[1]), got(payload=[1, 2]), ["payload[1]: not expected, got 2"]),
        (expect(payload=1), got(payload=True), ["payload: expected 1, got true"]),
        (expect(payload={"a": 1}), got(payload="hello"), ['payload: expected {"a": 1}, got hello, which is not JSON']),
        (expect(payload=None), got(payload="hello"), ["payload: expected nothing, got hello"]),
        (expect(payload="a"), got(payload="a\n"), ['payload: expected "a", got "a\\n"']),
        (expect(payload="a"), got(payload=b"\xff"), ['payload: expected "a", got the bytes ff']),
        (expect(payload=b"\xff"), got(payload=b"a"), ["payload: expected the bytes ff, got 61"]),
        (expect(properties={"user": {"a": "1"}}), got(properties={}), ['properties.user: expected {"a": "1"}, is not there']),
        (expect(payload="x" * 100), got(payload="x" * 99 + "y"), [f'payload: from character 100 on expected "…{"x" * 21}", got "…{"x" * 20}y"']),
        (expect(), got("any", {"x": 1}), []),
    ],
)  # fmt: skip
def test_differences_in_words(expected: Expected, published: Published, words: list[str]) -> None:
    assert list(differences(expected, published)) == words
