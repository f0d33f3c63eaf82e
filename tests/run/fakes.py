"""Stands in for compiled flows, and talks MQTT by hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from flowrunner.code import Host
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic
from flowrunner.message import Message
from flowrunner.run.backoff import Backoff
from flowrunner.run.live import Handler
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.sources import Source, Subscribe
from flowrunner.text import Source as Text
from flowrunner.topics import parse_filter

PATIENCE = 10.0

Work = Callable[[Host, Message, int], None]


async def until(condition: Callable[[], object], *, what: object = "") -> None:
    """Wait until a condition holds; fail if it does not within ten seconds, and show `what`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, str(what) or "the condition never held"
        await asyncio.sleep(0.002)


def subscribe(topic_filter: str, **options: Any) -> Subscribe:
    """A `subscribe` of a flow."""
    parsed = parse_filter(topic_filter, named=True)
    return Subscribe(parsed, share=parsed.share or None, **options)


@dataclass(frozen=True)
class FakeFlow:
    """What a runner reads of a flow."""

    name: str
    sources: Sequence[Source]
    is_enabled: bool = True


class FakeProgram:
    """A program that writes down what it gets, and then does some work."""

    def __init__(self, name: str, *sources: Source | str, work: Work | None = None, is_enabled: bool = True) -> None:
        made = [subscribe(source) if isinstance(source, str) else source for source in sources]
        self.flow = FakeFlow(name, made, is_enabled)
        self.got: list[Message] = []
        self.entries: list[int] = []
        self.work = work
        self.host: Host | None = None
        self.explained = 0

    @property
    def topics(self) -> list[str]:
        return [message.topic for message in self.got]

    @property
    def payloads(self) -> list[Any]:
        return [message.payload for message in self.got]

    def bind(self, host: Host) -> Handler:
        self.host = host

        def handle(topic: str, payload: Any, qos: int, retain: bool, properties: Any, entry: int, /) -> None:
            message = Message(topic, payload, qos, retain, properties)
            self.got.append(message)
            self.entries.append(entry)
            if self.work is not None:
                self.work(host, message, entry)

        return handle

    def explain(self, error: Exception, origin: Message) -> Diagnostic:
        self.explained += 1
        text = Text(f"flows/{self.flow.name}.yaml", "subscribe: a\n")
        return Diagnostic("step-failed", f"{error}", text.span(0, 9), notes=(f"topic `{origin.topic}`",))


@dataclass
class Told:
    """The lines that a report was given."""

    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def count(self, words: str) -> int:
        return self.text.count(words)


def quick_backoff() -> Backoff:
    return Backoff(first=0.02, most=0.1)


@asynccontextmanager
async def running(
    settings: ConnectionSettings, *programs: FakeProgram, is_ready: bool = True, told: Told | None = None
) -> AsyncIterator[Runner]:
    """A runner with these programs, connected unless `is_ready` is false."""
    told = told or Told()
    runner = Runner({"default": settings}, Report(told.lines.append), backoff=quick_backoff)
    try:
        await runner.apply(programs)
        if is_ready:
            await ready(runner, told)
        yield runner
    finally:
        await runner.close()


async def ready(runner: Runner, told: Told | None = None) -> None:
    """Wait until every connection hears what it wants."""
    for connection in runner.connections.values():
        await until(connection.subscriptions.complete.is_set, what=told.text if told else "not subscribed")


class Hand:
    """A client of paho's own making, in a thread, to publish and listen from outside."""

    def __init__(self, settings: ConnectionSettings, *filters: str, client_id: str = "") -> None:
        self.got: list[Message] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5)
        self._filters = filters
        self._is_subscribed = not filters
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.connect(settings.host, settings.port)
        self.client.loop_start()

    async def __aenter__(self) -> Self:
        await until(lambda: self.client.is_connected() and self._is_subscribed)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.got]

    async def publish(self, topic: str, payload: bytes = b"x", qos: int = 1, *, retain: bool = False) -> None:
        """Publish and wait until the broker has it."""
        info = self.client.publish(topic, payload, qos, retain)
        await until(info.is_published)

    def _on_connect(self, *_: Any) -> None:
        for topic_filter in self._filters:
            self.client.subscribe(topic_filter, 1)

    def _on_subscribe(self, *_: Any) -> None:
        self._is_subscribed = True

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.got.append(Message(message.topic, bytes(message.payload), message.qos, message.retain))
