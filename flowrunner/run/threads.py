"""Turns a call that blocks into one that can be awaited, or walked away from."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result], *, abandoned: Callable[[], None]) -> Result:
    """Run `work` in a thread of its own and give what it returns or raises.

    If the caller is cancelled, the thread goes on by itself and calls `abandoned` when `work` is done: neither
    the loop nor the end of the program waits for a name server.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def finish(done: Callable[[], None]) -> None:
        if future.done():
            abandoned()
        else:
            done()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            done = partial(future.set_exception, error)
        else:
            done = partial(future.set_result, result)
        with suppress(RuntimeError):  # the loop is closed: the program ends
            loop.call_soon_threadsafe(finish, done)

    Thread(target=run, name="flowrunner-connect", daemon=True).start()
    return await future
