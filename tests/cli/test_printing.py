"""What `sub` prints of a message, without a broker."""

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.cli.printing import Received, as_json, formatted, parse_format

MOMENT = 1_795_346_392_123_456_789
MESSAGE = Received("house/attic", b'{"t": 1}', qos=1, is_retained=True, number=7, time=MOMENT)


def shown(text: str, message: Received = MESSAGE) -> bytes:
    return formatted(parse_format(text), message, b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%t", b"house/attic"),
        ("%13t|%-13t|%.5t|%8.5t|%-8.5t|", b"  house/attic|house/attic  |house|   house|house   |"),
        ("%p %q %r %m %l", b'{"t": 1} 1 1 7 8'),
        ("%04l|%-4l|%4l", b"0008|8   |   8"),
        ("%x %X", b"7b2274223a20317d 7B2274223A20317D"),
        ("%U", b"1795346392.123456789"),
        ("@N", b"123456789"),
        ("100 %% @@ \\\\", b"100 % @ \\"),
        ("\\0\\a\\e\\n\\r\\t\\v", b"\0\a\x1b\n\r\t\v"),
        ("°C", "°C".encode()),
        ("%A%C%D%E%F%P%R%S", b""),
    ],
)
def test_formats(text: str, expected: bytes) -> None:
    assert shown(text) == expected


def test_properties_in_formats() -> None:
    properties = {"content_type": "text/plain", "response_topic": "r", "correlation_data": b"\xff", "message_expiry": 9}
    others = {"UserProperty": [("a", "b"), ("a", "c")], "PayloadFormatIndicator": 1, "SubscriptionIdentifier": [3, 4]}
    message = Received("t", b"", properties=properties, other_properties=others)
    assert shown("%C|%R|%D|%E|%P|%F|%S", message) == b"text/plain|r|\xff|9|a:b a:c|1|3 4"


@pytest.mark.parametrize("text", ["%", "@", "\\", "%Z", "%5", "\\x", "%-"])
def test_formats_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(click.UsageError):
        parse_format(text)


@given(st.text(), st.binary(), st.text())
def test_any_format_is_shown_or_refused(text: str, payload: bytes, topic: str) -> None:
    message = Received(topic.encode(errors="replace").decode(), payload, time=MOMENT)
    try:
        parts = parse_format(text)
    except click.UsageError:
        return
    assert isinstance(formatted(parts, message, b"\n"), bytes)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.binary()),
)
def test_a_json_line_is_one_line_that_holds_everything(
    topic: str, payload: bytes, properties: dict[str, bytes]
) -> None:
    data = properties.get("correlation_data", b"c")
    line = as_json(Received(topic, payload, time=MOMENT, properties={"correlation_data": data}))
    assert b"\n" not in line
    read = json.loads(line)
    assert read["topic"] == topic
    assert ("payload" in read) != ("payload_base64" in read)
    assert read["time"] == "2026-11-22T11:19:52.123+00:00"
    if "payload" in read:
        assert read["payload"].encode() == payload


def test_what_is_no_json_is_told_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert formatted(parse_format("%J"), Received("a", b"{", time=MOMENT), b"\n") == b""
    assert capsys.readouterr().err == "error: the payload on `a` is not valid JSON\n"
    assert json.loads(formatted(parse_format("%J"), MESSAGE, b""))["payload"] == {"t": 1}
