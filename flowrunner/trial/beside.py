"""Does the work of steps that call functions of the user's, and waits until it is done: no time passes for the flow."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, Self, TypeVar

from flowrunner.code import Closing, Running
from flowrunner.run.work import Work

Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)


class Beside:
    """An event loop for many tests, made when one of them needs it. Use it in a `with`, which closes the loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work = Work(self._opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._work.is_shared:
            self._opened()
        if self._loop is None:
            return
        self._complete(self._work.close())
        self._loop.close()
        self._loop = None

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """See `flowrunner.code.Host`."""
        return self._work.run(work, done)

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """See `flowrunner.code.Host`."""
        return self._work.share(name, make)

    def settle(self) -> None:
        """Wait until nothing is being worked on any more."""
        while not self._work.is_done:
            self._complete(self._work.settled())

    def _opened(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop

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
