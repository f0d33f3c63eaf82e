"""Turns one end of a pair of sockets into questions and answers between two processes that trust each other."""

import asyncio
import logging
import pickle
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from flowrunner.errors import FlowrunnerError

#: Bytes of one thing that is said: four tell how many follow.
MOST_BYTES = 2**32 - 1

_TOLD, _ASKED, _ANSWERED, _FAILED = range(4)
_log = logging.getLogger("flowrunner.workers")


class Gone(FlowrunnerError):
    """The other process is not there any more, or does not listen."""


class Channel:
    """Asks and tells the other process, and is asked and told.

    `answer` is called, in a task of its own, with what is asked, `hear` with what is told, both in the order in which
    it was said. What an answer raises is raised where it was asked for, as FlowrunnerError with its words.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answer: Callable[[Any], Awaitable[Any]],
        hear: Callable[[Any], object],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._hear = hear
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._is_gone = False

    @property
    def behind(self) -> int:
        """Bytes that the other process has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    def greet(self, data: bytes) -> None:
        """Send bytes before anything is said, to one that cannot hear yet."""
        self._writer.write(data)

    def tell(self, news: object) -> None:
        """Say something that needs no answer. To one that is gone nothing is said."""
        self._send(_TOLD, 0, news)

    def asking(self, question: object) -> "asyncio.Future[Any]":
        """The answer to come, which raises Gone if it never does; it is asked at once."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._is_gone:
            future.set_exception(Gone("the other process is gone"))
            return future
        self._number += 1
        number = self._number
        self._waiting[number] = future
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        self._send(_ASKED, number, question)
        return future

    async def ask(self, question: object) -> Any:
        """The answer of the other process. Raises Gone, or FlowrunnerError with what it says went wrong."""
        return await self.asking(question)

    async def run(self) -> None:
        """Hear and answer until one of both ends goes."""
        try:
            while True:
                (size,) = struct.unpack(">I", await self._reader.readexactly(4))
                self._take(*pickle.loads(await self._reader.readexactly(size)))  # noqa: S301 - from our own process
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._is_gone = True
            for future in list(self._waiting.values()):
                if not future.done():
                    future.set_exception(Gone("the other process is gone"))
            self._writer.close()

    async def close(self) -> None:
        """Send what is still to be sent, and go."""
        with suppress(OSError):
            await self._writer.drain()
        self._writer.close()

    def _take(self, kind: int, number: int, said: Any) -> None:
        future = self._waiting.get(number)
        if kind == _TOLD:
            self._hear(said)
        elif kind == _ASKED:
            task = asyncio.get_running_loop().create_task(self._reply(number, said))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif future is not None and not future.done():
            if kind == _ANSWERED:
                future.set_result(said)
            else:
                future.set_exception(FlowrunnerError(said))

    async def _reply(self, number: int, question: Any) -> None:
        try:
            found = await self._answer(question)
        except FlowrunnerError as error:
            self._send(_FAILED, number, str(error))
        except Exception as error:  # noqa: BLE001 - whoever asked hears of it
            _log.exception("a question could not be answered: %s", type(question).__name__)
            self._send(_FAILED, number, f"{type(error).__name__}: {error}")
        else:
            self._send(_ANSWERED, number, found)

    def _send(self, kind: int, number: int, said: object) -> None:
        if self._is_gone or self._writer.is_closing():
            return
        data = pickle.dumps((kind, number, said), protocol=5)
        if len(data) > MOST_BYTES:
            raise FlowrunnerError("this is too much for one message between processes")
        self._writer.write(struct.pack(">I", len(data)) + data)


async def open_channel(
    end: socket.socket, *, answer: Callable[[Any], Awaitable[Any]], hear: Callable[[Any], object]
) -> Channel:
    """A channel on one end of a pair of sockets."""
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Channel(reader, writer, answer=answer, hear=hear)
