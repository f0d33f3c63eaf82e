"""Turns what flows want of one connection into SUBSCRIBE and UNSUBSCRIBE, and into the table of its router."""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from random import randrange
from typing import Protocol

from flowrunner.run import refusals
from flowrunner.run.asks import Ask, objection, plan
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.network import Network
from flowrunner.run.router import Router
from flowrunner.run.routing import Given, Table, Want

#: Seconds that a broker has to answer subscriptions.
PATIENCE = 10.0

#: Subscription identifiers go up to 268 435 455 (MQTT 5.0 section 3.8.2.1.2).
_LAST_START = 200_000_000

_MOST_IDENTIFIERS = 32
_SEND_RETAINED, _NO_RETAINED = 0, 2
_FAILURE = 0x80


class Complain(Protocol):
    """Is told that a subscription was refused, or granted with less than was asked for."""

    def __call__(self, topic_filter: str, flows: Sequence[str], reason: str, *, is_refused: bool) -> None:
        """Report it; never raise."""


class Subscriptions:
    """The subscriptions of one connection, over all its network connections."""

    def __init__(self, router: Router, complain: Complain, *, is_kept: bool = False) -> None:
        self._router = router
        self._complain = complain
        # A kept session may deliver with identifiers of an earlier run: ours must not be taken for them.
        self._first = self._next = 1 + (randrange(_LAST_START) if is_kept else 0)  # noqa: S311 - no secret
        self._wants: tuple[Want, ...] = ()
        self._granted: dict[str, Ask] = {}
        self._unanswered: dict[str, Ask] = {}
        self._refused: set[str] = set()
        self._leaving: set[str] = set()
        self._given: dict[int, Given] = {}
        self._told: set[tuple[str, str]] = set()
        self._network: Network | None = None
        self._terms = Terms()
        self._fresh: frozenset[LiveFlow] | None = None
        self._change: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.complete = asyncio.Event()

    @property
    def filters(self) -> frozenset[str]:
        """The filters that the broker holds, as sent."""
        return frozenset(self._granted)

    async def change(self, wants: Iterable[Want], *, waiting: frozenset[LiveFlow] = frozenset()) -> None:
        """Go over to these wants: subscribe, exchange the table when all is answered, unsubscribe.

        Flows in `waiting` replace others, which get the messages until then. Nothing is sent without a broker.
        One change at a time.
        """
        before, known = self._allowed(), frozenset(want.flow for want in self._wants)
        self._wants = tuple(wants)
        fresh = self._fresh = frozenset(want.flow for want in self._wants) - known
        if self._network is not None:
            self._send(self._network, plan(self._allowed(), self._granted, fresh))
        if self._unanswered:
            newcomers = [want for want in self._allowed() if want.flow in fresh]
            self._router.table = self._table([*before, *newcomers], waiting)
            self._change = asyncio.get_running_loop().create_future()
            await self._change
        else:
            self._settle()

    def resume(self, network: Network, terms: Terms) -> None:
        """Subscribe on a network connection that has just been accepted, to what its session does not hold yet."""
        self._network, self._terms, self._fresh = network, terms, None
        self._refused.clear()
        if not terms.session_present:
            self._granted.clear()
            self._leaving.clear()
            self._given.clear()
        missing = [want for want in self._allowed() if want.filter.mqtt not in self._granted]
        self._send(network, plan(missing, {}, frozenset(want.flow for want in missing)))
        self._router.table = self._table(self._allowed())
        if not self._unanswered:
            self._settle()

    def lose(self) -> None:
        """Learn that the network connection is gone."""
        self._network = None
        self._leaving |= self._unanswered.keys()
        self._unanswered.clear()
        self.complete.clear()
        self._settle()

    def _send(self, network: Network, asks: Iterable[Ask]) -> None:
        for ask in asks:
            self._unanswered[ask.mqtt] = ask
            self._refused.discard(ask.mqtt)
            self._leaving.discard(ask.mqtt)
            network.subscribe(
                ask.mqtt,
                ask.qos,
                partial(self._answered, ask),
                identifier=self._identify(ask) if self._terms.has_identifiers else 0,
                no_local=ask.no_local,
                retain_handling=_SEND_RETAINED if ask.wants_retained else _NO_RETAINED,
            )
        if self._unanswered:
            self.complete.clear()
            self._stop_waiting()
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(PATIENCE, network.abort, refusals.UNANSWERED)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _identify(self, ask: Ask) -> int:
        identifier, self._next = self._next, self._next + 1
        self._given[identifier] = Given(ask.mqtt, ask.newcomers)
        return identifier

    def _answered(self, ask: Ask, code: int) -> None:
        if self._unanswered.get(ask.mqtt) is ask:
            del self._unanswered[ask.mqtt]
        if code < _FAILURE:
            self._granted[ask.mqtt] = ask
            if code < ask.qos:
                reason = f"the broker grants QoS {code} instead of {ask.qos}"
                self._tell(self._flows(ask.mqtt), ask.mqtt, reason, is_refused=False)
        else:
            self._granted.pop(ask.mqtt, None)
            self._refused.add(ask.mqtt)
            self._tell(self._flows(ask.mqtt), ask.mqtt, refusals.not_subscribed(code), is_refused=True)
        if not self._unanswered:
            self._settle()

    def _settle(self) -> None:
        """Exchange the table, in the very turn in which the last answer is read, and give up what nobody wants."""
        self._stop_waiting()
        wanted = {want.filter.mqtt for want in self._wants}
        self._leaving |= self._granted.keys() - wanted
        self._granted = {mqtt: ask for mqtt, ask in self._granted.items() if mqtt in wanted}
        self._given = _recent(self._given, wanted)
        self._router.table = self._table(self._allowed())
        if self._network is not None:
            for mqtt in self._leaving - wanted:
                self._network.unsubscribe(mqtt, partial(self._gone, mqtt))
            self.complete.set()
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)

    def _gone(self, mqtt: str, _code: int) -> None:
        self._leaving.discard(mqtt)

    def _table(self, wants: Iterable[Want], waiting: frozenset[LiveFlow] = frozenset()) -> Table:
        granted = [want for want in wants if want.filter.mqtt not in self._refused]
        own = range(self._first, self._next)
        return Table(granted, dict(self._given), own=own, waiting=waiting, newcomers=self._fresh)

    def _allowed(self) -> list[Want]:
        """What can be asked of this broker; the rest is refused here, and told."""
        if self._network is None:
            return list(self._wants)
        heard_by_others = {want.filter.mqtt for want in self._wants if not want.source.no_local}
        allowed = []
        for want in self._wants:
            reason = objection(want, self._terms, heard_by_others)
            if reason:
                self._tell([want.flow.name], want.filter.mqtt, reason, is_refused=True)
            else:
                allowed.append(want)
        return allowed

    def _flows(self, mqtt: str) -> list[str]:
        return list(dict.fromkeys(want.flow.name for want in self._wants if want.filter.mqtt == mqtt))

    def _tell(self, flows: Sequence[str], mqtt: str, reason: str, *, is_refused: bool) -> None:
        """Complain, but not again at every network connection."""
        if (mqtt, reason) not in self._told:
            self._told.add((mqtt, reason))
            self._complain(mqtt, flows, reason, is_refused=is_refused)


def _recent(given: Mapping[int, Given], wanted: Container[str]) -> dict[int, Given]:
    """The newest identifiers of each filter.

    Messages that a broker queued before a filter was asked for again come under its old identifier.
    """
    counts: dict[str, int] = {}
    kept = {}
    for number, subscription in sorted(given.items(), reverse=True):
        count = counts[subscription.mqtt] = counts.get(subscription.mqtt, 0) + 1
        if subscription.mqtt in wanted and count <= _MOST_IDENTIFIERS:
            kept[number] = subscription
    return kept
