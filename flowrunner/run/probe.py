"""Turns the settings of a connection into one short visit to its broker, with a client id of its own."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from types import TracebackType
from typing import Self

from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.client import Client
from flowrunner.run.link import Terms
from flowrunner.run.network import Network
from flowrunner.run.plain import PlainLink
from flowrunner.run.refusals import Refused
from flowrunner.topics import Filter
from flowrunner.topics.near import near_filters, nearest

#: Seconds for an answer, messages that are remembered, and topics of each look around.
PATIENCE = 5.0
MOST = 10_000

_VERSIONS = {
    "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
    "5": (MQTTProtocolVersion.MQTTv5,),
    "3.1.1": (MQTTProtocolVersion.MQTTv311,),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What came: its topic, whether the broker had kept it, and its payload."""

    topic: str
    retain: bool
    payload: bytes


class Probe:
    """One network connection that disturbs nobody: no session, no will, and a client id that nobody else has."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = replace(settings, keep=None, will=None, birth=None, close=None)
        self.client_id = f"flowrunner-doctor-{token_hex(4)}"
        self.terms = Terms()
        self.heard: list[Heard] = []
        self._news = asyncio.Event()
        self._network: Network | None = None
        self._link: PlainLink | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises Refused."""
        first, *others = _VERSIONS[self.settings.protocol]
        try:
            await self._open(first)
        except Refused as refusal:
            if not others or refusal.kind not in ("version", "closed"):
                raise
            await self._open(others[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take leave."""
        if self._link is not None:
            self._link.stop()
        if self._network is not None:
            await self._network.close()

    async def subscribe(self, topic_filter: str, qos: int = 0) -> int:
        """Subscribe, and give the reason code. Raises TimeoutError where the broker does not answer."""
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert self._network is not None
        self._network.subscribe(topic_filter, qos, answered.set_result)
        async with asyncio.timeout(PATIENCE):
            return await answered

    async def round_trip(self, topic: str, qos: int) -> float | None:
        """Seconds from a publish on a topic that is subscribed to its arrival; None if it never comes."""
        loop = asyncio.get_running_loop()
        payload = token_hex(8).encode()
        began = loop.time()
        assert self._link is not None
        self._link.publish(topic, payload, qos)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not any(heard.payload == payload for heard in self.heard):
                    self._news.clear()
                    await self._news.wait()
                return loop.time() - began
        return None

    def topics(self, *, is_retained: bool | None = None) -> list[str]:
        """The topics of what came."""
        return [heard.topic for heard in self.heard if is_retained in (None, heard.retain)]

    async def _open(self, version: MQTTProtocolVersion) -> None:
        link = PlainLink(self._deliver, lambda _topic, _reason: None)
        client = Client(self.settings, version, self.client_id, link)
        link.prepare(client)

        def opened(terms: Terms) -> None:
            link.open(terms)
            asyncio.get_running_loop().call_soon(link.release)

        network = Network(client, link, self.settings, self.client_id, opened)
        self.terms = await network.open()
        self._network, self._link = network, link

    def _deliver(
        self,
        topic: str,
        payload: bytes,
        qos: int,  # noqa: ARG002 - the signature of `Deliver`
        retain: bool,  # noqa: FBT001
        properties: Properties = NO_PROPERTIES,  # noqa: ARG002
        identifiers: tuple[int, ...] = (),  # noqa: ARG002
        /,
    ) -> None:
        if len(self.heard) < MOST:
            self.heard.append(Heard(topic, retain, payload[:64]))
            self._news.set()


async def look_around(settings: ConnectionSettings, silent: Sequence[Filter], seconds: float) -> dict[str, list[str]]:
    """For each filter that hears nothing, the nearest topics that there are. Raises Refused."""
    async with Probe(settings) as probe:
        await listen_near(probe, silent)
        await asyncio.sleep(seconds)
        return {one.text: found for one in silent if (found := nearest(one, probe.topics()))}


async def listen_near(probe: Probe, silent: Sequence[Filter]) -> None:
    """Subscribe to what is near some filters; what the broker does not allow is left out."""
    for near in dict.fromkeys(near for one in silent for near in near_filters(one)):
        with suppress(TimeoutError):
            await probe.subscribe(near)


def spoken(filter_text: str, topics: Sequence[str]) -> str:
    """The hint: a filter that hears nothing, and what there is."""
    return f"no message on {filter_text}, but there are messages on {', '.join(topics)}"
