"""Lets versions of flows go in good order: they do what still comes for them, and finish what waits in them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from flowrunner.run.connection import Connection
from flowrunner.run.live import LiveFlow
from flowrunner.run.report import Report
from flowrunner.run.work import finish

#: Seconds for messages in work in a version of a flow that was replaced.
RETIREMENT = 60.0

Until = Mapping[LiveFlow, Sequence["asyncio.Task[None]"]]
"""The flows for which messages still come through subscriptions that were given up, each with until when."""


class Departures:
    """The versions of flows that were replaced, or are no more, and have still something to do.

    `parted` is called when what still came for one of them has ended, and `sweep` then, if nobody is parting any more.
    """

    def __init__(self, report: Report, parted: Callable[[], object], sweep: Callable[[], Awaitable[None]]) -> None:
        self._report = report
        self._parted = parted
        self._sweep = sweep
        self._retiring: dict[asyncio.Task[None], LiveFlow] = {}
        self._parting: set[asyncio.Task[None]] = set()
        self._sweeping: set[asyncio.Task[None]] = set()
        self._is_over = False

    @property
    def flows(self) -> list[LiveFlow]:
        """Those that have still something to do."""
        return list(self._retiring.values())

    def part(self, connections: Iterable[Connection]) -> Until:
        """Let flows go on with what comes through subscriptions of theirs that were given up just now."""
        found: dict[LiveFlow, list[asyncio.Task[None]]] = {}
        for connection in connections:
            if flows := connection.subscriptions.parting:
                task = asyncio.get_running_loop().create_task(connection.part())
                self._parting.add(task)
                task.add_done_callback(self._end_parting)
                for flow in flows:
                    found.setdefault(flow, []).append(task)
        return found

    def retire(self, flow: LiveFlow, parting: Sequence["asyncio.Task[None]"] = ()) -> None:
        """Let a version finish what waits in it, while the next one works already."""
        task = asyncio.get_running_loop().create_task(self._see_off(flow, parting, flow.received))
        self._retiring[task] = flow
        task.add_done_callback(lambda task: self._retiring.pop(task, None))

    async def finish(self, flow: LiveFlow, patience: float) -> None:
        """Wait until nothing waits in a flow, and give up what does not end."""
        given_up = sum(await asyncio.gather(*(finish(waits, patience) for waits in flow.waits)))
        if given_up:
            words = f"`{flow.name}` did not finish within {patience:g} s; messages given up: {given_up}"
            self._report.say("given-up", words, level="warning", flow=flow.name, count=given_up)

    async def all_parted(self) -> None:
        """Wait until nothing comes any more for those that part, because everything ends."""
        self._is_over = True
        await asyncio.gather(*self._parting, *self._sweeping)

    def give_up(self) -> None:
        """Leave it to others to finish what waits."""
        for task in list(self._retiring):
            task.cancel()

    async def _see_off(self, flow: LiveFlow, parting: Sequence["asyncio.Task[None]"], received: int) -> None:
        if parting:
            await asyncio.wait(parting)
            flow.end()
            self._parted()
            if (heir := flow.counting) is not flow:
                heir.received += flow.received - received
        await self.finish(flow, RETIREMENT)

    def _end_parting(self, task: "asyncio.Task[None]") -> None:
        self._parting.discard(task)
        if not self._parting and not self._is_over:
            sweeping = asyncio.ensure_future(self._sweep())
            self._sweeping.add(sweeping)
            sweeping.add_done_callback(self._sweeping.discard)
