"""Turns the news of the system about files into paths that changed."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import suppress

from flowrunner.run.watch import Wanted

#: Milliseconds between two looks at what the system has told, and for how long news are gathered that do not end.
_STEP = 20
_MOST_GATHERED = 40

#: Milliseconds after which the thread of watchfiles turns round.
_TURN = 5_000

#: Seconds between two looks at files of which the system tells nothing.
POLLING = 0.3

_log = logging.getLogger("flowrunner.run")

News = AsyncGenerator[set[str], None]


class SystemDisk:
    """The files of this machine. Where the system cannot watch them, they are looked at again and again."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[set[str] | Exception] = asyncio.Queue()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def watch(self, folders: Collection[str], wanted: Wanted) -> None:
        """See `flowrunner.run.watch.Disk`: the new watch is in place before the old one ends."""
        stop = asyncio.Event()
        news = _told(folders, wanted, stop)
        try:
            first = await _begin(news)
        except FileNotFoundError:
            raise
        except OSError as error:
            _log.warning("the system watches no more files (%s): they are looked at every %s s", error, POLLING)
            news = _looked_at(folders, wanted, stop)
            first = await _begin(news)
        before = self._task, self._stop
        self._task, self._stop = asyncio.create_task(self._gather(news, first), name="watch files"), stop
        await _end(*before)

    async def changes(self, patience: float | None) -> Collection[str]:
        """See `flowrunner.run.watch.Disk`. Raises what ended the watching."""
        try:
            async with asyncio.timeout(patience):
                found = await self._news.get()
        except TimeoutError:
            return ()
        if isinstance(found, Exception):
            raise found
        return found

    async def aclose(self) -> None:
        """Watch nothing any more."""
        task, self._task = self._task, None
        await _end(task, self._stop)

    async def _gather(self, news: News, first: "asyncio.Future[set[str]]") -> None:
        try:
            self._news.put_nowait(await first)
            async for found in news:
                self._news.put_nowait(found)
        except StopAsyncIteration:
            return
        except Exception as error:  # noqa: BLE001 - whoever waits for changes must learn that none will come
            self._news.put_nowait(error)


async def _begin(news: News) -> "asyncio.Future[set[str]]":
    """The first item of a stream that watches already. Raises OSError where that is not possible."""
    first = asyncio.ensure_future(anext(news))
    await asyncio.sleep(0)  # when it waits for the first time, the watch is in place
    if first.done() and first.exception() is not None:
        first.result()
    return first


async def _end(task: asyncio.Task[None] | None, stop: asyncio.Event) -> None:
    stop.set()
    if task is not None:
        await task


async def _told(folders: Collection[str], wanted: Wanted, stop: asyncio.Event) -> News:
    """What the system tells."""
    from watchfiles import awatch

    changes = awatch(
        *folders,
        watch_filter=lambda _, path: wanted(path),
        debounce=_MOST_GATHERED,
        step=_STEP,
        stop_event=stop,
        rust_timeout=_TURN,
        recursive=False,
        ignore_permission_denied=True,
    )
    async for found in changes:
        yield {path for _, path in found}


async def _looked_at(folders: Collection[str], wanted: Wanted, stop: asyncio.Event) -> News:
    """What is found by looking."""
    before = dict(_stamps(folders, wanted))
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(POLLING):
                await stop.wait()
        now = dict(_stamps(folders, wanted))
        found = {path for path in {**before, **now} if before.get(path) != now.get(path)}
        before = now
        if found:
            yield found


def _stamps(folders: Iterable[str], wanted: Wanted) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if wanted(entry.path):
                    with suppress(OSError):
                        status = entry.stat()
                        yield entry.path, (status.st_mtime_ns, status.st_size, status.st_ino)
