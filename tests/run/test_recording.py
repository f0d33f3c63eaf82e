"""Lines of a recording: every message comes back as it was, and what is none is refused with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.diagnostics import render
from flowrunner.errors import FlowError
from flowrunner.message import Message
from flowrunner.run.recording import Recorded, read_recording, write_line

MOMENT = 1_795_354_800.123456  # 2026-11-22T13:40:00.123456Z
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
topics = texts.filter(lambda text: text != "" and not {"+", "#"} & {*text})
properties = st.fixed_dictionaries(
    {},
    optional={
        "user": st.dictionaries(texts, texts, max_size=3),
        "content_type": texts,
        "response_topic": topics,
        "correlation_data": st.binary(max_size=20),
        "message_expiry": st.integers(0, 2**32 - 1),
    },
)
messages = st.builds(
    Message, topics, st.binary(max_size=60) | texts.map(str.encode), st.integers(0, 2), st.booleans(), properties
)


@given(st.lists(st.tuples(st.integers(0, 2**33), messages), max_size=5))
def test_messages_come_back_as_they_were(given: list[tuple[int, Message]]) -> None:
    recorded = [Recorded(time + 0.25, message) for time, message in given]
    lines = b"".join(map(write_line, recorded)).splitlines(keepends=True)
    assert list(read_recording(lines, "day.jsonl")) == recorded


def test_what_is_usual_is_left_out() -> None:
    assert write_line(Recorded(MOMENT, Message("a/b", b""))) == (
        b'{"time":"2026-11-22T13:40:00.123456Z","topic":"a/b"}\n'
    )
    full = Message("a", "21 °C".encode(), 1, True, {"correlation_data": b"\xff", "user": {"unit": "°C"}})
    assert json.loads(write_line(Recorded(MOMENT, full))) == {
        "time": "2026-11-22T13:40:00.123456Z", "topic": "a", "payload": "21 °C", "qos": 1, "retain": True,
        "properties": {"user": {"unit": "°C"}, "correlation_data_base64": "/w=="},
    }  # fmt: skip
    assert b'"payload_base64":"/wA="' in write_line(Recorded(0.0, Message("a", b"\xff\x00")))


def one(**line: Any) -> Message:
    (found,) = read_recording([b"\n", json.dumps({"time": "2026-11-22T13:40:00Z", "topic": "a"} | line).encode()], "x")
    return found.message


def test_lines_by_hand_may_use_the_words_of_tests() -> None:
    assert one(payload={"x": 1}).payload == b'{"x":1}'
    assert one(payload_hex="48 69").payload == b"Hi"
    assert one(payload=None).payload == b""
    assert one(properties={"correlation_data": "x"}).properties == {"correlation_data": b"x"}


def test_a_time_without_a_zone_is_utc() -> None:
    lines = [b'{"time": "2026-11-22T13:40:00", "topic": "a"}', b'{"time": "2026-11-22T14:40:00+01:00", "topic": "a"}']
    first, second = read_recording(lines, "x")
    assert first.time == second.time == 1_795_354_800.0


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ("[1]", "a line of a recording must be a JSON object", 1),
        ('{"time": 3,, }', "a line of a recording must be a JSON object", 12),
        ('{"topic": "a"}', "`time` must say when the message came", 1),
        ('{"time": "noon", "topic": "a"}', "`time` must say when the message came", 2),
        ('{"time": "2026-11-22T13:40:00Z"}', "`topic` must be one that can be published to: a topic must not be empty", 1),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a/+"}', "`topic` must be one that can be published to: one cannot publish to a wildcard", 34),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "qos": 3}', "`qos` must be 0, 1 or 2", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "qos": true}', "`qos` must be 0, 1 or 2", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "retain": 1}', "`retain` must be true or false", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "pay": 1}', "a recorded message has no key `pay`", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "payload_base64": "ä"}', "`payload_base64` must be bytes in base64", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "payload_hex": 7}', "`payload_hex` must be bytes in hexadecimal digits", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "payload": "", "payload_hex": ""}', "a message has one payload", 63),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "properties": 1}', "`properties` must be an object", 48),
        ('{"time": "2026-11-22T13:40:00Z", "topic": "a", "properties": {"x": 1}}', "there is no property `x`", 63),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_with_its_place(line: str, message: str, column: int) -> None:
    good = b'{"time": "2026-11-22T13:40:00Z", "topic": "a"}\n'
    with pytest.raises(FlowError) as caught:
        list(read_recording([good, line.encode()], "day.jsonl"))
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("bad-recording", message)
    assert (found.span.line, found.span.column) == (2, column)
    assert " --> day.jsonl:2:" in render([found])


def test_a_long_line_is_not_shown_in_full() -> None:
    line = json.dumps({"time": "2026-11-22T13:40:00Z", "topic": "a", "payload": "x" * 100_000, "qos": 7})
    with pytest.raises(FlowError) as caught:
        list(read_recording([line.encode()], "day.jsonl"))
    shown = render(caught.value.diagnostics)
    assert len(shown) < 1_000
    assert '"qos": 7' in shown


@given(st.binary(max_size=80))
def test_no_line_raises_anything_else(line: bytes) -> None:
    try:
        list(read_recording([line], "x"))
    except FlowError as error:
        (found,) = error.diagnostics
        assert found.span.end <= len(found.span.source.text)
