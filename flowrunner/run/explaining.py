"""Tells the protocol of all connections in words, and what may be meant by filters on which nothing comes."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from flowrunner.clock import Clock, Timer
from flowrunner.connections import ConnectionSettings
from flowrunner.errors import ConnectionFailed
from flowrunner.run.client import Tap
from flowrunner.run.narrator import MOST_TOPICS, Narrator
from flowrunner.run.probe import look_around, spoken
from flowrunner.run.report import Report
from flowrunner.run.shown import ShownFlow
from flowrunner.sources import Subscribe
from flowrunner.topics import Filter, matches

#: Seconds without a message after which topics near a filter are looked for, and seconds that this takes.
SILENCE = 120.0
LOOK = 3.0


class Listens(Protocol):
    """What is asked of a connection."""

    @property
    def settings(self) -> ConnectionSettings:
        """Its settings."""


class Runs(Protocol):
    """What is asked of a runner."""

    @property
    def flows(self) -> Mapping[str, ShownFlow]:
        """What runs, by name."""

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""


class Explaining:
    """The narrators of all connections of a runner."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._narrators: dict[str, Narrator] = {}
        self._told: set[tuple[str, str]] = set()
        self._since: dict[tuple[str, str], float] = {}
        self._timer: Timer | None = None
        self._looks: set[asyncio.Task[None]] = set()

    def tap(self, connection: str) -> Tap:
        """What stands before the sockets of a connection."""
        narrator = self._narrators.get(connection)
        if narrator is None:
            prefix = "" if connection == "default" else f"{connection}: "
            say = lambda text: self._report.say("protocol", f"  {prefix}{text}", level="debug", connection=connection)  # noqa: E731
            narrator = self._narrators[connection] = Narrator(say)
        return narrator.tap

    def watch(self, runner: Runs, connections: Callable[[], Mapping[str, Listens]]) -> None:
        """Look for silence from now on."""
        clock = runner.clock

        def look() -> None:
            self._timer = clock.call_at(clock.time() + SILENCE / 4, look)
            for name, connection in connections().items():
                silent = self._silent(name, runner, clock.time())
                if silent:
                    self._begin(name, connection.settings, silent)

        look()

    def stop(self) -> None:
        """Tell what was not told yet, and look no more."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._looks:
            task.cancel()
        for narrator in self._narrators.values():
            narrator.stop()

    def _silent(self, connection: str, runner: Runs, now: float) -> list[Filter]:
        """The filters of a connection on which nothing came for long enough, and of which nothing was told."""
        narrator = self._narrators.get(connection)
        topics = narrator.topics if narrator is not None else set()
        sources = [source for flow in runner.flows.values() for source in flow.program.flow.sources]
        wanted = {
            source.filter.text: source.filter
            for source in sources
            if isinstance(source, Subscribe) and source.connection == connection
        }
        found = []
        for text, one in wanted.items():
            since = self._since.setdefault((connection, text), now)
            if now - since < SILENCE or (connection, text) in self._told or len(topics) >= MOST_TOPICS:
                continue
            self._told.add((connection, text))
            if not any(matches(one, topic) for topic in topics):
                found.append(one)
        return found

    def _begin(self, name: str, settings: ConnectionSettings, silent: list[Filter]) -> None:
        task = asyncio.get_running_loop().create_task(self._look(name, settings, silent))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _look(self, name: str, settings: ConnectionSettings, silent: list[Filter]) -> None:
        near: dict[str, list[str]] = {}
        with suppress(ConnectionFailed, OSError, TimeoutError):
            near = await look_around(settings, silent, LOOK)
        for one in silent:
            found = near.get(one.text, [])
            words = spoken(one.text, found) if found else f"no message on {one.text} so far"
            self._report.say("silence", words, level="warning", connection=name, filter=one.text, near=found)
