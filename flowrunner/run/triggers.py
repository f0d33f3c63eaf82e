"""Starts what a flow does by itself: its message at the start, and its ticks."""

import asyncio
from collections.abc import Sequence
from typing import Any

from flowrunner.clock import Clock
from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.run.cron import CronTicks
from flowrunner.run.live import LiveFlow
from flowrunner.run.router import Failed
from flowrunner.run.ticks import Ticks
from flowrunner.sources import AtStart, Cron, Every

#: Seconds that ticks wait for a broker at the start, so that the first ones are not lost.
PATIENCE = 5.0


class Triggers:
    """What one flow does by itself. `ready` are set when its connections are there and it hears what it wants."""

    def __init__(self, flow: LiveFlow, clock: Clock, failed: Failed, ready: Sequence[asyncio.Event]) -> None:
        self._flow = flow
        self._clock = clock
        self._failed = failed
        self._ready = ready
        self._since = clock.now()
        self._ticks: list[Ticks | CronTicks] = []
        self._task = asyncio.get_running_loop().create_task(self._begin(), name=f"start of {flow.name}")

    def stop(self) -> None:
        """End them."""
        self._task.cancel()
        for ticks in self._ticks:
            ticks.stop()

    async def _begin(self) -> None:
        waiting = asyncio.create_task(_all_set(self._ready))
        try:
            await self._begin_when(waiting)
        finally:
            waiting.cancel()

    async def _begin_when(self, waiting: asyncio.Task[None]) -> None:
        sources = list(enumerate(self._flow.program.flow.sources))
        ticking = [(entry, source) for entry, source in sources if isinstance(source, Every | Cron)]
        await asyncio.wait([waiting], timeout=PATIENCE if ticking else None)
        is_ready = waiting.done()
        if is_ready:
            self._start(sources)
        self._ticks = [self._ticking(source, entry) for entry, source in ticking]
        if not is_ready:
            await waiting
            self._start(sources)

    def _start(self, sources: Sequence[tuple[int, Any]]) -> None:
        for entry, source in sources:
            if isinstance(source, AtStart):
                self._fire(f"at_start/{self._flow.name}", source.payload, entry)

    def _ticking(self, source: Every | Cron, entry: int) -> Ticks | CronTicks:
        name = self._flow.name
        if isinstance(source, Cron):
            fire = lambda number: self._fire(f"cron/{name}", number, entry)  # noqa: E731
            return CronTicks(source, self._clock, fire, since=self._since)
        return Ticks(source, self._clock, lambda number: self._fire(f"every/{name}", number, entry))

    def _fire(self, topic: str, payload: Any, entry: int) -> None:
        flow = self._flow
        flow.received += 1
        try:
            flow.handler(topic, payload, 0, False, NO_PROPERTIES, entry)
        except Exception as error:  # noqa: BLE001 - whatever a step raises costs this message only
            self._failed(flow, error, Message(topic, _as_bytes(payload)))


def _as_bytes(payload: Any) -> bytes:
    try:
        return to_payload(payload)
    except StepError:
        return repr(payload).encode()


async def _all_set(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
