"""Runs flows until a signal ends them."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowrunner.connections import ConnectionSettings
from flowrunner.run.embedded import start_embedded
from flowrunner.run.following import Edits, Following
from flowrunner.run.live import Program
from flowrunner.run.notify import Notify
from flowrunner.run.runner import Runner
from flowrunner.run.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowrunner.broker import Broker
    from flowrunner.remote.address import StateSettings
    from flowrunner.run.explaining import Explaining
    from flowrunner.run.report import Report

_INTERRUPTED = 130


Beside = Callable[[Runs, Following], AbstractAsyncContextManager[object]]
"""Makes what goes on beside the flows from the time when they run to their end, such as a page that shows them."""


class Service:
    """A runner from the first line to the last, in a loop of its own: `asyncio.run(service.run(programs))`.

    With `edits` it follows the files of its flows, and SIGHUP has it look at them at once. `make` gives what runs the
    flows where that is not this process. With a `group` it shares its messages with other machines.
    """

    def __init__(
        self,
        connections: "Mapping[str, ConnectionSettings]",
        report: "Report",
        *,
        folder: Path | None = None,
        is_broker_named: bool = True,
        edits: Edits | None = None,
        explaining: "Explaining | None" = None,
        is_read_only: bool = False,
        beside: Beside | None = None,
        make: Callable[[], Runs] | None = None,
        group: str | None = None,
        state: "StateSettings | None" = None,
    ) -> None:
        self._group = group
        self._connections = connections
        self._report = report
        self._folder = folder
        self._is_broker_named = is_broker_named
        self._edits = edits
        self._beside = beside
        self._explaining = explaining
        self._is_read_only = is_read_only
        self._state = state
        self._make = make or self._runner
        self._runs: Runs | None = None
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, programs: Sequence[Program]) -> None:
        """Run until `stop`, SIGINT or SIGTERM; then finish what is in work and leave."""
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupt)
        broker = None if self._is_broker_named else await self._embedded()
        runner = self._runs = self._make()
        if self._is_read_only:
            self._report.say("read-only", "only looking: nothing is published; what would be is shown")
        notify = Notify(asyncio.get_running_loop())
        following: Following | None = None
        beside = AsyncExitStack()
        try:
            runner.regroup(self._group)
            await self._unless_ended(runner.apply(programs))  # workers may take long to start
            if self._explaining is not None:
                self._explaining.watch(runner, lambda: runner.connections)
            notify.begin_when(runner.heard, lambda: _status(runner))
            if self._edits is not None and not self._end.is_set():
                following = Following(self._edits, runner, self._report)
                self._loop.add_signal_handler(signal.SIGHUP, following.look)
                await self._unless_ended(runner.tried())
                await beside.enter_async_context(self._desk(runner, following, self._edits))
                if self._beside is not None:
                    await beside.enter_async_context(self._beside(runner, following))
            await self._end.wait()
        finally:
            await beside.aclose()
            notify.end()
            if self._explaining is not None:
                self._explaining.stop()
            if following is not None:
                await following.aclose()
            await runner.close()
            if broker is not None:
                await broker.stop()
        self._report.say("stopped", _summary(runner))

    def _runner(self) -> Runs:
        return Runner(
            self._connections,
            self._report,
            folder=None if self._is_read_only else self._folder,
            explaining=self._explaining,
            is_read_only=self._is_read_only,
            state=self._state,
        )

    def stop(self) -> None:
        """End `run`; from any thread."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)

    async def _unless_ended(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for something, or for the end."""
        assert self._end is not None
        working, ending = asyncio.ensure_future(work), asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            ending.cancel()

    def _desk(self, runner: Runs, following: Following, edits: Edits) -> "AbstractAsyncContextManager[object]":
        """Answers `flowrunner status` and `flowrunner tap`."""
        from flowrunner.run.local import Desk, listen

        folder = self._folder or Path()
        desk = Desk(runner, edits.library, folder=folder, exchanged=following.watch, is_read_only=self._is_read_only)
        return listen(desk, folder, self._report)

    async def _embedded(self) -> "Broker | None":
        settings = self._connections.get("default") or ConnectionSettings()
        broker = await start_embedded(settings)
        if broker is not None:
            words = f"no broker listens on {settings.shown}, so the embedded one does; it keeps nothing on disk"
            self._report.say("embedded-broker", words, url=settings.shown)
        return broker

    def _interrupt(self) -> None:
        assert self._end is not None
        if self._end.is_set():
            if self._runs is not None:
                self._runs.abandon()
            os._exit(_INTERRUPTED)
        self._end.set()


def _summary(runner: Runs) -> str:
    received = sum(flow.received for flow in runner.flows.values())
    dropped = sum(flow.dropped for flow in runner.flows.values())
    failures = f", {dropped} of which failed" if dropped else ""
    return f"stopped after {received} message{'' if received == 1 else 's'}{failures}"


def _status(runner: Runs) -> str:
    """A line about what goes on, for whoever looks after the process."""
    received = sum(flow.received for flow in runner.flows.values())
    away = [name for name, connection in runner.connections.items() if connection.terms is None]
    where = f"no broker on {', '.join(away)}" if away else "connected"
    return f"{len(runner.flows)} flow{'' if len(runner.flows) == 1 else 's'}, {where}, {received} messages so far"
