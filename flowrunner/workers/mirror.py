"""Turns what workers tell of themselves into one runner, as far as it is shown: what they counted is added up.

What a worker counted before it ended stays: a total never gets smaller.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from heapq import nsmallest
from typing import Any

from flowrunner.clock import Clock
from flowrunner.compile.failure import steps_of
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.failures import MOST_KINDS, Tally
from flowrunner.run.link import Terms
from flowrunner.run.live import Program
from flowrunner.run.shown import Shown, Worker
from flowrunner.run.timings import Counts, Timings
from flowrunner.text import Source, Span
from flowrunner.workers.glance import ConnectionGlance, FlowGlance, Glance, Place, TallyGlance

#: Times that are shown of a step, the nearest ones.
_MOST_TIMES = 3

Line = tuple[int, int]
"""A worker, and what it counts from nothing: the `line` of a glance."""


@dataclass(slots=True)
class Sum:
    """What several count: those who still do, and all those before them."""

    gone: dict[str, int] = field(default_factory=dict)
    lines: dict[Line, Mapping[str, int]] = field(default_factory=dict)

    def take(self, line: Line, counts: Mapping[str, int]) -> None:
        """Take what one counted so far."""
        self.lines[line] = counts

    def end(self, lines: Iterable[Line]) -> None:
        """Some count no more."""
        for line in lines:
            for name, count in self.lines.pop(line, {}).items():
                self.gone[name] = self.gone.get(name, 0) + count

    def of(self, name: str) -> int:
        """How many there are."""
        return self.gone.get(name, 0) + sum(counts.get(name, 0) for counts in self.lines.values())

    def all(self) -> dict[str, int]:
        """How many there are of each."""
        names = dict.fromkeys([*self.gone, *(name for counts in self.lines.values() for name in counts)])
        return {name: self.of(name) for name in names}


class FleetFlow:
    """A flow that runs in one worker or in several; see `LiveFlow`."""

    def __init__(self, program: Program, since: float, kept: "FlowSum") -> None:
        self.name = program.flow.name
        self.program = program
        self.since = since
        self._kept = kept

    def __repr__(self) -> str:
        return f"FleetFlow({self.name!r})"

    @property
    def received(self) -> int:
        """Messages that came in."""
        return self._kept.counts.of("received")

    @property
    def dropped(self) -> int:
        """Messages dropped by a failing step."""
        return self._kept.counts.of("dropped")

    @property
    def handled(self) -> int:
        """Failures that `on_error` took care of."""
        return self._kept.counts.of("handled")

    @property
    def stopped(self) -> Mapping[str, int]:
        """Messages ended by `stop`, by reason."""
        return self._kept.stopped.all()

    def show_states(self, clock: Clock) -> dict[str, Shown]:  # noqa: ARG002 - the workers have asked theirs
        """What each step remembers, in all workers together."""
        return add_states(self._kept.states.values())


@dataclass(slots=True)
class FlowSum:
    """What workers count of one flow, and what its steps remember, by worker."""

    counts: Sum = field(default_factory=Sum)
    stopped: Sum = field(default_factory=Sum)
    states: dict[int, dict[str, Shown]] = field(default_factory=dict)

    def take(self, line: Line, glance: FlowGlance) -> None:
        """Take what a worker counted."""
        counts = {"received": glance.received, "dropped": glance.dropped, "handled": glance.handled}
        self.counts.take(line, counts)
        self.stopped.take(line, glance.stopped)

    def end(self, lines: Collection[Line]) -> None:
        """Some count no more."""
        self.counts.end(lines)
        self.stopped.end(lines)


class FleetConnection:
    """An entry of `connections:`, on which each worker has clients of its own; see `Connection`. It is its own link."""

    def __init__(self, settings: Callable[[], ConnectionSettings]) -> None:
        self._settings = settings
        self._last = settings()
        self._counts = Sum()
        self._clients: dict[Line, ConnectionGlance] = {}
        self._lost: dict[int, int] = {}

    @property
    def settings(self) -> ConnectionSettings:
        """Its settings, the last ones if it is not among the settings any more."""
        with suppress(KeyError):
            self._last = self._settings()
        return self._last

    @property
    def terms(self) -> Terms | None:
        """What the broker allows; None while there is none."""
        return next((one.terms for one in self._clients.values() if one.terms is not None), None)

    @property
    def link(self) -> "FleetConnection":
        """Its counters."""
        return self

    @property
    def clients(self) -> tuple[int, int]:
        """How many of its clients have their broker, and how many there are, or were in a worker that is away."""
        there = sum(one.terms is not None for one in self._clients.values())
        return there, len(self._clients) + sum(self._lost.values())

    @property
    def is_subscribed(self) -> bool:
        """Whether all its clients have their broker, and were granted every subscription."""
        return not self._lost and all(one.is_subscribed for one in self._clients.values())

    @property
    def published(self) -> int:
        """Publishes so far."""
        return self._counts.of("published")

    @property
    def dropped(self) -> int:
        """Publishes at QoS 0 that nobody was there to take."""
        return self._counts.of("dropped")

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""
        return sum(one.pending for one in self._clients.values())

    @property
    def is_used(self) -> bool:
        """Whether some worker has it, or will have it again."""
        return bool(self._clients or self._lost)

    @property
    def workers(self) -> tuple[int, ...]:
        """The workers that have it, those first that have a broker."""
        lines = sorted(self._clients, key=lambda line: (self._clients[line].terms is None, line))
        return tuple(dict.fromkeys(number for number, _ in lines))

    def take(self, number: int, glances: Sequence[ConnectionGlance]) -> None:
        """Take what a worker tells of its clients."""
        self._lost.pop(number, None)
        found = {(number, glance.line): glance for glance in glances}
        gone = [line for line in self._clients if line[0] == number and line not in found]
        self._counts.end(gone)
        self._clients = {line: one for line, one in self._clients.items() if line[0] != number} | found
        for line, glance in found.items():
            self._counts.take(line, {"published": glance.published, "dropped": glance.dropped})

    def end(self, number: int) -> None:
        """A worker has ended; it will come back."""
        lines = [line for line in self._clients if line[0] == number]
        self._counts.end(lines)
        for line in lines:
            del self._clients[line]
        if lines:
            self._lost[number] = len(lines)


class FleetFailures:
    """What failed in all workers; see `Failures`."""

    def __init__(self) -> None:
        self.tallies: dict[Place, Tally] = {}
        self._counts: dict[Place, dict[int, int]] = {}

    def take(self, number: int, glance: TallyGlance, sources: Callable[[str], Mapping[str, Source]]) -> None:
        """Take what failed at one place in a worker; `sources` are the texts that a flow was made of, by name."""
        flow = glance.place[0]
        tally = self.tallies.get(glance.place)
        if tally is None:
            if glance.diagnostic is None:
                return
            if len(self.tallies) >= MOST_KINDS:
                oldest = next(iter(self.tallies))
                del self.tallies[oldest], self._counts[oldest]
            tally = self.tallies[glance.place] = Tally(flow, anchored(glance.diagnostic, sources(flow)))
            self._counts[glance.place] = {}
        elif glance.diagnostic is not None:
            tally.diagnostic = anchored(glance.diagnostic, sources(flow))
        counts = self._counts[glance.place]
        before = counts.get(number, 0)
        tally.count += glance.count - before if glance.count >= before else glance.count  # else it began anew
        tally.last = max(tally.last, glance.last)
        counts[number] = glance.count

    def end(self, number: int) -> None:
        """A worker has ended: one that comes in its place counts from nothing."""
        for counts in self._counts.values():
            counts.pop(number, None)


@dataclass(slots=True)
class _Member:
    """What is known of one worker."""

    worker: Worker
    running: frozenset[str] = frozenset()
    stores: Mapping[tuple[str, str], int] = field(default_factory=dict)
    timings: dict[str, Counts] = field(default_factory=dict)
    starts: int = 0
    seconds_before: float = 0.0


class Mirror:
    """What workers tell, as one runner.

    Whoever runs them says which programs run (`show`), which workers are there (`began`, `ended`), and who owns which
    flows (`own`); `take_glance` takes what each worker tells. `settings` are those of a connection, by its name.
    """

    def __init__(self, clock: Clock, settings: Callable[[str], ConnectionSettings]) -> None:
        self.clock = clock
        self.flows: dict[str, FleetFlow] = {}
        self.connections: dict[str, FleetConnection] = {}
        self.failures = FleetFailures()
        self._settings = settings
        self._owned: Mapping[int, Collection[str]] = {}
        self._sums: dict[str, FlowSum] = {}
        self._dropped: set[Line] = set()
        self._members: dict[int, _Member] = {}
        self._timings = Timings()

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers, also those that are away for a moment."""
        members = sorted(self._members.items())
        return tuple(replace(one.worker, owned=tuple(sorted(self._owned.get(number, ())))) for number, one in members)

    @property
    def stores(self) -> Mapping[tuple[str, str], range]:
        """The named values of `state` steps, each with as many as there are in all workers."""
        sizes: dict[tuple[str, str], int] = {}
        for member in self._members.values():
            for place, size in member.stores.items():
                sizes[place] = sizes.get(place, 0) + size
        return {place: range(size) for place, size in sizes.items()}

    @property
    def timings(self) -> Mapping[str, Counts]:
        """How long flows took for messages."""
        timings = Timings()
        timings.add(self._timings.known())
        for member in self._members.values():
            timings.add(member.timings)
        return timings.known()

    def process_of(self, number: int) -> int:
        """The process of a worker in the system; 0 if it is not there."""
        return self._members[number].worker.process if number in self._members else 0

    def show(self, programs: Iterable[Program]) -> None:
        """These programs run now. One that ran before goes on; what is not among them has ended, with its counts."""
        before, self.flows = self.flows, {}
        for program in programs:
            name = program.flow.name
            known = before.get(name)
            if known is not None and known.program.flow is program.flow:
                known.program = program
                self.flows[name] = known
            else:
                self.flows[name] = FleetFlow(program, self.clock.now(), self._sum(name))
        for name in before.keys() - self.flows.keys():
            self._dropped.update(self._sums.pop(name, FlowSum()).counts.lines)

    def own(self, owned: Mapping[int, Collection[str]]) -> None:
        """These flows run in one worker each, by its number."""
        self._owned = owned

    def began(self, number: int, process: int) -> None:
        """A worker is there, for the first time or again."""
        known = self._members.get(number)
        now = self.clock.now()
        if known is None:
            self._members[number] = _Member(Worker(number, process, now), starts=1)
            return
        known.starts += 1
        known.worker = replace(known.worker, process=process, since=now, restarts=known.starts - 1, memory=0)

    def ended(self, number: int) -> None:
        """A worker has ended; what it counted stays."""
        member = self._members.get(number)
        if member is None:
            return
        self._timings.add(member.timings)
        member.timings, member.stores, member.running = {}, {}, frozenset()
        member.seconds_before = member.worker.seconds
        member.worker = replace(member.worker, process=0, memory=0)
        for flow in self._sums.values():
            flow.end([line for line in flow.counts.lines if line[0] == number])
            flow.states.pop(number, None)
        for connection in self.connections.values():
            connection.end(number)
        self.failures.end(number)
        self._dropped = {line for line in self._dropped if line[0] != number}

    def take_glance(self, number: int, glance: Glance) -> None:
        """Take what a worker tells."""
        member = self._members.get(number)
        if member is None or not member.worker.process:
            return
        for ended in glance.ended:
            line = (number, ended.line)
            if line not in self._dropped:
                self._sum(ended.name).take(line, ended)
                self._sum(ended.name).end([line])
            self._dropped.discard(line)
        for flow in glance.flows:
            if (number, flow.line) not in self._dropped:
                self._sum(flow.name).take((number, flow.line), flow)
        if glance.running is not None:
            member.running = frozenset(glance.running)
            for name in self._sums.keys() - member.running:
                self._sums[name].states.pop(number, None)
        for name, states in glance.states.items():
            self._sum(name).states[number] = states
        self._take_connections(number, glance.connections)
        for tally in glance.tallies:
            self.failures.take(number, tally, self._sources)
        member.stores = glance.stores
        member.timings |= glance.timings
        seconds = member.seconds_before + glance.seconds
        member.worker = replace(member.worker, seconds=seconds, memory=glance.memory)

    def _take_connections(self, number: int, glances: Iterable[ConnectionGlance]) -> None:
        found: dict[str, list[ConnectionGlance]] = {}
        for glance in glances:
            found.setdefault(glance.name, []).append(glance)
        for name in [*self.connections, *(name for name in found if name not in self.connections)]:
            if name not in self.connections:
                self.connections[name] = FleetConnection(lambda name=name: self._settings(name))  # type: ignore[misc]
            self.connections[name].take(number, found.get(name, ()))
            if not self.connections[name].is_used:
                del self.connections[name]

    def _sum(self, name: str) -> FlowSum:
        return self._sums.setdefault(name, FlowSum())

    def _sources(self, flow: str) -> Mapping[str, Source]:
        live = self.flows.get(flow)
        return sources_of(live.program) if live is not None else {}


