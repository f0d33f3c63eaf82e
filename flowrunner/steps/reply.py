"""Turns a message into the answer to whoever sent it: the step `reply`."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowrunner.code import Block, Host
from flowrunner.errors import StepError
from flowrunner.expressions import Expression
from flowrunner.message import Properties
from flowrunner.options import QoS, ValueKind, option
from flowrunner.options.numbers import check_qos
from flowrunner.snippets import Hole
from flowrunner.step import Step
from flowrunner.steps.publish import payload_bytes, topic_check
from flowrunner.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Step):
    """Answer a request: publish to the topic that the sender asks to be answered on; then the message goes on.

    On MQTT 5 a request says where its answer is wanted (`response_topic`) and may hold something by which the sender
    tells the answers apart (`correlation_data`), which is sent along. The answer goes out on the connection on which
    the request came. A message that wants no answer is a step error; where such messages may come, write
    `when: '"response_topic" in properties'` beside the step.
    """

    KEY = "reply"
    EXAMPLES = (
        """
        subscribe: time/ask
        steps:
          - reply: {payload: "${iso(now())}", qos: 1}
        tests:
          - name: the answer goes where it is wanted
            given:
              topic: time/ask
              properties: {response_topic: clients/7, correlation_data: "42"}
            expect:
              topic: clients/7
              payload: 2000-01-01T00:00:00Z
              qos: 1
          - name: nobody wants an answer
            given: {topic: time/ask}
            expect: []
        """,
        """
        subscribe: temperature/ask
        steps:
          - decode: utf-8
          - lookup: {key: payload, table: {attic: 31, cellar: 12}}
          - reply:
            when: '"response_topic" in properties'
        tests:
          - given:
              - {topic: temperature/ask, payload: attic, properties: {response_topic: clients/7}}
              - {topic: temperature/ask, payload: cellar}
            expect: {topic: clients/7, payload: 31, properties: {}}
        """,
    )

    payload: Value | None = option(ValueKind(), "the answer; without it the message's payload", default=None)
    qos: int | Expression = option(QoS(), "quality of service: 0, 1 or 2", default=0)

    def emit(self, to: Block) -> None:
        connections = to.writer.connections
        holes: dict[str, Hole] = {"ANSWER": to.bound("reply", lambda host: Answers(host, connections).answer)}
        holes |= {"PAYLOAD": payload_bytes(to, self.payload), "QOS": to.dynamic(self.qos, check_qos)}
        to.run("ANSWER(properties, PAYLOAD, QOS, _entry)", **holes)


class Answers:
    """Publishes answers, each on the connection on which its request came."""

    def __init__(self, host: Host, connections: Sequence[str]) -> None:
        self.publish = [host.publisher(connection) if connection else None for connection in connections]
        self.check_topic = topic_check()

    def answer(self, properties: Properties, payload: bytes, qos: int, entry: int) -> None:
        """Publish an answer (MQTT 5.0 section 4.10). Raises StepError where nobody wants one."""
        topic = properties.get("response_topic")
        publish = self.publish[entry]
        if topic is None or publish is None:
            help = "only on MQTT 5 a sender can ask; `when: '\"response_topic\" in properties'` skips the others"
            raise StepError("the message does not say where an answer is wanted", code="no-answer-wanted", help=help)
        correlation = properties.get("correlation_data")
        sent = {} if correlation is None else {"correlation_data": correlation}
        publish(self.check_topic(topic), payload, qos, False, sent)
