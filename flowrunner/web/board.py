"""Turns what happens in a runner into what every viewer is told: a whole picture first, then what changes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from flowrunner.compile import Program
from flowrunner.jsons import dumps
from flowrunner.read.library import Library
from flowrunner.run.report import News, Report
from flowrunner.run.shown import Published, Remembers
from flowrunner.web.cards import Cards, show_diagnostic
from flowrunner.web.figures import TICK, Figures
from flowrunner.web.looks import Look, Looks

#: Events that a viewer may be behind; one that is further behind gets the whole picture anew.
_MOST_BEHIND = 100

#: Messages are told so many times as often as numbers.
_TURNS = 5

#: News that are shown to those who come later.
_MOST_NEWS = 50
_NEWS = frozenset({
    "connected", "away", "lost", "not-subscribed", "limit", "reloaded", "stale", "mended", "mistakes", "not-reloaded",
    "not-reloadable", "not-started", "queue-full", "queue-drained", "not-published", "given-up",
})  # fmt: skip

_CHANGES = frozenset({"mistake", "reloaded", "stale", "mended", "mistakes", "not-reloaded"})

_log = logging.getLogger("flowrunner.web")


@dataclass(eq=False, slots=True)
class Viewer:
    """Somebody who looks at the page: what is still to be sent."""

    id: str
    events: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_MOST_BEHIND))
    is_behind: bool = False

    def put(self, event: bytes) -> None:
        """Send an event, unless the viewer is too slow."""
        try:
            self.events.put_nowait(event)
        except asyncio.QueueFull:
            self.is_behind = True

    def end(self) -> None:
        """Send nothing more."""
        self.is_behind, self.events = False, asyncio.Queue(1) if self.events.full() else self.events
        self.events.put_nowait(None)


class Board:
    """What is known of a runner, for any number of viewers. Without viewers it does nothing."""

    def __init__(
        self,
        runs: Published,
        library: Library[Program],
        report: Report,
        *,
        recent: Remembers | None = None,
        exchanged: Callable[[], object] = lambda: None,
    ) -> None:
        self.runs = runs
        self.library = library
        self.recent = recent
        self.looks = Looks(runs, exchanged)
        self.reloads: dict[str, int] = {"taken-up": 0, "refused": 0}
        self._figures = Figures(runs)
        self._cards = Cards()
        self._viewers: dict[str, Viewer] = {}
        self._report = report
        self._news: list[dict[str, Any]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._telling: asyncio.Handle | None = None
        self._reload: dict[str, Any] | None = None
        self._is_refused = False
        report.listeners.append(self._heard)

    async def aclose(self) -> None:
        """Tell nobody any more."""
        self._report.listeners.remove(self._heard)
        for viewer in self._viewers.values():
            viewer.end()
        await self.looks.aclose()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    async def refresh(self) -> None:
        """Learn how everything is now."""
        await self.runs.refresh(states=self.looks.sights.keys())

    def state(self) -> dict[str, Any]:
        """The whole picture, as of the last `refresh`."""
        numbers = self._figures.look(self.looks.sights)
        return {**self._cards.make(self.library.contents, self.runs.flows), "numbers": numbers, "news": self._news}

    async def watch(self, viewer: str) -> AsyncIterator[bytes]:
        """What a viewer is told, as server-sent events, as long as it listens."""
        one = self._viewers[viewer] = Viewer(viewer)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
        try:
            await self.refresh()
            yield event("state", self.state())
            while True:
                if one.is_behind:
                    one.is_behind, one.events = False, asyncio.Queue(_MOST_BEHIND)
                    await self.refresh()
                    yield event("state", self.state())
                told = await one.events.get()
                if told is None:
                    return
                yield told
        finally:
            if self._viewers.get(viewer) is one:
                del self._viewers[viewer]
                self.looks.leave(viewer)

    def look(self, viewer: str, look: Look) -> bool:
        """A viewer looks at something; false if nobody of this name listens."""
        if viewer not in self._viewers:
            return False
        self.looks.look(viewer, look)
        return True

    def _heard(self, news: News) -> None:
        """Take what the runner tells."""
        if news.event == "reloaded":
            self._reload = {"at": self.runs.clock.now(), **news.fields}
            self.reloads["taken-up"] += 1
        elif news.event in {"mistake", "not-reloaded"}:
            self._is_refused = True
        if news.event in _NEWS and news.text:
            told = {"time": self.runs.clock.now(), "event": news.event, "level": news.level, "text": news.text}
            self._news = [*self._news[1 - _MOST_NEWS :], told]
            self._tell("news", told)
        if news.event in _CHANGES and self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell_change)
        elif news.event == "failed" and news.diagnostic is not None:
            self._tell("failed", {"flow": news.flow, **show_diagnostic(news.diagnostic)})

    def _tell_change(self) -> None:
        """Tell what a reload changed, all at once."""
        self._telling = None
        self.reloads["refused"] += self._is_refused
        self._is_refused = False
        self.looks.settle()
        if self._viewers:
            reload, self._reload = self._reload, None
            made = self._cards.make(self.library.contents, self.runs.flows)
            self._tell("change", {**made, "reload": reload})

    def _tell(self, name: str, data: Any) -> None:
        if self._viewers:
            told = event(name, data)
            for viewer in self._viewers.values():
                viewer.put(told)

    async def _tick(self) -> None:
        turn = 0
        while self._viewers:
            await asyncio.sleep(TICK / _TURNS)
            turn += 1
            try:
                self._tell_messages()
                if turn % _TURNS == 0:
                    await self.refresh()
                    self._tell("tick", self._figures.look(self.looks.sights))
            except Exception:  # noqa: BLE001 - flows go on, and so does the page
                _log.exception("the page could not be told")

    def _tell_messages(self) -> None:
        """Tell of messages those who look at their step."""
        for name, sight in self.looks.sights.items():
            if not sight.wanted:
                continue
            records, missed = sight.take()
            for viewer in self._viewers.values():
                flow, step = self.looks.steps_of(viewer.id)
                mine = [record for record in records if record["step"] == step]
                if flow == name and (mine or missed):
                    viewer.put(event("messages", {"flow": flow, "step": step, "records": mine, "missed": missed}))


def event(name: str, data: Any) -> bytes:
    """A server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), dumps(data))
