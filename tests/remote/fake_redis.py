"""Plays a Redis that answers what a test wants, command by command."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flowrunner.remote.address import StateSettings

#: What it answers to a command (its name and its arguments); None: it hangs up.
Answers = Callable[[list[bytes]], bytes | None]


class FakeRedis:
    """Commands that came, and how they are answered."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.got: list[list[bytes]] = []
        self.port = 0

    @property
    def settings(self) -> StateSettings:
        """Its address."""
        return StateSettings("redis", "127.0.0.1", self.port)

    def count(self, name: bytes) -> int:
        """How often a command came."""
        return sum(words[0] == name for words in self.got)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                words = [await self.word(reader) for _ in range(int(head[1:]))]
                self.got.append(words)
                answer = self.answers(words)
                if answer is None:
                    break
                writer.write(answer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:size]


def one_result(words: list[bytes]) -> bytes:
    """What the scripts say of one message: nothing was evicted, one key, nothing is due, a value of 1."""
    if words[0] != b"EVALSHA":
        return b"+OK\r\n"
    return b"*4\r\n:0\r\n:1\r\n:-1\r\n*1\r\n*2\r\n:1\r\n$1\r\n1\r\n"


@asynccontextmanager
async def fake_redis(answers: Answers) -> AsyncIterator[FakeRedis]:
    """One that runs."""
    made = FakeRedis(answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