def add_states(found: Collection[dict[str, Shown]]) -> dict[str, Shown]:
    """What the steps of a flow remember in several workers together."""
    if len(found) <= 1:
        return dict(next(iter(found), {}))
    added: dict[str, Shown] = {}
    for states in found:
        for name, state in states.items():
            added[name] = _both(added[name], state) if name in added else state
    return added


def _both(one: Shown, other: Shown) -> Shown:
    counts = {name: one.get(name, 0) + other.get(name, 0) for name in [*one, *other] if name != "due"}
    due: list[Any] = nsmallest(_MOST_TIMES, [*one.get("due", ()), *other.get("due", ())], key=lambda time: time["in"])
    return {**counts, **({"due": due} if due else {})}


def sources_of(program: Program) -> dict[str, Source]:
    """The texts that a flow was made of, by their names."""
    flow = program.flow
    if not isinstance(flow, Flow):
        return {}
    found = {step.at.span.source.name: step.at.span.source for step in steps_of(flow)}
    return {**found, flow.source.name: flow.source}


def anchored(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> Diagnostic:
    """A diagnostic from another process, in the texts of this one where they are the same."""

    def here(span: Span) -> Span:
        source = sources.get(span.source.name)
        return replace(span, source=source) if source is not None and source.text == span.source.text else span

    labels = tuple(replace(label, span=here(label.span)) for label in diagnostic.labels)
    return replace(diagnostic, span=here(diagnostic.span), labels=labels)
