"""What `on_error: {publish: ...}` sends: what arrived, byte for byte, and why it failed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.message import Message
from flowrunner.options import check_properties
from flowrunner.steps.publish import reason
from tests.flow_host import FlowHost, Published, read
from tests.waiting_step import read_waiting

FLOW = """
    subscribe: in/+room
    {of_flow}
    steps:
      - json
      - set: {{seen: true}}
      - wait: '"fail" if payload.x == 1 else payload'
        id: ask
        {of_step}
      - publish: out
"""
LETTER = "on_error: {publish: dead}"


def dead(payload: bytes, *, of_flow: str = "", of_step: str = "", **rest: Any) -> Published:
    """The one message that comes out of a flow."""
    host = FlowHost(read_waiting(FLOW.format(of_flow=of_flow or "description: x", of_step=of_step or "when: true")))
    host.arrive(Message("in/attic", payload, **rest))
    assert host.outcome.errors == []
    (sent,) = host.outcome.published
    return sent


@pytest.mark.parametrize("payload", [b'{"x": 1}', b'{"x"', b"\xff\x00\xfe", b"", b'  {"y": 1}\r\n'])
def test_a_dead_letter_is_what_arrived_byte_for_byte(payload: bytes) -> None:
    sent = dead(payload, of_flow=LETTER)
    assert (sent.topic, sent.payload) == ("dead", payload)


@pytest.mark.parametrize("place", ["of_flow", "of_step"])
def test_its_properties_say_why_and_where(place: str) -> None:
    sent = dead(b'{"x": 1}', **{place: LETTER})
    assert sent.properties == {
        "user": {
            "original_topic": "in/attic",
            "error": "this expression cannot be computed",
            "error_code": "step-failed",
            "error_step": "ask",
            "error_place": "flows/flow.yaml:6:5",
        }
    }


def test_user_properties_and_content_type_of_the_message_are_kept() -> None:
    given_ = {
        "user": {"sender": "d17"},
        "content_type": "application/json",
        "response_topic": "r",
        "correlation_data": b"1",
    }
    sent = dead(b"{", of_flow=LETTER, properties=given_)
    assert sent.properties["content_type"] == "application/json"
    assert sent.properties["user"]["sender"] == "d17"
    assert sent.properties["user"]["error_code"] == "not-json"
    assert sent.properties.keys() == {"user", "content_type"}


def test_properties_of_its_own_are_left_alone() -> None:
    sent = dead(b"{", of_flow='on_error: {publish: {topic: dead, properties: {user: {why: "${error.code}"}}}}')
    assert sent.properties == {"user": {"why": "not-json"}}


def test_qos_retain_and_another_payload_can_be_given() -> None:
    sent = dead(
        b"{",
        of_flow='on_error: {publish: {topic: "dead/${error.step}", qos: 1, retain: true, payload: "${error.message}"}}',
    )
    assert (sent.topic, sent.qos, sent.retain) == ("dead/json", 1, True)
    assert sent.payload == b"the payload is not JSON: it ends too early"
    assert sent.properties["user"]["original_topic"] == "in/attic"


def test_a_publish_among_other_steps_of_on_error_is_an_ordinary_one() -> None:
    sent = dead(b"{", of_flow="on_error: [{publish: dead}]")
    assert sent.properties == {}


def test_what_error_holds() -> None:
    names = ["message", "code", "step", "line", "column", "file"]
    payload = "{" + ", ".join(f'{name}: "${{error.{name}}}"' for name in names) + "}"
    sent = dead(b'{"x": 1}', of_step=f"on_error: {{publish: {{topic: dead, payload: {payload}}}}}")
    assert sent.value == {
        "message": "this expression cannot be computed",
        "code": "step-failed",
        "step": "ask",
        "line": 6,
        "column": 5,
        "file": "flows/flow.yaml",
    }


def test_a_dead_letter_that_cannot_be_sent_is_an_error_of_its_own(tmp_path: Path) -> None:
    host = FlowHost(read('subscribe: in\non_error: {publish: "dead/${payload}"}\nsteps:\n  - json\n', folder=tmp_path))
    assert host.get("in", b"a/#").error.code == "bad-topic"
    assert host.outcome.published == []


error_texts = st.fixed_dictionaries(
    {
        "message": st.text(),
        "code": st.just("x"),
        "step": st.text(),
        "file": st.text(),
        "line": st.just(1),
        "column": st.just(1),
    }
)


@given(error_texts, st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.just("v")))
def test_whatever_failed_the_reason_can_be_sent(error: dict[str, Any], user: dict[str, str]) -> None:
    properties = reason({**error, "message": error["message"] + "\0\ud800" * 600}, "a/b", {"user": user})
    assert check_properties(properties) == properties
