"""`reply`: request and response of MQTT 5."""

from typing import Any

import pytest

from flowrunner.message import Message
from tests.flow_host import FlowHost, Outcome, read


def asked(text: str, topic: str = "ask", **properties: object) -> Outcome:
    host = FlowHost(read(text))
    host.arrive(Message(topic, b"{}", properties=properties))
    return host.outcome


def test_the_answer_goes_where_it_is_wanted_with_what_was_sent_along() -> None:
    outcome = asked(
        "subscribe: ask\nsteps:\n  - reply: {payload: {a: 1}, qos: 1}\n  - publish: behind\n",
        response_topic="me/7",
        correlation_data=b"\x00\xff",
        content_type="x",
        user={"u": "1"},
    )
    answer, behind = outcome.published
    assert (answer.topic, answer.value, answer.qos, answer.retain) == ("me/7", {"a": 1}, 1, False)
    assert answer.properties == {"correlation_data": b"\x00\xff"}
    assert behind.topic == "behind"


def test_without_anything_along() -> None:
    (answer,) = asked("subscribe: ask\nsteps: [reply]\n", response_topic="me").published
    assert (answer.payload, answer.properties) == (b"{}", {})


@pytest.mark.parametrize("properties", [{}, {"correlation_data": b"1"}])
def test_nobody_wants_an_answer(properties: dict[str, Any]) -> None:
    outcome = asked("subscribe: ask\nsteps: [reply]\n", **properties)
    assert outcome.published == []
    assert outcome.error.code == "no-answer-wanted"


@pytest.mark.parametrize("topic", ["a/+", "#", "", "a\0b"])
def test_a_topic_to_which_nothing_can_be_published(topic: str) -> None:
    outcome = asked("subscribe: ask\nsteps: [reply]\n", response_topic=topic)
    assert outcome.published == []
    assert outcome.error.code == "bad-topic"


def test_the_answer_takes_the_connection_of_the_request() -> None:
    text = """
        subscribe: [ask, {topic: far, connection: cloud}]
        every: 1h
        steps:
          - delay: 1s
          - reply: {qos: "${1}"}
    """
    host = FlowHost(read(text))
    for topic in ("ask", "far"):
        host.arrive(Message(topic, b"", properties={"response_topic": f"to/{topic}"}))
    host.enter("every/flow", 1, entry=2)
    host.after(1)
    assert [(message.topic, message.connection) for message in host.outcome.published] == [
        ("to/ask", "default"),
        ("to/far", "cloud"),
    ]
    assert host.outcome.error.code == "no-answer-wanted"


def test_what_is_no_payload_is_no_answer() -> None:
    outcome = asked(
        "subscribe: ask\nsteps:\n  - reply: {payload: '${[b]}'}\n    when: false\n  - let: {b: 1}\n".replace(
            "'${[b]}'", "'${2**70}'"
        ).replace("when: false", "when: true"),
        response_topic="me",
    )
    assert outcome.error.code == "not-json-able"
