"""Turns calls that block into ones that a loop can await: made one after the other, in a thread of their own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from flowrunner.errors import StepError

Result = TypeVar("Result")

#: Calls that may go on, in threads of their own, after nobody waits for them any more.
MOST_ABANDONED = 8

_Call = tuple[Callable[[], Any], Callable[[Callable[[], Any]], None]]


class WorkThread:
    """A thread for the blocking work of one flow, which begins with the first call.

    A call whose caller walks away (a timeout) cannot be ended: it goes on, and the calls after it get a new thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self.running: set[object] = set()
        self.abandoned: set[object] = set()
        self.calls: SimpleQueue[_Call | None] | None = None

    def close(self) -> None:
        """Let the thread end behind the calls that it has; a later call starts another one."""
        if self.calls is not None:
            self.calls.put(None)
            self.calls = None

    async def call(self, function: Callable[[], Result], *, seconds: float | None = None) -> Result:
        """What the function returns or raises; TimeoutError if that takes longer than so many seconds.

        Raises StepError where too many abandoned calls still go on.
        """
        async with self.lock:
            if len(self.abandoned) >= MOST_ABANDONED:
                message = f"{len(self.abandoned)} calls that took too long still go on"
                raise StepError(message, code="timed-out", help="end them in the function itself")
            mark = object()
            try:
                async with asyncio.timeout(seconds):
                    return await self.begin(function, mark)
            except (TimeoutError, asyncio.CancelledError):
                if mark in self.running:
                    self.running.discard(mark)
                    self.abandoned.add(mark)
                    self.close()
                raise

    def begin(self, function: Callable[[], Result], mark: object) -> "asyncio.Future[Result]":
        """Have the thread make a call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def arrive(result: Callable[[], Result]) -> None:
            self.running.discard(mark)
            self.abandoned.discard(mark)
            if future.done():
                return
            try:
                future.set_result(result())
            except StopIteration as error:  # no future can hold it
                future.set_exception(RuntimeError(f"StopIteration: {error}"))
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                future.set_exception(error)

        def send(result: Callable[[], Result]) -> None:
            with suppress(RuntimeError):  # the loop is closed: the program ends
                loop.call_soon_threadsafe(arrive, result)

        self.running.add(mark)
        self.queue().put((function, send))
        return future

    def queue(self) -> "SimpleQueue[_Call | None]":
        """Where the thread gets its calls; it is started if there is none."""
        if self.calls is None:
            self.calls = SimpleQueue()
            Thread(target=_work, args=(self.calls,), name=self.name, daemon=True).start()
        return self.calls


def _work(calls: "SimpleQueue[_Call | None]") -> None:
    while (call := calls.get()) is not None:
        function, send = call
        send(_outcome(function))
        del call, function, send


def _outcome(function: Callable[[], Result]) -> Callable[[], Result]:
    """What gives the result, or raises what was raised."""
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        raised = error

        def fail() -> Result:
            raise raised

        return fail
    return lambda: result
