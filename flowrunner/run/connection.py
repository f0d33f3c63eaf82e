"""Keeps one connection to a broker alive: connects, falls back, waits, subscribes again, and says so in words."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.connections import ConnectionSettings, Notice
from flowrunner.errors import StepError
from flowrunner.run import refusals
from flowrunner.run.backoff import Backoff
from flowrunner.run.client import Client, Tap
from flowrunner.run.link import Link, Terms
from flowrunner.run.links import make_link
from flowrunner.run.network import Ending, Network
from flowrunner.run.presence import Presence
from flowrunner.run.refusals import Refused
from flowrunner.run.rival import Rival
from flowrunner.run.router import Failed, Router
from flowrunner.run.session import Ledger
from flowrunner.run.subscriptions import Subscriptions
from flowrunner.run.versions import Versions

#: Seconds: a connection that lived shorter was broken by what we did; how long publishes at QoS 1 and 2 may take at the
#: end, and before other settings are taken up.
EARLY = 5.0
LAST_WORDS = 5.0
CHANGEOVER = 1.0

#: Seconds for what still comes through subscriptions that were given up, and round trips that bring nothing of it.
PARTING = 10.0
ROUNDS = 20


class Listener(Protocol):
    """Is told what becomes of a connection."""

    def connected(self, connection: "Connection", terms: Terms, away: float | None) -> None:
        """The broker has accepted; `away` is how many seconds it was gone, None for the first time."""

    def away(self, connection: "Connection", reason: str) -> None:
        """There is no broker, and why; told again only when the reason changes."""

    def lost(self, connection: "Connection", reason: str) -> None:
        """The connection broke, and why if that is known."""

    def not_subscribed(
        self, connection: "Connection", topic_filter: str, flows: Sequence[str], reason: str, *, is_refused: bool
    ) -> None:
        """A subscription was refused, or granted with less than was asked for."""

    def not_published(self, connection: "Connection", topic: str, reason: str) -> None:
        """A publish was lost after the flow had handed it over."""


class Connection:
    """One entry of `connections:`. It never gives up on its broker."""

    def __init__(
        self,
        settings: ConnectionSettings,
        client_id: str,
        listener: Listener,
        failed: Failed,
        *,
        backoff: Backoff | None = None,
        ledger: Ledger | None = None,
        tap: Tap | None = None,
        members: int = 1,
    ) -> None:
        self.settings = settings
        self.client_id = settings.client_id or client_id
        self.router = Router(failed)
        self.link: Link = make_link(self.router, self._not_published, members=members)
        is_kept = settings.keep is not None
        self.subscriptions = Subscriptions(self.router, self._not_subscribed, is_kept=is_kept, ledger=ledger)
        self.presence = Presence(self.client_id)
        self.terms: Terms | None = None
        self._listener = listener
        self._tap = tap
        self._backoff = backoff or Backoff()
        self._versions = Versions(settings.protocol)
        self._rival = Rival()
        self._reason = ""
        self._lost_at: float | None = None
        self._has_failed = asyncio.Event()
        self._client: Client | None = None
        self._network: Network | None = None
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def clients(self) -> tuple[int, int]:
        """See `flowrunner.run.shown.Connected`."""
        return int(self.terms is not None), 1

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker is there and has granted every subscription."""
        return self.terms is not None and self.subscriptions.is_whole

    def start(self) -> None:
        """Begin to connect; returns at once."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._keep(), name=f"connection {self.settings.name}")
        self._task.add_done_callback(_confess)

    async def tried(self) -> None:
        """Wait until the broker has answered what is wanted of it, or the first try has failed."""
        either = [asyncio.ensure_future(event.wait()) for event in (self.subscriptions.complete, self._has_failed)]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()

    async def leave(self, *, is_all: bool = False) -> None:
        """Have the broker choose us no more among the members of a group, and do what it has chosen us for.

        With `is_all` that goes for every subscription.
        """
        if self._network is not None:
            self.subscriptions.leave(is_all=is_all)
            await self.part()

    async def part(self) -> None:
        """Wait until nothing more comes through subscriptions that were given up; some seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await self._silence()
        self.subscriptions.part()

    async def _silence(self) -> None:
        """Wait for a round trip to the broker that brings nothing, with nothing to be acknowledged before or after.

        Until then a broker may hold back what it has for us. Where other flows get messages all the time, several round
        trips have to do that bring those that are parting nothing.
        """
        rounds = 0
        while (flows := self.subscriptions.parting) and rounds < ROUNDS:
            network, arrived = self._network, self.link.arrived
            if network is None and self.settings.keep is None:
                return
            if network is None or self.subscriptions.is_leaving:
                await asyncio.sleep(0.01)
                continue
            was_idle, received = not self.link.unfinished, sum(flow.received for flow in flows)
            await network.ping()
            self.subscriptions.part_with_held()
            if was_idle and not self.link.unfinished and network is self._network:
                if self.link.arrived == arrived:
                    return
                rounds = rounds + 1 if sum(flow.received for flow in flows) == received else 0
            await asyncio.sleep(0.01)  # a link counts, so that it need not call anybody

    async def close(self) -> None:
        """Wait a little for what is to be published at QoS 1 and 2, and take leave of the broker."""
        self.link.stop()
        await self._leave(LAST_WORDS)

    async def change(self, settings: ConnectionSettings, ledger: Ledger | None = None) -> None:
        """Connect anew with other settings, but the same client id.

        Publishes at QoS 1 and 2 that the broker has not acknowledged go to the new one; flows do not notice.
        """
        network = self._network
        wanted = self.subscriptions.wanted
        await self.leave()
        await self._leave(CHANGEOVER)
        if network is not None:
            self.link.close(is_early=False)
            self.subscriptions.lose()
        self._network = self.terms = self._client = None
        self.settings = settings
        self.subscriptions.move(ledger)
        self.subscriptions.prepare(wanted, self.subscriptions.settle)
        self._versions = Versions(settings.protocol)
        self._rival.pause()
        self._reason, self._lost_at = "", None
        self._backoff.reset()
        self._is_closing = False
        self.start()

    async def _leave(self, patience: float) -> None:
        """Wait for acknowledgements, say farewell, and end the task that would connect again."""
        self._is_closing = True
        network = self._network
        if network is not None:
            self._announce(self.settings.close)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._drained(network)
            self.presence.leave()
            await network.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _drained(self, network: Network) -> None:
        while self.link.pending and not network.ended.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a link counts, so that it need not call anybody

    async def _keep(self) -> None:
        while True:
            try:
                network, begun = await self._versions.attempt(self._try_politely)
            except Refused as refusal:
                self._rival.pause()
                self._tell_away(refusal.words)
                await asyncio.sleep(self._backoff.wait())
                continue
            ending = await network.ended
            if self._is_closing:
                return
            await asyncio.sleep(self._end(ending, asyncio.get_running_loop().time() - begun))

    async def _try_politely(self, version: MQTTProtocolVersion) -> tuple[Network, float]:
        """Connect; where the broker refuses that, and it may be for the will, once more without one. Raises Refused."""
        try:
            return await self._try(version)
        except Refused as refusal:
            is_ours = self.presence.is_wanted and self.settings.will is None and not self._versions.has_worked
            if not (refusal.is_about_will and is_ours):
                raise
        self.presence.fall_silent()
        try:
            return await self._try(version)
        except Refused:
            self.presence.speak()
            raise

    async def _try(self, version: MQTTProtocolVersion) -> tuple[Network, float]:
        client = self._client
        if client is None or client.protocol != version or self.settings.keep is None or not self.link.can_resume:
            client = self._client = Client(self.settings, version, self.client_id, self.link)
        client.tap = self._tap
        self.link.prepare(client)
        self.presence.prepare(client, has_will=self.settings.will is not None)
        network = Network(client, self.link, self.settings, self.client_id, lambda terms: self._accept(network, terms))
        await network.open()
        return network, asyncio.get_running_loop().time()

    def _accept(self, network: Network, terms: Terms) -> None:
        """Take up work, in the very turn in which CONNACK is read."""
        loop = asyncio.get_running_loop()
        self._network, self.terms = network, terms
        self._versions.accept()
        self._reason = ""
        self.link.open(terms)
        away = None if self._lost_at is None else loop.time() - self._lost_at
        self._lost_at = None
        self._listener.connected(self, terms, away)
        self.subscriptions.resume(network, terms)
        if self._client is not None:
            self.presence.open(self._client, terms)
        # paho queues its retransmissions when this callback has returned; nothing new may overtake them
        loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.link.release()
        self._announce(self.settings.birth)

    def _announce(self, notice: Notice | None) -> None:
        """Publish what the settings say about the beginning or the end of a connection."""
        if notice is None or self._network is None:
            return
        try:
            self.link.publish(notice.topic, notice.payload, notice.qos, notice.retain)
        except StepError as error:
            self._not_published(notice.topic, error.message)

    def _end(self, ending: Ending, lifetime: float) -> float:
        """Clear up after a network connection; returns the seconds to wait before the next."""
        self._has_failed.set()
        is_early = lifetime < EARLY
        self._network = self.terms = None
        self._lost_at = asyncio.get_running_loop().time()
        was_sending = self.link.close(is_early=is_early)
        self.subscriptions.lose()
        self.presence.lose(is_early=is_early, is_explained=ending != Ending() and not ending.is_unauthorized)
        is_fight = is_early and ending == Ending() and not was_sending
        if not is_early and not ending.is_takeover:
            self._backoff.reset()
            self._rival.forget()
        wait = self._rival.give_way(is_sure=ending.is_takeover, is_fight=is_fight)
        if wait is not None:
            words = refusals.taken(self.client_id, is_sure=ending.is_takeover)
            self._listener.lost(self, f"{words}; trying again in {wait:.0f} s")
            return wait
        self._listener.lost(self, ending.words)
        # a broker that is being restarted refuses us now, and one with another client of our name does not
        return 0.0 if is_fight else self._backoff.wait()

    def _tell_away(self, reason: str) -> None:
        self._has_failed.set()
        if self._lost_at is None:
            self._lost_at = asyncio.get_running_loop().time()
        if reason != self._reason:
            self._reason = reason
            self._listener.away(self, reason)

    def _not_subscribed(self, topic_filter: str, flows: Sequence[str], reason: str, *, is_refused: bool) -> None:
        self._listener.not_subscribed(self, topic_filter, flows, reason, is_refused=is_refused)

    def _not_published(self, topic: str, reason: str) -> None:
        self._listener.not_published(self, topic, reason)


def _confess(task: asyncio.Task[None]) -> None:
    """Show a mistake of ours at once, and not when the connection is closed."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        words = f"{task.get_name()} has ended by a mistake in flowrunner"
        task.get_loop().call_exception_handler({"message": words, "exception": error})
