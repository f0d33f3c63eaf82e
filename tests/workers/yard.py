"""A fleet with real processes, the folder of its flows, and a broker."""

import asyncio
import os
import signal
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flowrunner.compile import Program, compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.read.library import Library
from flowrunner.run.reload import Reloader
from flowrunner.run.report import News, Report
from flowrunner.workers.fleet import Fleet
from flowrunner.workers.plan import Plan
from flowrunner.workers.snapshot import Copies
from tests.run.fakes import Told

PATIENCE = 40.0


async def eventually(condition: Callable[[], object], what: Callable[[], object] = str) -> None:
    """Wait until a condition holds; fail, and show `what`, if that takes long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.005)


def in_yaml(settings: ConnectionSettings) -> str:
    """A settings file that says the same of the default connection."""
    lines = ["connections:", "  default:", f"    url: {settings.shown}", f"    protocol: {settings.protocol!r}"]
    lines += [f"    client_id: {settings.client_id}"] if settings.client_id else []
    lines += [f"    session: {{keep: {settings.keep:.0f}s}}"] if settings.keep else []
    return "\n".join(lines) + "\n"


class Yard:
    """Flows in a folder, and the fleet that runs them."""

    def __init__(self, folder: Path, settings: ConnectionSettings, count: int) -> None:
        self.folder = folder
        (folder / "flowrunner.yaml").write_text(in_yaml(settings))
        self.told = Told()
        self.news: list[News] = []
        self.report = Report(self.told.lines.append)
        self.report.listeners.append(self.news.append)
        self.copies = Copies()
        self.library: Library[Program] = Library([folder], compile_flow, files=self.copies)
        plan = Plan(count, self.library, self.copies, [folder], folder)
        self.contents = self.library.refresh()
        self.fleet = Fleet(self.contents.settings.connections, self.report, plan)
        self.reloader = Reloader(self.library, self.fleet, self.report, reconnect=self.fleet.reconnect)

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / (name if "." in name else f"{name}.yaml")
            path.write_text(textwrap.dedent(text).lstrip())

    async def begin(self) -> None:
        contents = self.library.refresh()
        assert not contents.diagnostics
        await self.fleet.apply([one.program for one in contents.versions.values() if one.flow.is_enabled])

    async def reload(self) -> None:
        await self.reloader.reload()

    @property
    def processes(self) -> dict[int, int]:
        """The processes that are there, by the number of their worker."""
        return {post.number: post.process.number for post in self.fleet.posts if post.is_there and post.process}

    def kill(self, number: int) -> int:
        """Kill a worker without a word; returns which process that was."""
        process = self.processes[number]
        os.kill(process, signal.SIGKILL)
        return process

    async def replaced(self, number: int, process: int) -> None:
        """Wait until a worker runs in another process than this one, and is subscribed."""
        await eventually(lambda: self.processes.get(number, process) != process, lambda: self.told)
        await self.fleet.heard()

    def said(self, event: str) -> list[dict[str, Any]]:
        return [{"text": one.text, "flow": one.flow, **one.fields} for one in self.news if one.event == event]


@asynccontextmanager
async def yard(
    folder: Path, settings: ConnectionSettings, files: Mapping[str, str], *, count: int = 2, is_heard: bool = True
) -> AsyncIterator[Yard]:
    folder.mkdir(exist_ok=True)
    made = Yard(folder, settings, count)
    made.write(files)
    try:
        await made.begin()
        if is_heard:
            await made.fleet.heard()
        yield made
    finally:
        await made.fleet.close()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
