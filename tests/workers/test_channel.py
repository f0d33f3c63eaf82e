import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flowrunner.errors import FlowrunnerError, StepError
from flowrunner.workers.channel import Channel, Gone, open_channel


class End:
    """One end: what it is told, and what it answers."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.waiting = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def answer(self, question: Any) -> Any:
        self.is_asked.set()
        if question == "wait":
            await self.waiting.wait()
        if question == "fail":
            raise StepError("no such topic")
        if question == "break":
            raise ZeroDivisionError("by zero")
        return question


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Channel, Channel, End]]:
    far = End()
    near = End()
    sockets = socket.socketpair()
    here = await open_channel(sockets[0], answer=near.answer, hear=near.told.append)
    there = await open_channel(sockets[1], answer=far.answer, hear=far.told.append)
    tasks = [asyncio.ensure_future(channel.run()) for channel in (here, there)]
    try:
        yield here, there, far
    finally:
        await here.close()
        await there.close()
        await asyncio.gather(*tasks)


async def test_questions_are_answered_whatever_their_size_and_order() -> None:
    async with pair() as (here, _, far):
        large = b"x" * 3_000_000
        slow = asyncio.ensure_future(here.ask("wait"))
        assert await here.ask({"large": large}) == {"large": large}
        assert not slow.done()
        far.waiting.set()
        assert await slow == "wait"


async def test_what_is_told_comes_in_order() -> None:
    async with pair() as (here, _, far):
        for number in range(1000):
            here.tell(number)
        await here.ask("all there?")
        assert far.told == list(range(1000))


async def test_an_answer_that_fails_says_so_in_words(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (here, _, _far):
        with pytest.raises(FlowrunnerError, match="no such topic"):
            await here.ask("fail")
        with pytest.raises(FlowrunnerError, match="ZeroDivisionError: by zero"):
            await here.ask("break")
        assert "could not be answered" in caplog.text


async def test_who_waits_for_one_that_goes_hears_of_it() -> None:
    async with pair() as (here, there, far):
        asked = asyncio.ensure_future(here.ask("wait"))
        await far.is_asked.wait()
        await there.close()
        with pytest.raises(Gone):
            await asked
        with pytest.raises(Gone):
            await here.ask("anybody?")
        here.tell("nobody hears this")
