"""Turns what flows want of one connection into SUBSCRIBE and UNSUBSCRIBE, and into the table of its router."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import randrange
from typing import Protocol

from flowrunner.records import dataclass
from flowrunner.run import refusals
from flowrunner.run.asks import Ask, doubled, merged, objection, plan
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.network import Network
from flowrunner.run.newcomers import Newcomers
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


class Ledger(Protocol):
    """Remembers from one start to the next what a session at the broker may hold."""

    def read(self) -> frozenset[str]:
        """The filters that were noted last."""

    def note(self, filters: frozenset[str]) -> None:
        """Note other filters, before the broker is asked for them; never raise."""


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
        self._ledger = ledger
        self._left: frozenset[str] | None = None  # by an earlier process, until a session was found
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
        self._newcomers = Newcomers()
        self._change: _Change | None = None
        self._parting: dict[Want, bool] = {}  # and whether the broker goes on with the filter, for other flows
        self._deadline: asyncio.TimerHandle | None = None
        self.complete = asyncio.Event()

    @property
    def filters(self) -> frozenset[str]:
        """The filters that the broker holds, as sent."""
        return frozenset(self._granted)

    @property
    def is_whole(self) -> bool:
        """Whether the broker has granted all that is wanted."""
        return self.complete.is_set() and all(want.mqtt in self._granted for want in self._wants)

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
        return frozenset(want.flow for want in self._parting)

    @property
    def is_leaving(self) -> bool:
        """Whether the broker has not confirmed yet that it has given up what it was asked to."""
        return bool(self._leaving)

    def move(self, ledger: Ledger | None) -> None:
        """Learn that the next network connection is to another session."""
        self._parting.clear()
        self._ledger, self._left = ledger, None
        self._granted.clear()
        self._leaving.clear()
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
            touched |= {want.mqtt for want in self._wants} - self._granted.keys()
            asked = [want for want in self._allowed() if want.mqtt in touched]
            self._send(self._network, plan(asked, self._granted, change.fresh))
            change.is_asked = True
        if self._unanswered:
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
        if self._parting:
            self._parting.clear()
            self._exchange()

    def part_with_held(self) -> None:
        """The same of those with whose filters the broker goes on, for other flows."""
        if any(self._parting.values()):
            self._parting = {want: is_held for want, is_held in self._parting.items() if not is_held}
            self._exchange()

    def resume(self, network: Network, terms: Terms) -> None:
        """Subscribe on a network connection that has just been accepted, to what its session does not hold yet."""
        self._network, self._terms = network, terms
        self._wants = self._merged(self._wants)
        if self._change is not None:
            self._change.before = self._merged(self._change.before)
        self._refused.clear()
        self._find_left(is_there=terms.session_present)
        if not terms.session_present:
            self._granted.clear()
            self._leaving.clear()
            self._given.clear()
        allowed = [*(self._change.before if self._change is not None else ()), *self._allowed()]
        self._newcomers.begin(want.flow for want in allowed)
        missing = [want for want in allowed if want.mqtt not in self._granted]
        self._send(network, plan(missing, {}, frozenset(want.flow for want in missing)))
        self._router.table = self._table(self._allowed()) if self._change is None else self._transition(self._change)
        if not self._unanswered:
            self._answer()

    def lose(self) -> None:
        """Learn that the network connection is gone."""
        self._network = None
        self._leaving |= self._unanswered.keys()
        self._unanswered.clear()
        self.complete.clear()
        if self._change is not None:
            self._change.is_asked = False
        self._answer()

    def _find_left(self, *, is_there: bool) -> None:
        """Learn what the session holds that an earlier process has asked for."""
        if self._ledger is not None and self._left is None:
            self._left = self._ledger.read()
            if is_there:
                self._leaving |= self._left

    def _note(self) -> None:
        """Note what the session may hold from now on."""
        if self._ledger is not None and self._network is not None:
            self._ledger.note(frozenset({*self._granted, *self._unanswered, *self._leaving}))

    def _send(self, network: Network, asks: Iterable[Ask]) -> None:
        asked = {ask.mqtt: ask for ask in asks}
        self._unanswered |= asked
        self._refused -= asked.keys()
        self._leaving -= asked.keys()
        if asked:
            self._note()
        for ask in asked.values():
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
        change = self._change
        if change is not None and change.is_asked and not change.has_joined:
            self._newcomers.join(change.fresh)  # what the broker kept follows its answer
            change.has_joined = True
        if not self._unanswered:
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
            self._see_off(change, wanted)
        self._leaving |= self._granted.keys() - wanted
        self._granted = {mqtt: ask for mqtt, ask in self._granted.items() if mqtt in wanted}
        now = {id(want.flow.program.flow): want.flow for want in self._wants}
        self._given = {
            number: Given(given.mqtt, frozenset(now.get(id(flow.program.flow), flow) for flow in given.newcomers))
            for number, given in _recent(self._given, wanted | {want.mqtt for want in self._parting}).items()
        }
        self._router.table = self._table(self._allowed())
        if self._network is not None:
            for mqtt in self._leaving - wanted:
                self._network.unsubscribe(mqtt, partial(self._gone, mqtt))
            if not self._unanswered:
                self.complete.set()
            self._note()

    def _see_off(self, change: _Change, wanted: Container[str]) -> None:
        """Let flows go on with what comes through the subscriptions that they had."""
        staying = {(want.flow.name, want.mqtt) for want in self._wants}
        self._parting = {
            want: held for want, held in self._parting.items() if (want.flow.name, want.mqtt) not in staying
        }
        for want in change.before:
            is_going = want.filter.share or want.flow in change.moving
            if is_going and want.mqtt in self._granted and (want.flow.name, want.mqtt) not in staying:
                self._parting[want] = want.mqtt in wanted

    def _exchange(self) -> None:
        if self._change is None:
            self._router.table = self._table(self._allowed())
        else:
            self._router.table = self._transition(self._change)

    def _gone(self, mqtt: str, _code: int) -> None:
        self._leaving.discard(mqtt)
        self._note()

    def _transition(self, change: "_Change") -> Table:
        """The table until the change is settled: old versions get what is live, new ones what the broker kept."""
        newcomers = [want for want in self._allowed() if want.flow in change.fresh]
        return self._table([*change.before, *newcomers], change.waiting)

    def _table(self, wants: Iterable[Want], waiting: frozenset[LiveFlow] = frozenset()) -> Table:
        granted = [want for want in wants if want.mqtt not in self._refused]
        own = range(self._first, self._next)
        return Table(
            granted, dict(self._given), own=own, waiting=waiting, newcomers=self._newcomers, parting=self._parting
        )

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
