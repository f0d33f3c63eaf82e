"""Turns a `cron` into ticks at the times of the wall clock."""

from collections.abc import Callable

from flowrunner.clock import Clock, Timer
from flowrunner.sources import Cron

#: Seconds after which the wall clock is looked at again: it may have been set.
LOOK = 60.0

#: Seconds by which the wall clock may be set back without times of the day being due once more.
SET_BACK = 3 * 3600.0


class CronTicks:
    """Calls `fire` with the number of the tick, from 1, until `stop`.

    Times that the program was too busy for, or that the wall clock jumped over, are one tick, not a burst. Where it was
    set back, times of the day are not due once more, unless by more than three hours; what is due every few minutes
    goes on at once. `since` is the moment from which on times count, in seconds since 1970. `fire` may be exchanged.
    """

    def __init__(
        self, source: Cron, clock: Clock, fire: Callable[[int], object], *, since: float | None = None
    ) -> None:
        self.fire = fire
        self._schedule = source.schedule
        self._clock = clock
        self._number = 0
        self._seen = clock.now() if since is None else since
        self._timer: Timer | None = None
        self._due = self._schedule.after(self._seen)
        self._wait()

    def stop(self) -> None:
        """End the ticks."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _wait(self) -> None:
        if self._due is None:
            return
        seconds = min(max(self._due - self._clock.now(), 0.0), LOOK)
        self._timer = self._clock.call_at(self._clock.time() + seconds, self._look)

    def _look(self) -> None:
        now = self._clock.now()
        is_set_back = now < self._seen - (0.0 if self._schedule.is_wild else SET_BACK)
        is_due = not is_set_back and self._due is not None and now >= self._due
        if is_set_back or is_due:
            self._seen = now
            self._due = self._schedule.after(now)
        self._wait()
        if is_due:
            self._number += 1
            self.fire(self._number)
