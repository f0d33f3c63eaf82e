"""Runs an ejected script in this process, on a client that only notes what is published, and on a clock of its own."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from flowrunner.message import Message
from flowrunner.read.cases import After, Case
from flowrunner.read.flow import Flow
from flowrunner.run.properties import from_paho, to_paho
from flowrunner.scripts import write_script
from flowrunner.sources import Subscribe
from flowrunner.topics import matches
from tests.flow_host import Published


@dataclass
class Client:
    """What the callbacks of a script get."""

    published: list[Published] = field(default_factory=list)
    subscribed: list[tuple[Any, ...]] = field(default_factory=list)

    def publish(
        self, topic: str, payload: Any = None, qos: int = 0, retain: bool = False, properties: Any = None
    ) -> None:
        assert isinstance(topic, str)
        if not {"+", "#"}.isdisjoint(topic):
            raise ValueError("a wildcard")  # as paho does
        data = payload.encode() if isinstance(payload, str) else payload
        assert isinstance(data, bytes)
        self.published.append(Published(topic, data, qos, retain, from_paho(properties)[0]))

    def subscribe(self, *given: Any, **options: Any) -> None:
        self.subscribed.append((*given, options))


class Ejected:
    """A script that was written for a flow."""

    def __init__(self, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flow = flow
        self.text = write_script(flow)
        self.names: dict[str, Any] = {"__name__": "ejected", "__file__": "ejected.py"}
        exec(compile(self.text, "ejected.py", "exec"), self.names)
        self.client = Client()
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", lambda: 946_684_800.0 + self.now - 1_000.0)
        monkeypatch.setattr(time, "sleep", self.sleep)
        self.names["on_connect"](self.client, None, None, SimpleNamespace(is_failure=False), None)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def get(self, message: Message) -> None:
        """Have a message arrive, if the script has subscribed to it."""
        if not any(isinstance(one, Subscribe) and matches(one.filter, message.topic) for one in self.flow.sources):
            return
        properties = to_paho(message.properties) or PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        arrived = SimpleNamespace(
            topic=message.topic, payload=message.payload, qos=message.qos, retain=message.retain, properties=properties
        )
        self.names["on_message"](self.client, None, arrived)

    def run_case(self, case: Case) -> list[Published]:
        """What is published in a test of the flow."""
        for given in case.given:
            if isinstance(given, After):
                self.now += given.seconds
            else:
                self.get(Message(given.topic, given.payload, given.qos, given.retain, given.properties))
        return self.client.published
