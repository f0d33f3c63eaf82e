"""Turns topics and subscription identifiers into the flows that want a message."""

from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType

from flowrunner.records import dataclass
from flowrunner.run.live import LiveFlow
from flowrunner.run.newcomers import Newcomers
from flowrunner.sources import Subscribe
from flowrunner.topics import Filter, FilterTree, matches

#: Topics whose routes are remembered, per table.
MOST_CACHED = 10_000

Route = tuple[LiveFlow, int]
"""A flow, and the index of the source through which it gets the message."""


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """One `subscribe` of a flow; `entry` is its index among the sources of the flow.

    If it `is_grouped`, all members of the group want the very same, and each copy of a message goes to one of them.
    `through` is a wider filter whose messages are looked through for those of this one, if it is not asked for itself.
    """

    flow: LiveFlow
    entry: int
    source: Subscribe
    is_grouped: bool = False
    through: str = ""

    @property
    def filter(self) -> Filter:
        """The topic filter."""
        return self.source.filter

    @property
    def mqtt(self) -> str:
        """The filter that the broker is sent."""
        return self.through or self.source.filter.mqtt


@dataclass(frozen=True, slots=True)
class Given:
    """A subscription that a broker was asked for: its filter as sent, and for whom its retained messages are."""

    mqtt: str
    newcomers: frozenset[LiveFlow]


class Table:
    """Who wants what, on one connection. It never changes; another one takes its place.

    `given` are the subscriptions of this session by identifier, `own` all identifiers this runner has ever sent.
    Flows in `waiting` are about to replace others: until then they only get what the broker kept for them.
    `newcomers` say who gets retained messages where deliveries carry no identifiers; None is everybody. `parting` is
    what was wanted before, of which the broker may still have messages for us that it sends to nobody else.
    """

    def __init__(
        self,
        wants: Iterable[Want] = (),
        given: Mapping[int, Given] = MappingProxyType({}),
        *,
        own: Container[int] = (),
        waiting: frozenset[LiveFlow] = frozenset(),
        newcomers: Newcomers | None = None,
        parting: Iterable[Want] = (),
    ) -> None:
        left = list(parting)
        self._parting = Table(left, given, own=own) if left else None
        self._given = given
        self._own = own
        self._waiting = waiting
        self._newcomers = newcomers
        self._by_flow: dict[LiveFlow, list[Want]] = {}
        self._by_filter: dict[str, dict[LiveFlow, None]] = {}
        self._tree: FilterTree[Want] = FilterTree()
        self._cache: dict[tuple[str, bool, tuple[int, ...]], tuple[Route, ...]] = {}
        for want in wants:
            self._by_flow.setdefault(want.flow, []).append(want)
            self._by_filter.setdefault(want.mqtt, {})[want.flow] = None
            self._tree.add(want.filter, want)

    def find(self, topic: str, retain: bool, identifiers: tuple[int, ...]) -> tuple[Route, ...]:  # noqa: FBT001
        """The flows that get this delivery, each once. With identifiers it is one of several copies, maybe."""
        key = (topic, retain, identifiers)
        if retain and not self._are_own(identifiers):
            return self.route(*key)
        routes = self._cache.get(key)
        if routes is None:
            routes = self.route(*key)
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            self._cache[key] = routes
        return routes

    def route(self, topic: str, retain: bool, identifiers: tuple[int, ...]) -> tuple[Route, ...]:  # noqa: FBT001
        """The same, found anew, for those who remember it themselves."""
        are_own = self._are_own(identifiers)
        found = self._identified(topic, retain, identifiers) if are_own else self._matching(topic, retain)
        if self._parting is None or retain:
            return tuple(found)
        routes = {flow.name: (flow, entry) for flow, entry in self._parting.route(topic, retain, identifiers)}
        routes |= {flow.name: (flow, entry) for flow, entry in found}  # which is newer
        return tuple(routes.values())

    def _are_own(self, identifiers: tuple[int, ...]) -> bool:
        """Not so where there are none, or where a kept session holds subscriptions of an earlier run."""
        return any(identifier in self._own for identifier in identifiers)

    def _identified(self, topic: str, retain: bool, identifiers: tuple[int, ...]) -> Iterable[Route]:  # noqa: FBT001
        arrived = [self._given[number] for number in identifiers if number in self._given]
        filters = {given.mqtt for given in arrived}
        for flow in dict.fromkeys(flow for mqtt in filters for flow in self._by_filter.get(mqtt, ())):
            want = _through(self._by_flow[flow], topic, filters, retain=retain)
            if want is None:
                continue
            is_new = any(flow in given.newcomers for given in arrived if given.mqtt == want.mqtt)
            if is_new if retain else flow not in self._waiting:
                yield flow, want.entry

    def _matching(self, topic: str, retain: bool) -> Iterable[Route]:  # noqa: FBT001
        first: dict[LiveFlow, Want] = {}
        for want in sorted(self._tree.find(topic), key=lambda want: want.entry):
            if want.source.takes(retain=retain):
                first.setdefault(want.flow, want)
        for flow, want in first.items():
            is_new = self._newcomers is None or not retain or self._newcomers.takes(flow, topic)
            if is_new if retain else flow not in self._waiting:
                yield flow, want.entry


def _through(wants: Sequence[Want], topic: str, filters: Container[str], *, retain: bool) -> Want | None:
    """The subscription through which a flow gets this copy of a message, None if another copy is the one.

    A broker may send a copy for each subscription. The one that counts is that of the flow's first filter, but
    of a shared one only if no other matches: its copy may have gone to another client. Members of a group are as one:
    what they get through other filters than the first, each of them leaves alone.
    """
    matching = [want for want in wants if want.source.takes(retain=retain) and matches(want.filter, topic)]
    for want in matching:
        if want.is_grouped or not want.filter.share:
            return want if want.mqtt in filters else None
    return next((want for want in matching if want.mqtt in filters), None)
