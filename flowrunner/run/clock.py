"""Gives flows the time of the running asyncio loop."""

import asyncio
import time
from collections.abc import Callable

from flowrunner.clock import Timer


class LoopClock:
    """A `Clock` on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def time(self) -> float:
        """Seconds of the loop."""
        return self._loop.time()

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call once the loop's time is `when` or later."""
        return self._loop.call_at(when, call)
