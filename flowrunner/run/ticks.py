"""Turns an `every` into ticks that do not drift."""

from collections.abc import Callable
from random import random

from flowrunner.clock import Clock, Timer
from flowrunner.sources import Every


class Ticks:
    """Calls `fire` with the number of the tick, from 1, until `stop` or the source's count.

    Ticks are due at whole multiples of the interval after the start; jitter delays single ones only. Ticks that
    the program was too busy for are left out, not made up for in a burst. `fire` may be exchanged in between.
    """

    def __init__(
        self, source: Every, clock: Clock, fire: Callable[[int], object], *, chance: Callable[[], float] = random
    ) -> None:
        self.fire = fire
        self._source = source
        self._clock = clock
        self._chance = chance
        self._number = 0
        self._start = clock.time()
        self._turn = 0 if source.immediately else 1
        self._timer: Timer | None = None
        self._plan()

    def stop(self) -> None:
        """End the ticks."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _plan(self) -> None:
        due = self._start + self._turn * self._source.interval
        self._timer = self._clock.call_at(due + self._source.jitter * self._chance(), self._tick)

    def _tick(self) -> None:
        self._number += 1
        self._turn = self._next_turn()
        self._timer = None
        if self._source.count is None or self._number < self._source.count:
            self._plan()
        self.fire(self._number)

    def _next_turn(self) -> int:
        passed = (self._clock.time() - self._start - self._source.jitter) / self._source.interval
        return max(self._turn, int(passed)) + 1
