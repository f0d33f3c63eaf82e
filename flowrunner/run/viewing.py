"""Turns what is seen in a tapped flow into objects that tell, message by message, what each step changed."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from flowrunner.clock import Clock
from flowrunner.compile.failure import step_at
from flowrunner.compile.function import name_steps
from flowrunner.compile.program import as_message
from flowrunner.compile.taps import Where
from flowrunner.diagnostics import Diagnostic
from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.rehearsal import Look
from flowrunner.run.rehearsal_host import Note
from flowrunner.run.step_search import NoSuchStep, find_steps
from flowrunner.run.tapping import Watcher
from flowrunner.run.trace_json import message_as_json, plain, visit_as_json
from flowrunner.run.visits import Place, Reader, Visit, places_of

#: Messages that take the tapped way after a pause, and in each turn of a viewer; looks and notes that wait to be told.
MOST, MORE = 250, 25
MOST_SEEN = 10_000

#: Looks that are read, and messages that are told, before others get a turn.
READ_AT_ONCE, TOLD_AT_ONCE = 20, 2

#: Messages that are known, so that what comes of them later is told of the same one, and bytes of their payloads.
MOST_KNOWN = 500
MOST_KNOWN_BYTES = 4_000_000

#: Bytes of a payload that is looked at: comparing and writing a larger one would take the time of others.
LARGEST = 200_000

_USUAL = frozenset({"topic", "payload", "qos", "retain", "properties"})

Told = dict[str, Any]
Draw = Callable[[Diagnostic], str]


@dataclass(slots=True)
class _Way:
    """What is known of one message: its number, when it came, and the visits to steps, some of which are told."""

    number: int
    origin: tuple[Any, ...]  # kept, so that no other one gets its id
    begun: float
    reader: Reader
    told: int = 0
    is_known: bool = False

    @property
    def size(self) -> int:
        """Bytes of the payload; a tick has next to none."""
        return len(self.origin[1]) if isinstance(self.origin[1], bytes) else 0


@dataclass(slots=True)
class _Seen:
    at: float
    origin: tuple[Any, ...] | None = None
    look: tuple[Where, str, dict[str, Any]] | None = None
    note: tuple[str, dict[str, Any]] | None = None


class Viewing(Watcher):
    """What one viewer sees of one version of a flow: all steps, or one `step` with those inside it.

    `draw` makes the frame of a mistake. After an edit `next` sees the version after this one; it `is_gone` if that has
    no such step. Raises NoSuchStep.
    """

    def __init__(self, flow: Flow, clock: Clock, draw: Draw, *, step: str = "") -> None:
        super().__init__(flow, MOST)
        self.step = step
        self.is_gone = False
        self.next: Viewing | None = None
        self._clock = clock
        self._draw = draw
        self._wanted = find_steps(flow, step) if step else None
        self._places: Mapping[str, Place] = {place.name: place for place in places_of(flow)}
        self._seen: deque[_Seen] = deque()
        self._ways: OrderedDict[int, _Way] = OrderedDict()
        self._known_bytes = 0
        self._number = 0
        self._current: _Way | None = None
        self._now: float | None = None

    def look(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """See `Watcher`."""
        self._add(_Seen(self._time(), origin, look=(where, step, values)))

    def turn_to(self, origin: tuple[Any, ...], /) -> None:
        """See `Watcher`."""
        self._add(_Seen(self._time(), origin))

    def note(self, kind: str, about: dict[str, Any], /) -> None:
        """See `Watcher`."""
        self._add(_Seen(self._time(), note=(kind, about)))

    def heir(self, flow: Flow, /) -> "Viewing | None":
        """What sees the next version for the same viewer; None if that has no such step."""
        try:
            self.next = Viewing(flow, self._clock, self._draw, step=self.step)
        except NoSuchStep:
            self.is_gone = True
            return None
        self.is_gone = False
        self.next._number = self._number  # noqa: SLF001 - of its own kind
        return self.next

    def refill(self) -> None:
        """Let more messages take the tapped way."""
        self.left = min(max(self.left, 0) + MORE, MOST)

    def take(self) -> Iterator[Told | None]:
        """What is seen since the last time, one object for each message and its time; None is a pause for others."""
        touched: dict[int, _Way] = {}
        for number in count(1):
            if not self._seen:
                break
            if number % READ_AT_ONCE == 0:
                yield None
            seen = self._seen.popleft()
            try:
                way = self._take(seen)
            except RecursionError:  # a payload that is nested too deep to be compared
                continue
            if way is not None:
                touched[way.number] = way
        for number, way in enumerate(touched.values(), 1):
            try:
                told = self._tell(way)
            except RecursionError:
                self.passed += 1
                continue
            if told is not None:
                yield told
            if number % TOLD_AT_ONCE == 0:
                yield None

    def take_missed(self) -> int:
        """Messages that nobody looked at since the last time: there were too many."""
        missed, self.passed = self.passed, 0
        return missed

    def _time(self) -> float:
        """The time, the same for all that happens in one turn of the loop: what comes later was waited for."""
        if self.at is not None:
            return self.at.time
        if self._now is None:
            self._now = self._clock.time()
            asyncio.get_running_loop().call_soon(self._end_turn)
        return self._now

    def _end_turn(self) -> None:
        self._now = None

    def _add(self, seen: _Seen) -> None:
        if len(self._seen) < MOST_SEEN:
            self._seen.append(seen)
        else:
            self.left = 0

    def _take(self, seen: _Seen) -> _Way | None:
        """The message about which something is new."""
        if seen.look is not None:
            return self._look(seen)
        if seen.note is not None:
            return self._noted(seen)
        self._current = self._ways.get(id(seen.origin), self._current)
        return None

    def _look(self, seen: _Seen) -> _Way:
        assert seen.origin is not None
        assert seen.look is not None
        way = self._way(seen.origin, seen.at)
        where, step, values = seen.look
        if way.size <= LARGEST:
            way.reader.look(Look(where, step, seen.at - way.begun, values, id(seen.origin)))
        self._current = way
        return way

    def _way(self, origin: tuple[Any, ...], at: float) -> _Way:
        way = self._ways.get(id(origin))
        if way is None:
            self._number += 1
            reader = Reader(self.flow, self._places, is_live=True)
            way = self._ways[id(origin)] = _Way(self._number, origin, at, reader)
            self._known_bytes += way.size
            while len(self._ways) > MOST_KNOWN or (self._known_bytes > MOST_KNOWN_BYTES and len(self._ways) > 1):
                self._known_bytes -= self._ways.popitem(last=False)[1].size
        return way

    def _noted(self, seen: _Seen) -> _Way | None:
        """Give a note to the visit during which it was made."""
        assert seen.note is not None
        kind, about = seen.note
        way, place = self._current, None
        if "error" in about:
            way, place, about = self._failure(about)
        if way is None or not way.reader.visits:
            return None
        visits = way.reader.visits
        note = Note(kind, seen.at - way.begun, about)  # type: ignore[arg-type]
        if place is None and len(visits) > way.told:
            visits[-1].notes.append(note)
            return way
        place = place or visits[-1].place
        for visit in visits[way.told :]:
            if visit.place.name == place.name and not visit.is_out:
                visit.notes.append(note)
                return way
        visits.append(Visit(place, note.at, visits[-1].before, notes=[note], is_later=True))
        return way

    def _failure(self, about: dict[str, Any]) -> tuple[_Way | None, Place | None, dict[str, Any]]:
        """The message that failed, where it did, and the mistake in words."""
        error, origin = about["error"], about["origin"]
        way = self._current
        if origin is None and way is not None:
            origin = as_message(way.origin)
        if origin is None:
            return None, None, about
        found: Diagnostic = about["explain"](error, origin)
        step = step_at(self.flow, found.span)
        name = name_steps(self.flow).get(id(step), "")
        place = self._places.get(name)
        if about["origin"] is not None:
            for one in reversed(self._ways.values()):
                if (visit := _open_visit(one, name, origin)) is not None:
                    way, place = one, visit.place
                    break
        return way, place, {"error": found, "step": place.name if place is not None else ""}

    def _tell(self, way: _Way) -> Told | None:
        """A message with the visits that are not told yet; None if there is none that is wanted."""
        visits = way.reader.read(())[way.told :]
        way.told = len(way.reader.visits)
        if self._wanted is not None:
            visits = [visit for visit in visits if visit.place.name in self._wanted]
        is_large = way.size > LARGEST and not way.is_known
        if not visits and not is_large:
            return None
        is_known, way.is_known = way.is_known, True
        if is_large:
            about = {"flow": self.flow.name, "message": way.number, "is_continued": is_known}
            return {"event": "too-large", **about, "bytes": way.size}
        names = {name: plain(value) for name, value in visits[0].before.items() if name not in _USUAL}
        return {
            "event": "message",
            "flow": self.flow.name,
            "message": way.number,
            "time": self._clock.now() - (self._clock.time() - way.begun),
            "is_continued": is_known,
            "given": message_as_json(as_message(way.origin)),
            **({"names": names} if names and not is_known else {}),
            "steps": [visit_as_json(visit, self._draw) for visit in visits],
        }


def _open_visit(way: _Way, step: str, origin: Message) -> Visit | None:
    """The visit of a message that came so to a step which it has not left; without a name, to the last such step.

    Of a failure in another file than the flow's, the name is not known.
    """
    if way.origin[0] != origin.topic or way.origin[1] != origin.payload:
        return None
    for visit in reversed(way.reader.visits):
        has_failed = any(note.kind == "failed" for note in visit.notes)
        if not (visit.is_out or visit.is_later or has_failed) and step in {"", visit.place.name}:
            return visit
    return None
