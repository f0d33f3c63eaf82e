"""Does the work of steps that call functions of the user's, and waits until it is done: no time passes for the flow."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, Self, TypeVar, cast

from flowrunner.code import Closing, Running

Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)


class Beside:
    """An event loop for many tests, made when one of them needs it. Use it in a `with`, which closes the loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._shared: dict[str, Closing] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shared and self._loop is None:
            self._loop = asyncio.new_event_loop()
        if self._loop is None:
            return
        for task in self._tasks:
            task.cancel()
        self._complete(self._end())
        self._loop.close()
        self._loop = None

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """See `flowrunner.code.Host`."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        task = self._loop.create_task(work)
        self._tasks.add(task)

        def finish(task: asyncio.Task[Result]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                done(asyncio.CancelledError())
            else:
                done(task.exception() or task.result())

        task.add_done_callback(finish)
        return task

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """See `flowrunner.code.Host`."""
        if name not in self._shared:
            self._shared[name] = make()
        return cast("Resource", self._shared[name])

    def settle(self) -> None:
        """Wait until nothing is being worked on any more."""
        while self._tasks:
            self._complete(self._settled())

    async def _settled(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # what is to be called at the end of a task is called a turn later

    async def _end(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(resource.aclose() for resource in self._shared.values()), return_exceptions=True)
        self._shared.clear()

    def _complete(self, work: Coroutine[Any, Any, None]) -> None:
        loop = self._loop
        assert loop is not None
        if not _is_in_loop():
            loop.run_until_complete(work)
            return
        thread = Thread(target=lambda: loop.run_until_complete(work))  # of two loops in one thread only one can run
        thread.start()
        thread.join()


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
