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
    """Coroutines of flows, and the resources that flows share.

    They run in the loop that `loop` gives when it is needed: the one that is running, unless it is said.
    """

    def __init__(self, loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.get_running_loop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shared: dict[str, Closing] = {}
        self._offers: dict[str, Callable[[], Closing]] = {}

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """Do work while the flows go on; `done` gets what it returned or raised."""

        def finish(task: asyncio.Task[Result]) -> None:
            self._tasks.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            done(task.result() if error is None else error)

        task = self._loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(finish)
        return task

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """What all flows use together, made when it is first asked for."""
        if name not in self._shared:
            self._shared[name] = self._offers.get(name, make)()
        return cast("Resource", self._shared[name])

    def offer(self, name: str, make: Callable[[], Closing]) -> None:
        """Say how something is made that flows may ask for."""
        self._offers[name] = make

    @property
    def is_done(self) -> bool:
        """Whether nothing is being done."""
        return not self._tasks

    @property
    def is_shared(self) -> bool:
        """Whether flows share a resource, which `close` lets go of."""
        return bool(self._shared)

    async def settled(self) -> None:
        """Wait until nothing is being done any more, whatever one thing leads to."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # what is called at the end of a task is called a turn later

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
