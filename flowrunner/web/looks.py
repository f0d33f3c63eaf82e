"""Turns what people look at into taps: a flow is tapped as long as somebody sees its picture, and no longer."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from flowrunner.read.flow import Flow
from flowrunner.run.shown import Looked
from flowrunner.web.sight import Sight

#: Flows that are tapped at a time; seconds that pass before a change of view is taken up, and for which taps that
#: nobody needs stay: people scroll, and load pages anew.
MOST = 60
SOON = 0.05
LINGER = 3.0

_log = logging.getLogger("flowrunner.web")


@dataclass(frozen=True, slots=True)
class Look:
    """What one viewer looks at: flows by name, and one step of one flow (its messages); no step: only numbers."""

    flows: frozenset[str] = frozenset()
    flow: str = ""
    step: str = ""


class Looks:
    """Who looks at what. `changed` is called when flows were exchanged for tapped ones, or back."""

    def __init__(self, runs: Looked, changed: Callable[[], object]) -> None:
        self.sights: dict[str, Sight] = {}
        self._runs = runs
        self._changed = changed
        self._looks: dict[str, Look] = {}
        self._asked: dict[str, Sight] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_stale = False
        self._hurry = asyncio.Event()

    def look(self, viewer: str, look: Look) -> None:
        """A viewer looks at something else now."""
        self._looks[viewer] = look
        self._want()
        self.settle(SOON)

    def leave(self, viewer: str) -> None:
        """A viewer has gone."""
        if self._looks.pop(viewer, None) is not None:
            self._want()
            self.settle(LINGER)

    def steps_of(self, viewer: str) -> tuple[str, str]:
        """The flow and the step whose messages a viewer sees."""
        look = self._looks.get(viewer, Look())
        return look.flow, look.step

    def settle(self, delay: float = 0.0) -> None:
        """Have the taps put where they are wanted, soon."""
        self._is_stale = True
        if delay < LINGER:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._settle(delay))

    async def aclose(self) -> None:
        """Look at nothing any more; the runner ends anyway."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _settle(self, delay: float) -> None:
        with suppress(TimeoutError):  # somebody who comes does not wait for taps that linger
            async with asyncio.timeout(delay):
                await self._hurry.wait()
        await asyncio.sleep(min(delay, SOON))
        while self._is_stale:
            self._is_stale = False
            self._hurry.clear()
            try:
                await self._tap()
            except Exception:  # noqa: BLE001 - flows go on, and the page shows what it can
                _log.exception("flows could not be tapped")

    async def _tap(self) -> None:
        made = {name: found for name in self._wanted() if (found := self._made(name)) is not None}
        if made != self._asked:
            tapped = await self._runs.tap(made)
            self._asked = made
            self.sights = {name: sight for name, sight in made.items() if name in tapped}
            self._want()
            self._changed()

    def _wanted(self) -> list[str]:
        names = dict.fromkeys(name for look in self._looks.values() for name in [look.flow, *sorted(look.flows)])
        return [name for name in names if name in self._runs.flows][:MOST]

    def _made(self, name: str) -> Sight | None:
        """What sees the flow as it is now."""
        flow = self._runs.flows[name].program.flow
        known = self._asked.get(name)
        if known is not None and known.flow is flow:
            return known
        return Sight(flow) if isinstance(flow, Flow) else None

    def _want(self) -> None:
        """Tell each sight of which steps messages are shown."""
        for name, sight in self.sights.items():
            sight.want({look.step for look in self._looks.values() if look.flow == name and look.step})
