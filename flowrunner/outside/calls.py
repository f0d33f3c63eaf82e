"""Turns messages into calls of a user's function: in a thread, or in the loop if it is `async`."""

import asyncio
from collections.abc import Callable, Iterable
from inspect import isasyncgen, isawaitable, iscoroutinefunction, isgenerator
from typing import Any

from flowrunner.errors import StepError
from flowrunner.outside.python import Function, Message, describe, place_of, plain, results_of
from flowrunner.outside.thread import WorkThread

Results = list[dict[str, Any]]


class Calls:
    """Calls one function, for at most so many seconds each time."""

    def __init__(self, function: Function, call: Callable[[Message], Any], seconds: float) -> None:
        self.function = function
        self.call = call
        self.seconds = seconds
        self.is_async = iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004

    async def results(self, message: Message, thread: WorkThread) -> Results:
        """What the function makes of a message: the names that change, for each message that goes on.

        Raises StepError, with the place in the user's file, for whatever the function raises.
        """
        try:
            return await (self.in_loop(message) if self.is_async else self.in_thread(message, thread))
        except StepError:
            raise
        except TimeoutError as error:
            if place := place_of(error, self.function):  # it was the function's own
                raise self.failed(error, place) from None
            message_ = f"`{self.function.name}` took longer than {self.seconds:g} s"
            raise StepError(message_, code="timed-out", help="give it more with `timeout`") from None
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a function must not end the program
            raise self.failed(error, place_of(error, self.function)) from None

    def failed(self, error: BaseException, place: Any) -> StepError:
        """The error of a function in words."""
        return StepError(describe(error), code="python-failed", place=place)

    async def in_loop(self, message: Message) -> Results:
        """The results of an `async` function."""
        async with asyncio.timeout(self.seconds):
            return self.gather(await self.call(self.copy(message)))

    async def in_thread(self, message: Message, thread: WorkThread) -> Results:
        """The results of a function that may block."""
        results, later = await thread.call(lambda: self.run(message), seconds=self.seconds)
        if later is None:
            return results
        async with asyncio.timeout(self.seconds):
            if isasyncgen(later):
                return self.gather([item async for item in later])
            return self.gather(await later)

    def run(self, message: Message) -> tuple[Results, Any]:
        """Call the function in the thread; what has to be awaited is handed back."""
        result = self.call(self.copy(message))
        if isawaitable(result) or isasyncgen(result):
            return [], result
        return self.gather(result), None

    def copy(self, message: Message) -> Message:
        """A message that shares nothing with any other."""
        return Message(
            message.topic,
            plain(message.payload),
            message.qos,
            message.retain,
            plain(message.properties),
            plain(message.names),
        )

    def gather(self, result: Any) -> Results:
        """The results in what the function returned."""
        items: Iterable[Any] = result if isinstance(result, list | tuple) or isgenerator(result) else (result,)
        try:
            return [changes for item in items for changes in results_of(item, self.function.name)]
        except RecursionError as error:
            if place_of(error, self.function):
                raise
            message = f"`{self.function.name}` returned a value that is nested too deep"
            raise StepError(message, code="bad-result") from None
