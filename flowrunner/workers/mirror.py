"""Turns what workers tell of themselves into one runner, as far as it is shown: what they counted is added up.

What a worker counted before it ended stays: a total never gets smaller.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field, replace

from flowrunner.clock import Clock
from flowrunner.connections import ConnectionSettings
from flowrunner.records import dataclass
from flowrunner.run.live import Program
from flowrunner.run.shown import Worker
from flowrunner.run.timings import Counts, Timings
from flowrunner.text import Source
from flowrunner.workers.fleet_connection import FleetConnection
from flowrunner.workers.fleet_failures import FleetFailures, sources_of
from flowrunner.workers.fleet_flow import FleetFlow, FlowSum
from flowrunner.workers.glance import ConnectionGlance, Glance
from flowrunner.workers.sums import Line


@dataclass(slots=True)
class _Member:
    """What is known of one worker."""

    worker: Worker
    stores: Mapping[tuple[str, str], int] = field(default_factory=dict)
    timings: dict[str, Counts] = field(default_factory=dict)
    seconds_before: float = 0.0

    def begin(self, process: int, now: float) -> None:
        """Another process has come in its place."""
        restarts = self.worker.restarts + 1
        self.worker = replace(self.worker, process=process, since=now, restarts=restarts, memory=0)

    def take(self, glance: Glance) -> None:
        """Take what it tells of itself alone."""
        self.stores = glance.stores
        self.timings |= glance.timings
        seconds = self.seconds_before + glance.seconds
        self.worker = replace(self.worker, seconds=seconds, memory=glance.memory)

    def end(self) -> None:
        """Its process has ended."""
        self.timings, self.stores = {}, {}
        self.seconds_before = self.worker.seconds
        self.worker = replace(self.worker, process=0, memory=0)


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
            self._members[number] = _Member(Worker(number, process, now))
        else:
            known.begin(process, now)

    def ended(self, number: int) -> None:
        """A worker has ended; what it counted stays."""
        member = self._members.get(number)
        if member is None:
            return
        self._timings.add(member.timings)
        member.end()
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
        self._take_flows(number, glance)
        if glance.running is not None:
            for name in self._sums.keys() - set(glance.running):
                self._sums[name].states.pop(number, None)
        for name, states in glance.states.items():
            self._sum(name).states[number] = states
        self._take_connections(number, glance.connections)
        for tally in glance.tallies:
            self.failures.take(number, tally, self._sources)
        member.take(glance)

    def _take_flows(self, number: int, glance: Glance) -> None:
        for ended in glance.ended:
            line = (number, ended.line)
            if line not in self._dropped:
                self._sum(ended.name).take(line, ended)
                self._sum(ended.name).end([line])
            self._dropped.discard(line)
        for flow in glance.flows:
            if (number, flow.line) not in self._dropped:
                self._sum(flow.name).take((number, flow.line), flow)

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
