"""Starts what a flow does by itself: its message at the start, and its ticks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from flowrunner.clock import Clock
from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.records import dataclass
from flowrunner.run.cron import CronTicks
from flowrunner.run.live import LiveFlow
from flowrunner.run.router import Failed
from flowrunner.run.ticks import Ticks
from flowrunner.sources import AtStart, Cron, Every

#: Seconds that ticks wait for a broker at the start, so that the first ones are not lost.
PATIENCE = 5.0


@dataclass(slots=True)
class _Waiting:
    """A source of ticks that have not begun: its index in the flow, and from when on its times count."""

    entry: int
    source: Every | Cron
    since: float


class Triggers:
    """What one flow does by itself. `ready` are set when its connections are there and it hears what it wants.

    Ticks of the version `before` go on where the new one has an equal source; its other ones end.
    """

    def __init__(
        self,
        flow: LiveFlow,
        clock: Clock,
        failed: Failed,
        ready: Sequence[asyncio.Event],
        *,
        before: "Triggers | None" = None,
    ) -> None:
        self._flow = flow
        self._clock = clock
        self._failed = failed
        self._ready = ready
        self._ticks: list[tuple[Every | Cron, Ticks | CronTicks]] = []
        sources = enumerate(flow.program.flow.sources)
        self._waiting = [_Waiting(entry, one, clock.now()) for entry, one in sources if isinstance(one, Every | Cron)]
        self._has_started = False
        if before is not None:
            self._succeed(before)
        self._task = asyncio.get_running_loop().create_task(self._begin(), name=f"start of {flow.name}")

    def stop(self) -> None:
        """End them."""
        self._task.cancel()
        for _, ticks in self._ticks:
            ticks.stop()

    def _succeed(self, before: "Triggers") -> None:
        """Go on with ticks, and end those that are not wanted any more."""
        is_same = before._flow.program.flow is self._flow.program.flow  # noqa: SLF001 - another of its kind
        self._has_started = is_same and before._has_started  # noqa: SLF001 - it was not edited, somebody looks into it
        left, never_begun = list(before._ticks), list(before._waiting)  # noqa: SLF001 - another of its kind
        for new in list(self._waiting):
            found = next((pair for pair in left if pair[0] == new.source), None)
            if found is not None:
                left.remove(found)
                found[1].fire = self._firing(new)
                self._ticks.append(found)
                self._waiting.remove(new)
            elif (old := next((one for one in never_begun if one.source == new.source), None)) is not None:
                never_begun.remove(old)
                new.since = old.since
        before._ticks = left  # noqa: SLF001
        before.stop()

    async def _begin(self) -> None:
        waiting = asyncio.create_task(_all_set(self._ready))
        try:
            await self._begin_when(waiting)
        finally:
            waiting.cancel()

    async def _begin_when(self, waiting: asyncio.Task[None]) -> None:
        sources = list(enumerate(self._flow.program.flow.sources))
        await asyncio.wait([waiting], timeout=PATIENCE if self._waiting else None)
        is_ready = waiting.done()
        if is_ready:
            self._start(sources)
        self._ticks += [(one.source, self._ticking(one)) for one in self._waiting]
        self._waiting = []
        if not is_ready:
            await waiting
            self._start(sources)

    def _start(self, sources: Sequence[tuple[int, Any]]) -> None:
        if self._has_started:
            return
        self._has_started = True
        for entry, source in sources:
            if isinstance(source, AtStart):
                self._fire(f"at_start/{self._flow.name}", source.payload, entry)

    def _firing(self, one: "_Waiting") -> Callable[[int], object]:
        topic = f"{'cron' if isinstance(one.source, Cron) else 'every'}/{self._flow.name}"
        return lambda number: self._fire(topic, number, one.entry)

    def _ticking(self, one: "_Waiting") -> Ticks | CronTicks:
        if isinstance(one.source, Cron):
            return CronTicks(one.source, self._clock, self._firing(one), since=one.since)
        return Ticks(one.source, self._clock, self._firing(one))

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
