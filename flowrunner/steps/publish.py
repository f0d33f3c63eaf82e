"""Turns a message into one that is sent to a broker: the step `publish`."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Template
from flowrunner.fields import name_kind
from flowrunner.jsons import explain_dumps, to_payload
from flowrunner.options import (
    FLAG,
    ConnectionName,
    MessageProperties,
    QoS,
    TopicTemplate,
    ValueKind,
    check_properties,
    option,
)
from flowrunner.options.numbers import check_flag, check_qos
from flowrunner.step import Step
from flowrunner.topics import BadTopic, check_topic
from flowrunner.values import Constant, Value, value_kind

_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Step):
    """Publish the message; then it goes on.

    A map or list is sent as JSON, text as UTF-8, bytes as they are, a number or bool as JSON, null as the empty payload
    (which deletes a retained message). Nothing can be published to a wildcard: give the level a name where you
    subscribe (`sensors/+room`) and insert it (`alerts/${room}`).

    As `on_error: {publish: errors/kitchen}` it sends what arrived, byte for byte. On MQTT 5 its user properties then
    say what happened: `error`, `error_code`, `error_step`, `error_place` and `original_topic`; others may be given.
    """

    KEY = "publish"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - publish: rooms/${room}
          - publish: {topic: "rooms/${room}/text", payload: "${payload.t:.1f} °C", qos: 1, retain: true}
        tests:
          - given: {topic: sensors/attic, payload: {t: 20}}
            expect:
              - {topic: rooms/attic, payload: {t: 20}, qos: 0, retain: false}
              - {topic: rooms/attic/text, payload: 20.0 °C, qos: 1, retain: true}
        """,
    )

    topic: Template = option(TopicTemplate(), "the topic; `${...}` may fill levels", main=True)
    payload: Value | None = option(ValueKind(), "what to send; without it the message's payload", default=None)
    qos: int | Expression = option(QoS(), "quality of service: 0, 1 or 2", default=0)
    retain: bool | Expression = option(FLAG, "whether the broker keeps it for later subscribers", default=False)
    connection: str = option(ConnectionName(), "the name of a connection in `flowrunner.yaml`", default="default")
    properties: Value | None = option(
        MessageProperties(),
        "MQTT 5: `content_type`, `response_topic`, `correlation_data`, `message_expiry`, and `user`, a map",
        default=None,
    )
    is_dead_letter: bool = False  # it stands in `on_error: {publish: ...}`, and tells why

    def emit(self, to: Block) -> None:
        publish = to.bound(_publisher_name(self.connection), lambda host: host.publisher(self.connection))
        arguments = [self.emit_topic(to), self.emit_payload(to)]
        if (self.qos, self.retain, self.properties) != (0, False, None) or self.is_dead_letter:
            arguments += [to.dynamic(self.qos, check_qos), to.dynamic(self.retain, check_flag)]
        if self.properties is not None:
            arguments.append(self.emit_properties(to, self.properties))
        elif self.is_dead_letter:
            arguments.append(to.expression("REASON(error, topic, properties)", REASON=to.helper(reason)))
        to.run_call(publish, arguments)

    def explain(self, error: Exception, values: Mapping[str, Any]) -> StepError | None:
        return explain_dumps(error) if isinstance(error, UnicodeEncodeError) else None

    def emit_topic(self, to: Block) -> ast.expr:
        """The topic, checked once for every different text."""
        if self.topic.is_constant:
            return to.constant(self.topic.constant)
        holes = {"TOPICS": to.shared("topics", KnownTopics()), "TOPIC": to.value(self.topic)}
        return to.expression("TOPICS[TOPIC]" if self.topic.single is None else "TOPICS.check(TOPIC)", **holes)

    def emit_payload(self, to: Block) -> ast.expr:
        """The payload in bytes."""
        return payload_bytes(to, self.payload)

    def emit_properties(self, to: Block, properties: Value) -> ast.expr:
        """The MQTT 5 properties; where they hold `${}`, checked when the message comes."""
        if isinstance(properties, Constant):
            return to.constant(properties.value)
        return to.expression("CHECK(VALUE)", CHECK=to.helper(check_properties), VALUE=to.value(properties))


def payload_bytes(to: Block, payload: Value | None) -> ast.expr:
    """What is sent, in bytes: a value, else the message's payload; where the kind is known, without asking."""
    if payload is None:
        value, kind = to.name("payload"), to.scope.names["payload"]
    else:
        value, kind = to.value(payload), value_kind(payload, to.scope)
    if kind == "bytes":
        return value
    if kind == "text":
        return to.expression("VALUE.encode()", VALUE=value)
    return to.expression("TO_PAYLOAD(VALUE)", TO_PAYLOAD=to.helper(to_payload), VALUE=value)


def reason(error: Mapping[str, Any], topic: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a dead letter: what the message had, its topic, and where and why a step failed on it."""
    user = {
        **properties.get("user", {}),
        "original_topic": topic,
        "error": _sendable(error["message"]),
        "error_code": error["code"],
        "error_step": _sendable(error["step"]),
        "error_place": _sendable(f"{error['file']}:{error['line']}:{error['column']}"),
    }
    kept = {name: properties[name] for name in ("content_type",) if name in properties}
    return {**kept, "user": user}


def _sendable(text: str) -> str:
    """A text as MQTT sends it (MQTT 5.0 section 1.5.4): without NUL and half surrogate pairs, and not endless."""
    return text[:1_000].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _publisher_name(connection: str) -> str:
    return "publish" if connection == "default" else f"publish_{connection}"


class KnownTopics(dict[str, str]):
    """Topics that one can publish to, each looked at once; raises StepError for others (MQTT 5.0 section 4.7)."""

    def __missing__(self, topic: str) -> str:
        try:
            check_topic(topic)
        except BadTopic as bad:
            raise StepError(f"cannot publish to `{topic[:60]}`: {bad.message}", code="bad-topic") from None
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[topic] = topic
        return topic

    def check(self, topic: Any) -> str:
        """The same for a value of any kind."""
        if not isinstance(topic, str):
            raise StepError(f"the topic is {name_kind(topic)}, not a text", code="bad-topic")
        return self[topic]


def topic_check() -> Callable[[Any], str]:
    """A function that raises StepError for what is no topic; it remembers those that are."""
    return KnownTopics().check
