"""Listens like a broker, and answers as a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from flowrunner.connections import ConnectionSettings

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def fake_broker(answer: Answer) -> AsyncIterator[ConnectionSettings]:
    """Something that listens, and does with each packet what `answer` does."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while packet := await reader.read(65_536):
                await answer(packet, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield ConnectionSettings(host="127.0.0.1", port=port)
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0)


def version_of(packet: bytes) -> int:
    """The protocol level in a CONNECT, 0 for another packet."""
    return packet[8] if packet[0] == 0x10 else 0
