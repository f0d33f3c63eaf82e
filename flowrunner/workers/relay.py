"""Turns what workers see in tapped flows into the calls that those who look here expect, in the order of time."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from heapq import merge
from operator import itemgetter
from typing import Any

from flowrunner.clock import Clock
from flowrunner.diagnostics import Diagnostic
from flowrunner.message import Message
from flowrunner.records import dataclass
from flowrunner.run.live import Program
from flowrunner.run.tapping import Moment, Wanted, Watcher
from flowrunner.workers.asking import Answer, Closely, Rooms, Tap
from flowrunner.workers.fleet_failures import anchored, sources_of
from flowrunner.workers.sheet import Row
from flowrunner.workers.values import unpack

#: Seconds for which what others saw waits for a worker that does not answer.
PATIENCE = 1.0

#: Versions of a flow that are told of at a time: messages may still be in one that was replaced.
_MOST_VERSIONS = 3

_log = logging.getLogger("flowrunner.workers")


@dataclass(slots=True, eq=False)
class _Tap:
    """The taps of one version of a flow: a number, who looks, and how much each worker that runs it may let in."""

    number: int
    program: Program
    watchers: tuple[Watcher, ...]
    rooms: dict[int, int] = field(default_factory=dict)

    @property
    def closely(self) -> frozenset[str] | None:
        """The steps at which somebody looks closely; None for all."""
        steps = [watcher.closely for watcher in self.watchers]
        return None if None in steps else frozenset().union(*(one for one in steps if one is not None))

    def room(self, among: int) -> int:
        """What each of so many workers may let in."""
        most = max((watcher.left for watcher in self.watchers), default=0)
        return max(-(-most // max(among, 1)), 0)


@dataclass(slots=True)
class _Told:
    """What one worker has told: up to what time, what is still to be shown, and the messages by their numbers."""

    until: float = 0.0
    rows: list[Row] = field(default_factory=list)
    origins: dict[int, tuple[Any, ...]] = field(default_factory=dict)

    def take(self, until: float) -> Iterator[tuple[float, "_Told", list[Row]]]:
        """What it saw until a time: each look and note with what it needs to be understood, and when it was."""
        rows, self.rows = self.rows, []
        waiting: list[Row] = []
        for number, row in enumerate(rows):
            waiting.append(row)
            if row[0] not in {"look", "note"}:
                continue
            if row[2] > until:
                self.rows = [*waiting, *rows[number + 1 :]]
                return
            yield row[2], self, waiting
            waiting = []
        self.rows = waiting


class Relay:
    """Tells watchers what workers see.

    `want` and `prepare` say which flows are tapped, `tap` what a worker is told of that. Then, again and again: `ask`
    is what it is asked, `take` takes what it answers, and `tell` has the watchers see it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted = Wanted()
        self._number = 0
        self._taps: dict[str, list[_Tap]] = {}
        self._told: dict[int, _Told] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether somebody looks."""
        return bool(self._wanted)

    def want(self, by: str, watchers: Mapping[str, Watcher]) -> None:
        """Have these flows looked into, by name, and no others for whoever it is by."""
        self._wanted.want(by, watchers)

    def names(self, by: str, tapped: Collection[str]) -> frozenset[str]:
        """The flows that one looks into, of those that workers have tapped."""
        found = ((name, watcher) for name, watcher in self._wanted.by(by).items() if name in tapped)
        return frozenset(name for name, watcher in found if name in self._taps and watcher in self._now(name).watchers)

    def prepare(self, programs: Iterable[Program]) -> None:
        """These programs run, or are about to; who looked into a version before may have an heir for the next one."""
        before, self._taps = self._taps, {}
        for program in programs:
            watchers = self._wanted.of(program.flow)
            if not watchers:
                continue
            taps = before.get(program.flow.name, [])
            if taps and taps[-1].program.flow is program.flow:
                taps[-1].watchers = watchers
            else:
                self._number += 1
                taps = [*taps[1 - _MOST_VERSIONS :], _Tap(self._number, program, watchers)]
            self._taps[program.flow.name] = taps

    def tap(self, worker: int, workers: int) -> Tap:
        """What one of so many workers is told of it."""
        current = [self._now(name) for name in self._taps]
        for tap in current:
            tap.rooms.setdefault(worker, tap.room(workers))
        return Tap(
            {tap.program.flow.name: tap.number for tap in current},
            {tap.number: tap.rooms[worker] for tap in current},
            {tap.number: tap.closely for tap in current},
        )

    def ask(self, worker: int) -> tuple[Rooms, Closely]:
        """How many more messages a worker may let in, and where somebody looks closely."""
        rooms: dict[int, int] = {}
        closely: dict[int, frozenset[str] | None] = {}
        for name in self._taps:
            tap = self._now(name)
            if worker not in tap.rooms:
                continue
            closely[tap.number] = tap.closely
            more = tap.room(len(tap.rooms)) - tap.rooms[worker]
            if more > 0:
                rooms[tap.number] = more
                tap.rooms[worker] += more
        return rooms, closely

    def take(self, worker: int, answer: Answer) -> None:
        """Take what a worker answers: what was counted now, what it saw when its turn has come."""
        told = self._told.setdefault(worker, _Told())
        told.until = answer.time
        seen = {one.tap: one for one in answer.seen}
        for tap in [tap for taps in self._taps.values() for tap in taps]:
            one = seen.get(tap.number)
            if one is None:  # it does not run there
                tap.rooms.pop(worker, None)
                continue
            tap.rooms[worker] = max(tap.rooms.get(worker, 0) - one.entered, 0)
            for watcher in tap.watchers:
                watcher.left -= one.entered
                watcher.entered += one.entered
                watcher.passed += one.passed
                for (where, step), times in one.counts.items():
                    watcher.count(where, step, times)
        if answer.looks:
            told.rows += unpack(answer.looks)

    def tell(self) -> None:
        """Have the watchers see what all workers have told of."""
        last = self._clock.time() - PATIENCE
        until = min((told.until for told in self._told.values() if told.until > last), default=last + PATIENCE)
        self._tell([told.take(until) for told in self._told.values()])

    def end(self, worker: int) -> None:
        """A worker has ended: what it saw last is seen, and it is waited for no more."""
        told = self._told.pop(worker, None)
        if told is not None:
            self._tell([told.take(float("inf"))])
        for tap in [tap for taps in self._taps.values() for tap in taps]:
            tap.rooms.pop(worker, None)

    def _now(self, name: str) -> _Tap:
        """The taps of the version that runs."""
        return self._taps[name][-1]

    def _tell(self, seen: Iterable[Iterator[tuple[float, _Told, list[Row]]]]) -> None:
        taps = {tap.number: tap for taps in self._taps.values() for tap in taps}
        for _, told, rows in merge(*seen, key=itemgetter(0)):
            for row in rows:
                match row:
                    case ("origin", number, origin):
                        told.origins[number] = origin
                    case ("forgotten", number):
                        told.origins.pop(number, None)
                    case (_, number, *_) if number in taps:
                        self._show(taps[number], told, row)

    def _show(self, tap: _Tap, told: _Told, row: Row) -> None:
        """Have those who look closely see one thing."""
        kind, _, time, now, number, *rest = row
        origin = told.origins.get(number)
        for watcher in tap.watchers:
            steps = watcher.closely
            watcher.at = Moment(time, now)
            try:
                if kind == "look":
                    where, step, values = rest
                    if origin is not None and (steps is None or step in steps):
                        watcher.look(where, step, origin, values)
                elif steps is None:
                    if origin is not None:
                        watcher.turn_to(origin)
                    watcher.note(rest[0], _understood(rest[1], tap.program))
            except Exception:  # noqa: BLE001 - the others see it all the same
                _log.exception("what a worker saw could not be shown")
            finally:
                watcher.at = None


def _understood(about: dict[str, Any], program: Program) -> dict[str, Any]:
    """What a note is about; a mistake comes with the diagnostic that explains it."""
    if "error" not in about:
        return about
    found = anchored(about["error"], sources_of(program))

    def explain(_: Exception, __: Message) -> Diagnostic:
        return found

    return {"error": None, "origin": about["origin"], "explain": explain}
