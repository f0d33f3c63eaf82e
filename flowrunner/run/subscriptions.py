"""Turns what flows want of one connection into SUBSCRIBE and UNSUBSCRIBE, and into the table of its router."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from flowrunner.records import dataclass
from flowrunner.run import refusals
from flowrunner.run.asks import Ask, doubled, merged, objection, plan
from flowrunner.run.identifiers import Identifiers
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.network import Network
from flowrunner.run.newcomers import Newcomers
from flowrunner.run.parting import Parting
from flowrunner.run.router import Router
from flowrunner.run.routing import Table, Want
from flowrunner.run.session import Ledger, Session

#: Seconds that a broker has to answer subscriptions.
PATIENCE = 10.0

_SEND_RETAINED, _NO_RETAINED = 0, 2


class Complain(Protocol):
    """Is told that a subscription was refused, or granted with less than was asked for."""

    def __call__(self, topic_filter: str, flows: Sequence[str], reason: str, *, is_refused: bool) -> None:
        """Report it; never raise."""


@dataclass(slots=True, eq=False)
class _Change:
    """A change that is not settled: what was wanted before, who is new, and whether the broker was asked for it."""

    before: Sequence[Want]
    fresh: frozenset[LiveFlow]
    waiting: frozenset[LiveFlow]
    ready: Callable[[], object]
    moving: frozenset[LiveFlow] = frozenset()
    is_asked: bool = False
    has_joined: bool = False


class Subscriptions:
    """The subscriptions of one connection, over all its network connections.

    They change in two steps, because a flow may use several connections: `prepare` asks the broker, and `settle`
    exchanges the table. With a `ledger` the session outlives this program: what it holds and nobody wants is given up.

    What the broker has chosen us for among the members of a group, it sends to nobody else. So shared subscriptions
    that are given up are `parting` for a while: their flows go on with what still comes through them.
    """

    def __init__(
        self, router: Router, complain: Complain, *, is_kept: bool = False, ledger: Ledger | None = None
    ) -> None:
        self._router = router
        self._complain = complain
        self._session = Session(ledger)
        self._identifiers = Identifiers(is_kept=is_kept)
        self._parting = Parting()
        self._wants: tuple[Want, ...] = ()
        self._told: set[tuple[str, str]] = set()
        self._network: Network | None = None
        self._terms = Terms()
        self._newcomers = Newcomers()
        self._change: _Change | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.complete = asyncio.Event()

    @property
    def filters(self) -> frozenset[str]:
        """The filters that the broker holds, as sent."""
        return frozenset(self._session.granted)

    @property
    def is_whole(self) -> bool:
        """Whether the broker has granted all that is wanted."""
        return self.complete.is_set() and all(want.mqtt in self._session.granted for want in self._wants)

    @property
    def wanted(self) -> tuple[Want, ...]:
        """What the flows want."""
        return self._wants

    @property
    def is_grouped(self) -> bool:
        """Whether some of them are shared with others, or were until now."""
        return bool(self._parting) or any(want.filter.share for want in self._wants)

    @property
    def parting(self) -> frozenset[LiveFlow]:
        """The flows that still get messages through subscriptions that were given up."""
        return self._parting.flows

    @property
    def is_leaving(self) -> bool:
        """Whether the broker has not confirmed yet that it has given up what it was asked to."""
        return bool(self._session.leaving)

    def move(self, ledger: Ledger | None) -> None:
        """Learn that the next network connection is to another session."""
        self._parting.end()
        self._session.move(ledger)
        self._told.clear()

    def prepare(
        self,
        wants: Iterable[Want],
        ready: Callable[[], object],
        *,
        waiting: frozenset[LiveFlow] = frozenset(),
        moving: frozenset[LiveFlow] = frozenset(),
    ) -> None:
        """Ask for what is new in these wants; `ready` is called in the very turn in which the last answer is read.

        That is at once where nothing is to be asked, or nobody can be. Flows in `waiting` replace others, which get the
        messages until `settle`. Those in `moving` go on elsewhere, and part with all their subscriptions here, not only
        with shared ones. One change at a time.
        """
        before, wanted = self._allowed(), self._wants
        if self._change is not None:  # which nobody will settle: who was to be exchanged is still there
            before = [*self._change.before, *before]
        self._wants = self._merged(wants)
        known, now = (frozenset(want.flow for want in some) for some in (wanted, self._wants))
        staying = _forms(known) & _forms(now)  # a flow that somebody looks into is exchanged, and asks for nothing anew
        touched = {want.mqtt for want in (*wanted, *self._wants) if id(want.flow.program.flow) not in staying}
        fresh = frozenset(flow for flow in now - known if id(flow.program.flow) not in staying)
        self._change = change = _Change(before, fresh, waiting, ready, moving)
        if self._network is not None:
            touched |= {want.mqtt for want in self._wants} - self._session.granted.keys()
            asked = [want for want in self._allowed() if want.mqtt in touched]
            self._send(self._network, plan(asked, self._session.granted, change.fresh))
            change.is_asked = True
        if self._session.unanswered:
            self._router.table = self._transition(change)
        else:
            ready()

    def leave(self, *, is_all: bool) -> None:
        """Give up the subscriptions of groups, or all of them, because we go."""
        wanted = self._wants
        staying = [want for want in wanted if not (is_all or want.filter.share)]
        if len(staying) < len(wanted):
            self.prepare(staying, self.settle, moving=frozenset(want.flow for want in wanted))

    def part(self) -> None:
        """Learn that nothing more comes through the subscriptions that were given up."""
        if self._parting.end():
            self._exchange()

    def part_with_held(self) -> None:
        """The same of those with whose filters the broker goes on, for other flows."""
        if self._parting.end_held():
            self._exchange()

    def resume(self, network: Network, terms: Terms) -> None:
        """Subscribe on a network connection that has just been accepted, to what its session does not hold yet."""
        self._network, self._terms = network, terms
        self._wants = self._merged(self._wants)
        if self._change is not None:
            self._change.before = self._merged(self._change.before)
        self._session.resume(is_there=terms.session_present)
        if not terms.session_present:
            self._identifiers.clear()
        allowed = [*(self._change.before if self._change is not None else ()), *self._allowed()]
        self._newcomers.begin(want.flow for want in allowed)
        missing = [want for want in allowed if want.mqtt not in self._session.granted]
        self._send(network, plan(missing, {}, frozenset(want.flow for want in missing)))
        self._router.table = self._table(self._allowed()) if self._change is None else self._transition(self._change)
        if not self._session.unanswered:
            self._answer()

    def lose(self) -> None:
        """Learn that the network connection is gone."""
        self._network = None
        self._session.lose()
        self.complete.clear()
        if self._change is not None:
            self._change.is_asked = False
        self._answer()

    def _send(self, network: Network, asks: Iterable[Ask]) -> None:
        asked = {ask.mqtt: ask for ask in asks}
        self._session.ask(asked)
        for ask in asked.values():
            network.subscribe(
                ask.mqtt,
                ask.qos,
                partial(self._answered, ask),
                identifier=self._identifiers.give(ask) if self._terms.has_identifiers else 0,
                no_local=ask.no_local,
                retain_handling=_SEND_RETAINED if ask.wants_retained else _NO_RETAINED,
            )
        if self._session.unanswered:
            self.complete.clear()
            self._stop_waiting()
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(PATIENCE, network.abort, refusals.UNANSWERED)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _answered(self, ask: Ask, code: int) -> None:
        if not self._session.answer(ask, code):
            self._tell(self._flows(ask.mqtt), ask.mqtt, refusals.not_subscribed(code), is_refused=True)
        elif code < ask.qos:
            reason = f"the broker grants QoS {code} instead of {ask.qos}"
            self._tell(self._flows(ask.mqtt), ask.mqtt, reason, is_refused=False)
        change = self._change
        if change is not None and change.is_asked and not change.has_joined:
            self._newcomers.join(change.fresh)  # what the broker kept follows its answer
            change.has_joined = True
        if not self._session.unanswered:
            self._answer()

    def _answer(self) -> None:
        """Have the table exchanged, now that all is answered."""
        self._stop_waiting()
        if self._change is None:
            self.settle()
        else:
            self._change.ready()

    def settle(self) -> None:
        """Exchange the table, and give up what nobody wants."""
        change, self._change = self._change, None
        wanted = {want.mqtt for want in self._wants}
        if change is not None:
            self._parting.see_off(self._ending(change), self._wants, wanted)
        leaving = self._session.keep(wanted)
        self._identifiers.keep(wanted | {want.mqtt for want in self._parting}, (want.flow for want in self._wants))
        self._router.table = self._table(self._allowed())
        if self._network is not None:
            for mqtt in leaving:
                self._network.unsubscribe(mqtt, partial(self._gone, mqtt))
            if not self._session.unanswered:
                self.complete.set()
            self._session.note()

    def _ending(self, change: _Change) -> list[Want]:
        """The subscriptions through which something may still come when a change gives them up."""
        granted = self._session.granted
        going = (want for want in change.before if want.filter.share or want.flow in change.moving)
        return [want for want in going if want.mqtt in granted]

    def _exchange(self) -> None:
        if self._change is None:
            self._router.table = self._table(self._allowed())
        else:
            self._router.table = self._transition(self._change)

    def _gone(self, mqtt: str, _code: int) -> None:
        self._session.leaving.discard(mqtt)
        if self._network is not None:
            self._session.note()

    def _transition(self, change: "_Change") -> Table:
        """The table until the change is settled: old versions get what is live, new ones what the broker kept."""
        newcomers = [want for want in self._allowed() if want.flow in change.fresh]
        return self._table([*change.before, *newcomers], change.waiting)

    def _table(self, wants: Iterable[Want], waiting: frozenset[LiveFlow] = frozenset()) -> Table:
        granted = [want for want in wants if want.mqtt not in self._session.refused]
        given, own = dict(self._identifiers.given), self._identifiers.own
        return Table(granted, given, own=own, waiting=waiting, newcomers=self._newcomers, parting=self._parting)

    def _allowed(self) -> list[Want]:
        """What can be asked of this broker; the rest is refused here, and told."""
        if self._network is None:
            return list(self._wants)
        heard_by_others = {want.mqtt for want in self._wants if not want.source.no_local}
        allowed = []
        for want in self._wants:
            reason = objection(want, self._terms, heard_by_others)
            if reason:
                self._tell([want.flow.name], want.mqtt, reason, is_refused=True)
            else:
                allowed.append(want)
        return allowed

    def _merged(self, wants: Iterable[Want]) -> tuple[Want, ...]:
        """The wants with what is to be asked for each of them."""
        given = tuple(wants)
        if not any(want.is_grouped for want in given):
            return given
        bare = [replace(want, through="") for want in given]
        if self._network is None or self._terms.has_identifiers:
            return tuple(bare)
        found = merged(bare)
        for one, other in doubled(found):
            twice = f"what `{other.filter.text}` matches too may come twice: this broker does not tell them apart"
            self._tell([one.flow.name, other.flow.name], one.mqtt, twice, is_refused=False)
        return tuple(found)

    def _flows(self, mqtt: str) -> list[str]:
        return list(dict.fromkeys(want.flow.name for want in self._wants if want.mqtt == mqtt))

    def _tell(self, flows: Sequence[str], mqtt: str, reason: str, *, is_refused: bool) -> None:
        """Complain, but not again at every network connection."""
        if (mqtt, reason) not in self._told:
            self._told.add((mqtt, reason))
            self._complain(mqtt, flows, reason, is_refused=is_refused)


def _forms(flows: Iterable[LiveFlow]) -> set[int]:
    return {id(flow.program.flow) for flow in flows}
