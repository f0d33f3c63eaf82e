"""Runs what steps do outside of their flow, and ends it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar, cast

from flowrunner.code import Closing, Running
from flowrunner.lines import Waits

Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)


class Work:
    """Coroutines of flows, in the running loop, and the resources that flows share."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shared: dict[str, Closing] = {}

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """Do work while the flows go on; `done` gets what it returned or raised."""

        def finish(task: asyncio.Task[Result]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                done(asyncio.CancelledError())
            else:
                done(task.exception() or task.result())

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(finish)
        return task

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """What all flows use together, made when it is first asked for."""
        if name not in self._shared:
            self._shared[name] = make()
        return cast("Resource", self._shared[name])

    async def close(self) -> None:
        """Cancel what still runs, and let go of what was shared."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(resource.aclose() for resource in self._shared.values()), return_exceptions=True)
        self._shared.clear()


async def finish(waits: Waits, patience: float) -> int:
    """Give a version of a flow so many seconds to finish what waits in it; returns how many messages it could not."""
    idle = asyncio.Event()
    waits.on_idle = idle.set
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while waits.is_busy:
                idle.clear()
                await idle.wait()
    given_up = waits.give_up()
    waits.close()
    return given_up
