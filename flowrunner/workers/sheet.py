"""Turns what is seen in the flows of a worker into rows, which are kept until somebody asks for them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from flowrunner.clock import Clock
from flowrunner.compile.program import as_message
from flowrunner.compile.taps import Where
from flowrunner.read.flow import Flow
from flowrunner.run.tapping import Watcher
from flowrunner.workers.asking import Seen
from flowrunner.workers.values import pack_all

#: Rows of one answer, and bytes of the payloads of messages in it; a message that is larger alone is counted only.
MOST_ROWS = 5_000
MOST_BYTES = 4_000_000

#: Messages that are known by their numbers, so that what comes of them later is told of the same one.
MOST_KNOWN = 1_000

Row = tuple[Any, ...]
"""One of `("origin", number, what arrived)`, `("forgotten", number)`,
`("look", tap, time, now, number, where, step, values)` and `("note", tap, time, now, number or 0, kind, about)`."""


class Spectator(Watcher):
    """Looks into one version of a flow, for all who look at the supervisor; `steps` are those that they see closely.

    What it sees goes onto a sheet; `heir` is what looks into the version that follows.
    """

    def __init__(
        self,
        flow: Flow,
        number: int,
        left: int,
        steps: frozenset[str] | None,
        sheet: "Sheet",
        heir: Callable[[Flow], "Spectator | None"],
    ) -> None:
        super().__init__(flow, left)
        self.number = number
        self.steps = steps
        self.counts: dict[tuple[Where, str], int] = {}
        self._sheet = sheet
        self._heir = heir
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
        return self._heir(flow)

    def take(self) -> Seen:
        """What was counted since the last time."""
        seen = Seen(self.number, self.entered, self.passed, self.counts)
        self.entered, self.passed, self.counts = 0, 0, {}
        return seen


class Sheet:
    """Collects what spectators see, until somebody asks. What comes then waits for nobody: there is room for so much.

    `active` are the spectators that counted something since; those of versions that were replaced may be among them.
    """

    def __init__(self, clock: Clock) -> None:
        self.active: dict[int, Spectator] = {}
        self._clock = clock
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
