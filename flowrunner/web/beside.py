"""Joins the page with a runner: serves it as long as the flows run, and says where it is, or what it needs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from flowrunner.compile import Program
from flowrunner.read.library import Library
from flowrunner.run.following import Following
from flowrunner.run.report import Report
from flowrunner.run.runs import Runs
from flowrunner.web.board import Board
from flowrunner.web.place import NotServed, Place
from flowrunner.web.server import serve


@asynccontextmanager
async def show_page(
    runner: Runs,
    following: Following,
    report: Report,
    *,
    library: Library[Program],
    place: Place,
    paths: Sequence[Path],
    folder: Path | None,
) -> AsyncIterator[None]:
    """Serve the page of a runner. Where it cannot be served, that is said, and the flows go on without."""
    await runner.tried()  # the first message need not wait for what the page takes
    recent = following.recent
    board = Board(runner, library, report, recent=recent, exchanged=following.watch)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(serve(board, place, paths=paths, folder=folder))
        except NotServed as error:
            report.say("no-page", str(error), level="warning")
        else:
            if recent is not None:
                recent.measure()
            words = f"look at it on {server.plain_url if place.is_read_only else server.url}"
            report.say("page", words, url=server.url)
        yield
