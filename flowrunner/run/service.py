"""Runs flows until a signal ends them."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.connections import ConnectionSettings
from flowrunner.run.embedded import start_embedded
from flowrunner.run.live import Program
from flowrunner.run.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowrunner.broker import Broker
    from flowrunner.run.report import Report

_INTERRUPTED = 130


class Service:
    """A runner from the first line to the last, in a loop of its own: `asyncio.run(service.run(programs))`."""

    def __init__(
        self,
        connections: "Mapping[str, ConnectionSettings]",
        report: "Report",
        *,
        folder: Path | None = None,
        is_broker_named: bool = True,
    ) -> None:
        self._connections = connections
        self._report = report
        self._folder = folder
        self._is_broker_named = is_broker_named
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, programs: Sequence[Program]) -> None:
        """Run until `stop`, SIGINT or SIGTERM; then finish what is in work and leave."""
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupt)
        broker = None if self._is_broker_named else await self._embedded()
        runner = Runner(self._connections, self._report, folder=self._folder)
        try:
            await runner.apply(programs)
            await self._end.wait()
        finally:
            await runner.close()
            if broker is not None:
                await broker.stop()
        self._report.say("stopped", _summary(runner))

    def stop(self) -> None:
        """End `run`; from any thread."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)

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
            os._exit(_INTERRUPTED)
        self._end.set()


def _summary(runner: Runner) -> str:
    received = sum(flow.received for flow in runner.flows.values())
    dropped = sum(flow.dropped for flow in runner.flows.values())
    failures = f", {dropped} of which failed" if dropped else ""
    return f"stopped after {received} message{'' if received == 1 else 's'}{failures}"
