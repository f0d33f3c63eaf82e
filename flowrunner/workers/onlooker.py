"""Turns what happens in the flows of a worker into answers for its supervisor, to whom everybody looks."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Protocol

from flowrunner.compile.program import as_message
from flowrunner.compile.taps import Where
from flowrunner.errors import StepError
from flowrunner.read.flow import Flow
from flowrunner.run.shown import Published, Remembers
from flowrunner.run.tapping import Watcher
from flowrunner.workers.asking import Answer, Ask, Publish, Recall, Refused, Request, Seen, Tap
from flowrunner.workers.glance import Glanced, Glancer
from flowrunner.workers.values import pack_all

#: Rows of one answer, and bytes of the payloads of messages in it; a message that is larger alone is counted only.
MOST_ROWS = 5_000
MOST_BYTES = 4_000_000

#: Messages that are known by their numbers, so that what comes of them later is told of the same one.
MOST_KNOWN = 1_000

Row = tuple[Any, ...]
"""One of `("origin", number, what arrived)`, `("forgotten", number)`,
`("look", tap, time, now, number, where, step, values)` and `("note", tap, time, now, number or 0, kind, about)`."""


class Onlooked(Glanced, Published, Protocol):
    """The same, as far as others look into it."""

    def remember(self) -> Remembers:
        """What remembers the last messages of each flow from now on."""


class Onlooker:
    """Looks at the runner of a worker for its supervisor: `answer` its requests.

    When flows are exchanged, `expect` says before which taps those that come are to have, and `settle` is called then.
    """

    def __init__(self, runner: Onlooked) -> None:
        self.sheet = Sheet(runner)
        self._runner = runner
        self._glancer = Glancer(runner)
        self._expected = Tap({}, {}, {})
        self._spectators: dict[str, Spectator] = {}
        self._recent: Remembers | None = None

    async def answer(self, request: Request) -> Any:
        """The answer to a request."""
        match request:
            case Ask():
                if request.has_glance:
                    await self._runner.refresh(request.states)
                return self.look(request)
            case Tap():
                return await self._tap(request)
            case Recall(flow):
                last = await self._recent.last(flow) if self._recent is not None else ()
                return pack_all([tuple(arrived) for arrived in last])
            case Publish():
                return await self._publish(request)

    def look(self, ask: Ask) -> Answer:
        """How everything is now, and what was seen; all of it of one moment."""
        self._remember(ask)
        known = {one.number: one for one in self._spectators.values()}
        for number, room in (ask.rooms or {}).items():
            if number in known:
                known[number].left += room
        for number, steps in (ask.closely or {}).items():
            if number in known:
                known[number].steps = steps
        glance = None
        if ask.has_glance:
            timings = self._recent.timings if self._recent is not None else None
            glance = self._glancer.glance(ask.states, timings)
        seen, looks = self.sheet.take(self._spectators.values())
        return Answer(self._runner.clock.time(), glance, seen, looks)

    def expect(self, tap: Tap) -> None:
        """Learn which flows are to be looked into from the next exchange on."""
        self._expected = tap

    async def settle(self) -> None:
        """Take up which flows run now."""
        if self._expected.taps or self._spectators:
            await self._tap(self._expected)
        elif self._recent is not None:
            self._recent.follow()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._recent is not None:
            self._recent.stop()

    def heir(self, flow: Flow) -> "Spectator | None":
        """What looks into a flow that is about to run; None if nobody wants to."""
        number = self._expected.taps.get(flow.name)
        if number is None:
            self._spectators.pop(flow.name, None)
            return None
        known = self._spectators.get(flow.name)
        if known is None or known.number != number or known.flow is not flow:
            left, steps = self._expected.rooms.get(number, 0), self._expected.closely.get(number)
            known = self._spectators[flow.name] = Spectator(flow, number, left, steps, self)
        return known

    async def _tap(self, tap: Tap) -> frozenset[str]:
        self._expected = tap
        found: dict[str, Watcher] = {}
        for name, live in self._runner.flows.items():
            flow = live.program.flow
            if name in tap.taps and isinstance(flow, Flow) and (spectator := self.heir(flow)) is not None:
                found[name] = spectator
        tapped = await self._runner.tap(found, "supervisor")
        self._spectators = {name: one for name, one in self._spectators.items() if name in found}
        if self._recent is not None:
            self._recent.follow()
        return tapped

    async def _publish(self, asked: Publish) -> Refused | None:
        if asked.connection not in self._runner.connections:
            return Refused(f"there is no connection `{asked.connection}` in use", "unknown-connection", "")
        try:
            await self._runner.publish(
                asked.connection, asked.topic, asked.payload, asked.qos, asked.retain, asked.properties
            )
        except StepError as error:
            return Refused(error.message, error.code, error.help)
        return None

    def _remember(self, ask: Ask) -> None:
        if ask.is_remembering and self._recent is None:
            self._recent = self._runner.remember()
        if ask.is_measuring and self._recent is not None:
            self._recent.measure()


class Spectator(Watcher):
    """Looks into one version of a flow, for all who look at the supervisor; `steps` are those that they see closely."""

    def __init__(self, flow: Flow, number: int, left: int, steps: frozenset[str] | None, onlooker: Onlooker) -> None:
        super().__init__(flow, left)
        self.number = number
        self.steps = steps
        self.counts: dict[tuple[Where, str], int] = {}
        self._onlooker = onlooker
        self._sheet = onlooker.sheet
        self._current: tuple[Any, ...] | None = None

    def count(self, where: Where, step: str, times: int, /) -> None:
        """See `Watcher`."""
        place = (where, step)
        self.counts[place] = self.counts.get(place, 0) + times
        self._sheet.active[self.number] = self

    def look(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """See `Watcher`."""
        self._current = origin
        if (self.steps is None or step in self.steps) and not self._sheet.look(
            self.number, origin, where, step, values
        ):
            self.left = 0

    def note(self, kind: str, about: dict[str, Any], /) -> None:
        """See `Watcher`."""
        if self.steps is None and not self._sheet.note(self.number, self._current, kind, about):
            self.left = 0

    def heir(self, flow: Flow, /) -> "Spectator | None":
        """See `Watcher`."""
        return self._onlooker.heir(flow)

    def take(self) -> Seen:
        """What was counted since the last time."""
        seen = Seen(self.number, self.entered, self.passed, self.counts)
        self.entered, self.passed, self.counts = 0, 0, {}
        return seen


class Sheet:
    """Collects what spectators see, until somebody asks. What comes then waits for nobody: there is room for so much.

    `active` are the spectators that counted something since; those of versions that were replaced may be among them.
    """

    def __init__(self, runner: Glanced) -> None:
        self.active: dict[int, Spectator] = {}
        self._clock = runner.clock
        self._rows: list[Row] = []
        self._bytes = 0
        self._origins: OrderedDict[int, tuple[int, tuple[Any, ...]]] = OrderedDict()
        self._number = 0
        self._moment: tuple[float, float] | None = None

    def look(self, tap: int, origin: tuple[Any, ...], where: Where, step: str, values: dict[str, Any]) -> bool:
        """Take a look; false if there is no room for more."""
        if not self._has_room(origin):
            return False
        self._rows.append(("look", tap, *self._now(), self._known(origin), where, step, values))
        return True

    def note(self, tap: int, current: tuple[Any, ...] | None, kind: str, about: dict[str, Any]) -> bool:
        """Take a note on the message that a tap saw last; false if there is no room for more."""
        if len(self._rows) >= MOST_ROWS:
            return False
        known = self._origins.get(id(current))
        self._rows.append(("note", tap, *self._now(), known[0] if known is not None else 0, kind, (about, current)))
        return True

    def take(self, spectators: Collection[Spectator]) -> tuple[tuple[Seen, ...], bytes]:
        """What was seen since the last time by those of now, and by others that counted something."""
        active, self.active = {one.number: one for one in spectators} | self.active, {}
        rows, self._rows, self._bytes = self._rows, [], 0
        told = [row for row in map(_told, rows) if row is not None]
        return tuple(one.take() for one in active.values()), pack_all(told) if told else b""

    def _has_room(self, origin: tuple[Any, ...]) -> bool:
        if len(self._rows) >= MOST_ROWS or self._bytes > MOST_BYTES:
            return False
        return not isinstance(origin[1], bytes) or len(origin[1]) <= MOST_BYTES

    def _known(self, origin: tuple[Any, ...]) -> int:
        """The number of a message: the same on all its ways."""
        known = self._origins.get(id(origin))
        if known is not None:
            return known[0]
        self._number += 1
        self._origins[id(origin)] = (self._number, origin)  # with it, so that no other one gets its id
        self._rows.append(("origin", self._number, origin))
        self._bytes += len(origin[1]) if isinstance(origin[1], bytes) else 0
        while len(self._origins) > MOST_KNOWN:
            _, (number, _) = self._origins.popitem(last=False)
            self._rows.append(("forgotten", number))
        return self._number

    def _now(self) -> tuple[float, float]:
        """The time, the same for all that happens in one turn of the loop: what comes later was waited for."""
        if self._moment is None:
            self._moment = self._clock.time(), self._clock.now()
            with suppress(RuntimeError):  # no loop: a test that has its own clock
                asyncio.get_running_loop().call_soon(self._end_turn)
        return self._moment

    def _end_turn(self) -> None:
        self._moment = None


def _told(row: Row) -> Row | None:
    """A row as it is sent: of a mistake its explanation, which can be had here only. None if there is none."""
    if row[0] != "note":
        return row
    *head, (about, current) = row
    if "error" not in about:
        return (*head, about)
    try:
        origin = about["origin"] or (as_message(current) if current is not None else None)
        if origin is None:
            return None
        return (*head, {"origin": about["origin"], "error": about["explain"](about["error"], origin)})
    except Exception:  # noqa: BLE001 - a mistake of ours, or of a step: the flow has reported what failed
        return None
