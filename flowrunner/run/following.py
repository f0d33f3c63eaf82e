"""Joins a runner with the files of its flows: edits are taken up as long as it runs."""

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flowrunner.compile import Program
from flowrunner.jsons import dumps
from flowrunner.read.library import Library
from flowrunner.records import dataclass
from flowrunner.run.report import Report
from flowrunner.run.runs import Runs

if TYPE_CHECKING:
    from flowrunner.run.reload import Reloader
    from flowrunner.run.shown import Remembers
    from flowrunner.run.watch import Changes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edits:
    """The files that a runner follows.

    `paths` are those of the command line, `folder` is where is noted what runs. Without `is_watched` they are looked at
    only when asked for; `has_previews` shows what the last messages would have become.
    """

    library: Library[Program]
    paths: Sequence[Path]
    folder: Path | None = None
    is_watched: bool = True
    has_previews: bool = True


class Following:
    """Follows edits until `aclose`; `look` takes them up at once.

    It begins when the brokers were asked for what the flows want: the first message need not wait for what edits take.
    Edits that are made meanwhile are found then.
    """

    def __init__(self, edits: Edits, runner: Runs, report: Report) -> None:
        self._edits = edits
        self._report = report
        self._runner = runner
        self._recent = runner.remember() if edits.has_previews else None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reloader: Reloader | None = None
        self._changes: Changes | None = None
        self._beginning = self._begin(self._follow())
        self._noting = self._begin(self._note())

    @property
    def recent(self) -> "Remembers | None":
        """The last messages of each flow, if they are remembered."""
        return self._recent

    def watch(self) -> None:
        """Look at the flows that run now: they were exchanged for others that do the same."""
        if self._recent is not None:
            self._recent.follow()

    async def quiet(self) -> None:
        """Wait until it is noted what runs."""
        await self._noting

    async def reload(self) -> None:
        """Take up what changed, and wait until it runs."""
        await (await self._begun()).reload()

    def look(self) -> None:
        """Take up what changed in the files now."""
        self._begin(self._look())

    async def aclose(self) -> None:
        """Follow no longer, and note that nothing runs any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._changes is not None:
            await self._changes.aclose()
        if self._recent is not None:
            self._recent.stop()
        if self._reloader is not None:
            self._reloader.note_end()

    async def _follow(self) -> "Reloader":
        await self._runner.tried()
        from flowrunner.run.disk import SystemDisk
        from flowrunner.run.reload import Reloader
        from flowrunner.run.watch import Changes

        library, runner = self._edits.library, self._runner
        self._reloader = Reloader(
            library,
            runner,
            self._report,
            paths=self._edits.paths,
            folder=self._edits.folder,
            recent=self._recent,
            publish=lambda found: runner.tell("reload", dumps(found)),
            reconnect=runner.reconnect,
            regroup=runner.regroup,
        )
        self._changes = Changes(lambda: library.contents.places, SystemDisk())
        if self._edits.is_watched:
            self._begin(self._reloader.follow(self._changes))
        return self._reloader

    async def _begun(self) -> "Reloader":
        return await asyncio.shield(self._beginning)

    async def _note(self) -> None:
        await (await self._begun()).note()

    async def _look(self) -> None:
        await (await self._begun()).look()

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
