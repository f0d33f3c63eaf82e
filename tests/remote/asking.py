"""Asks a Redis as steps do, and notes what is said meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flowrunner.remote.address import StateSettings
from flowrunner.remote.place import Answer, Limits
from flowrunner.remote.value_scripts import INCREMENT
from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.run.fakes import Told, quick_backoff, until


class Asked:
    """A state in Redis, and the lines that it said."""

    def __init__(self, settings: StateSettings, now: Callable[[], float] | None = None) -> None:
        self.told = Told()
        self.state = RedisState(settings, "asked", Report(self.told.lines.append), backoff=quick_backoff(), now=now)

    async def count(self, *keys: str, path: str = "flow:state:n") -> Answer:
        """Count a value up for each key."""
        arguments = [text for key in keys for text in (key, "1", "0", "")]
        return await self.state.call(INCREMENT, path, Limits(100), arguments)

    async def says(self, words: str) -> None:
        """Wait until this is said."""
        await until(lambda: words in self.told.text, what=self.told)

    async def refused(self, words: str) -> str:
        """Have a call wait until this is said, and see that it goes on waiting; returns all that was said."""
        call = asyncio.ensure_future(self.count("a"))
        await self.says(words)
        assert not call.done()
        call.cancel()
        return self.told.text


@asynccontextmanager
async def asked(settings: StateSettings) -> AsyncIterator[Asked]:
    """Ask a Redis."""
    made = Asked(settings)
    try:
        yield made
    finally:
        await made.state.aclose()
