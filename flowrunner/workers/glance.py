"""Turns a runner into what its supervisor is told of it: its counters, as far as they are others than the last time."""

import os
import resource
import sys
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from flowrunner.diagnostics import Diagnostic
from flowrunner.records import dataclass
from flowrunner.run.failures import Failures
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow, base_name
from flowrunner.run.shown import Connected, Shows
from flowrunner.run.timings import Counts

Place = tuple[str, str, str, int]
"""Where something fails: flow, code, file, line."""


class FlowGlance(NamedTuple):
    """What a flow counted.

    The `line` is another one where it began anew: a worker that gets a flow back counts from nothing.
    """

    name: str
    line: int
    received: int
    dropped: int
    handled: int
    stopped: Mapping[str, int]


class ConnectionGlance(NamedTuple):
    """A client of one worker, under the name of its connection; see `Connected`. The `line` is as that of flows."""

    name: str
    line: int
    terms: Terms | None
    is_subscribed: bool
    published: int
    dropped: int
    pending: int


@dataclass(frozen=True, slots=True)
class TallyGlance:
    """What failed at one place; the diagnostic only where it is another one than the last time."""

    place: Place
    count: int
    last: float
    diagnostic: Diagnostic | None


@dataclass(frozen=True, slots=True)
class Glance:
    """What a worker tells of itself. Of flows and failures those that changed; `ended` flows are told once more.

    `running` are the names of all flows that run there. `states` are those of the flows of which somebody asks.
    `seconds` of the CPU and `memory` (bytes) are those of the process.
    """

    flows: tuple[FlowGlance, ...]
    ended: tuple[FlowGlance, ...]
    running: tuple[str, ...] | None
    connections: tuple[ConnectionGlance, ...]
    tallies: tuple[TallyGlance, ...]
    stores: Mapping[tuple[str, str], int]
    states: Mapping[str, dict[str, Any]]
    timings: Mapping[str, Counts]
    seconds: float
    memory: int


class Glanced(Shows, Protocol):
    """A runner that does all itself, as far as it is glanced at: what counts is there, and not only what it counted."""

    @property
    def flows(self) -> Mapping[str, LiveFlow]:
        """What runs, by name."""

    @property
    def failures(self) -> Failures:
        """What failed."""


@dataclass(slots=True)
class _Line:
    """A flow from the time when it began here; its versions follow each other."""

    live: LiveFlow
    number: int
    told: tuple[int, ...] = ()

    @property
    def counts(self) -> tuple[int, ...]:
        """What there is to tell, in short."""
        live = self.live
        stopped = live.stopped
        if not stopped:
            return live.received, live.dropped, live.handled
        return live.received, live.dropped, live.handled, len(stopped), sum(stopped.values())

    def glance(self) -> FlowGlance:
        """What it counted."""
        live = self.live
        return FlowGlance(live.name, self.number, live.received, live.dropped, live.handled, dict(live.stopped))


class Glancer:
    """Glances at a runner, again and again, for one who remembers what it was told."""

    def __init__(self, runner: Glanced) -> None:
        self._runner = runner
        self._lines: dict[str, _Line] = {}
        self._numbers = 0
        self._running: tuple[str, ...] = ()
        self._links: dict[str, tuple[object, int]] = {}
        self._tallies: dict[Place, tuple[int, float, Diagnostic]] = {}
        self._timings: Mapping[str, Counts] = {}

    def glance(self, states: Collection[str] | None = (), timings: Mapping[str, Counts] | None = None) -> Glance:
        """What is new; `states` are the flows of which the steps tell what they remember, None for all.

        `timings` is what was measured so far.
        """
        runner = self._runner
        ended = self._follow()
        flows = [line for line in self._lines.values() if line.told != line.counts]
        for line in flows:
            line.told = line.counts
        running = tuple(runner.flows)
        is_told, self._running = running == self._running, running
        wanted = runner.flows.keys() if states is None else runner.flows.keys() & set(states)
        return Glance(
            tuple(line.glance() for line in flows),
            tuple(line.glance() for line in ended),
            None if is_told else running,
            tuple(self._connection(name, one) for name, one in runner.connections.items()),
            tuple(self._failed()),
            {place: len(store) for place, store in runner.stores.items()},
            {name: runner.flows[name].show_states(runner.clock) for name in wanted},
            self._timed(timings or {}),
            sum(os.times()[:2]),
            memory_of_this(),
        )

    def _follow(self) -> list[_Line]:
        """Take up which flows run now; returns those that ended."""
        ended = []
        flows = self._runner.flows
        for name, line in list(self._lines.items()):
            live = flows.get(name)
            if live is line.live:
                continue
            line.live = line.live.counting
            if live is not line.live:
                ended.append(self._lines.pop(name))
        for name, live in flows.items():
            if name not in self._lines:
                self._numbers += 1
                self._lines[name] = _Line(live, self._numbers)
        return ended

    def _timed(self, timings: Mapping[str, Counts]) -> dict[str, Counts]:
        before, self._timings = self._timings, timings
        return {flow: counts for flow, counts in timings.items() if before.get(flow) != counts}

    def _connection(self, name: str, one: Connected) -> ConnectionGlance:
        known = self._links.get(name)
        if known is None or known[0] is not one:
            self._numbers += 1
            known = self._links[name] = (one, self._numbers)
        link = one.link
        counted = (link.published, link.dropped, link.pending)
        return ConnectionGlance(base_name(name), known[1], one.terms, one.is_subscribed, *counted)

    def _failed(self) -> list[TallyGlance]:
        found = []
        before, self._tallies = self._tallies, {}
        for place, tally in list(self._runner.failures.tallies.items()):
            self._tallies[place] = now = (tally.count, tally.last, tally.diagnostic)
            known = before.get(place)
            if known is None or known[:2] != now[:2] or known[2] is not now[2]:
                is_new = known is None or known[2] is not now[2]
                found.append(TallyGlance(place, tally.count, tally.last, tally.diagnostic if is_new else None))
        return found


def memory_of_this() -> int:
    """Bytes of memory that this process holds now; where the system does not say, the most that it held so far."""
    try:
        with open("/proc/self/statm", "rb") as told:  # noqa: PTH123 - several times a second
            return int(told.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
