"""Has flows of a `FlowHost` keep what their steps remember in a Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.flow_host import FlowHost
from tests.redis_server import RedisServer


@asynccontextmanager
async def hosted(server: RedisServer, project: str) -> AsyncIterator[RedisState]:
    """Every `FlowHost` that is made inside keeps it there."""
    state = RedisState(server.settings, project, Report(lambda _: None))
    FlowHost.remote = lambda _: state
    try:
        yield state
    finally:
        FlowHost.remote = None
        await state.aclose()
