"""Turns the work that waiting steps do beside a flow into what a test can wait for: at once, or in its own loop."""

import asyncio
import atexit
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, Protocol, TypeVar

Resource = TypeVar("Resource", bound="Closing")


class Closing(Protocol):
    async def aclose(self) -> None: ...


class Beside:
    """Does work beside one flow.

    In a test that is a coroutine the work runs in its loop, and `settled` waits for it. In any other test it is done
    before `run` returns, except for what is started by work that is being done: that follows, in a loop that all these
    tests share.
    """

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.resources: dict[str, Any] = {}

    def run(self, work: Coroutine[Any, Any, Any], done: Callable[[Any], object]) -> asyncio.Task[Any]:
        is_inside = is_in_loop()
        loop = asyncio.get_running_loop() if is_inside else shared_loop()
        task = loop.create_task(work)
        self.tasks.add(task)

        def finish(task: asyncio.Task[Any]) -> None:
            try:
                done(result_of(task))
            finally:
                self.tasks.discard(task)

        task.add_done_callback(finish)
        if not is_inside:
            loop.run_until_complete(self.settled())
        return task

    async def settled(self) -> None:
        """Wait until nothing is being done any more; callbacks of tasks run a turn after the tasks end."""
        while self.tasks:
            await asyncio.wait(self.tasks, timeout=20)
            await asyncio.sleep(0)

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        if name not in self.resources:
            self.resources[name] = make()
        resource: Resource = self.resources[name]
        return resource

    async def aclose(self) -> None:
        for resource in self.resources.values():
            await resource.aclose()
        self.resources.clear()

    def close(self) -> None:
        """The same from outside of a loop."""
        shared_loop().run_until_complete(self.aclose())


def result_of(task: asyncio.Task[Any]) -> Any:
    try:
        return task.result()
    except BaseException as error:  # noqa: BLE001 - handed on, as the runner does
        return error


def is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@cache
def shared_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop
