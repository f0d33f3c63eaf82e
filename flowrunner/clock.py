"""Says what time it is and calls back later; flows know no other time, so tests can move it."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol


class Timer(Protocol):
    """A call that is due."""

    def cancel(self) -> None:
        """Do not call; nothing happens if the call was made already."""


class Clock(Protocol):
    """Time for flows. `time` never jumps, `now` is what a watch on the wall says."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def time(self) -> float:
        """Seconds since some moment in the past; never goes back."""

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call once `time` is `when` or later."""


class _Due:
    """A call of a VirtualClock."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call."""
        self.call = None


class VirtualClock:
    """A clock that stands still until `advance` moves it; it starts at 2000-01-01T00:00:00Z.

    Times are kept to the nanosecond, so that ten steps of 100 ms are a second.
    """

    START = 946_684_800.0

    def __init__(self, start: float = START) -> None:
        self._start = start
        self._time = 0.0
        self._order = count()
        self._due: list[tuple[float, int, _Due]] = []

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self._start + self._time

    def time(self) -> float:
        """Seconds since the clock was made."""
        return self._time

    @property
    def due(self) -> float | None:
        """When the next call is to be made, as `time` counts; None if there is none."""
        while self._due and self._due[0][2].call is None:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call while `advance` passes `when`."""
        due = _Due(call)
        heappush(self._due, (max(round(when, 9), self._time), next(self._order), due))
        return due

    def advance(self, seconds: float) -> None:
        """Move on, and make the calls that become due, in order and each at its time."""
        end = round(self._time + seconds, 9)
        while self._due and self._due[0][0] <= end:
            when, _, due = heappop(self._due)
            if due.call is not None:
                self._time = max(self._time, when)
                due.call()
        self._time = max(self._time, end)

    def jump(self, seconds: float) -> None:
        """Set the watch on the wall forwards or back, while no time passes."""
        self._start += seconds
