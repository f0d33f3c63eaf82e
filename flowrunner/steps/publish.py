"""Turns a message into one that is sent to a broker: the step `publish`."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block
from flowrunner.errors import StepError
from flowrunner.expressions import Expression, Template
from flowrunner.fields import name_kind
from flowrunner.jsons import to_payload
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

    def emit(self, to: Block) -> None:
        publish = to.bound(_publisher_name(self.connection), lambda host: host.publisher(self.connection))
        arguments = [self.emit_topic(to), self.emit_payload(to)]
        if (self.qos, self.retain, self.properties) != (0, False, None):
            arguments += [to.dynamic(self.qos, check_qos), to.dynamic(self.retain, check_flag)]
        if self.properties is not None:
            arguments.append(self.emit_properties(to, self.properties))
        to.run_call(publish, arguments)

    def emit_topic(self, to: Block) -> ast.expr:
        """The topic, checked once for every different text."""
        if self.topic.is_constant:
            return to.constant(self.topic.constant)
        return to.expression("CHECK(TOPIC)", CHECK=to.shared("topic", topic_check()), TOPIC=to.value(self.topic))

    def emit_payload(self, to: Block) -> ast.expr:
        """The payload in bytes; where its kind is known, without asking."""
        if self.payload is None:
            value, kind = to.name("payload"), to.scope.names["payload"]
        else:
            value, kind = to.value(self.payload), value_kind(self.payload, to.scope)
        if kind == "bytes":
            return value
        if kind == "text":
            return to.expression("VALUE.encode()", VALUE=value)
        return to.expression("TO_PAYLOAD(VALUE)", TO_PAYLOAD=to.helper(to_payload), VALUE=value)

    def emit_properties(self, to: Block, properties: Value) -> ast.expr:
        """The MQTT 5 properties; where they hold `${}`, checked when the message comes."""
        if isinstance(properties, Constant):
            return to.constant(properties.value)
        return to.expression("CHECK(VALUE)", CHECK=to.helper(check_properties), VALUE=to.value(properties))


def _publisher_name(connection: str) -> str:
    return "publish" if connection == "default" else f"publish_{connection}"


def topic_check() -> Callable[[Any], str]:
    """A function that raises StepError for what is no topic (MQTT 5.0 section 4.7); it remembers those that are."""
    known: set[str] = set()

    def check(topic: Any) -> str:
        if type(topic) is str and topic in known:
            return topic
        if not isinstance(topic, str):
            raise StepError(f"the topic is {name_kind(topic)}, not a text", code="bad-topic")
        try:
            check_topic(topic)
        except BadTopic as bad:
            raise StepError(f"cannot publish to `{topic[:60]}`: {bad.message}", code="bad-topic") from None
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known.add(topic)
        return topic

    return check
