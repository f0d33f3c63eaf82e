"""Keeps one place of a fleet filled: a process that ends is followed by another one."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from flowrunner.clock import Clock
from flowrunner.errors import FlowrunnerError
from flowrunner.run.backoff import Backoff
from flowrunner.run.report import Report
from flowrunner.workers.channel import Gone
from flowrunner.workers.orders import Begin, End, Running
from flowrunner.workers.process import Process, start

#: Seconds: a worker that lived shorter is not started again at once, and is no longer waited for by flows of its own.
EARLY = 10.0

#: Seconds that a worker has to read and begin all flows, on a slow machine and a busy one.
BEGINNING = 120.0

#: Seconds that a worker has to end in good order.
FAREWELL = 20.0

#: Seconds after which somebody who ends all of them is told whom that waits for.
SILENCE = 2.0


class Post:
    """One place among the workers, by its `number`.

    `begin` gives what a new process is told first, `born` hears that there is one, `began` what runs in it, `ended`
    that there is none. `question` is what it is asked now and then; `answered` hears the answer, also the last one.
    """

    def __init__(
        self,
        number: int,
        report: Report,
        clock: Clock,
        *,
        begin: Callable[[int], Begin],
        hear: Callable[[int, Any], object],
        question: Callable[[int], object],
        answered: Callable[[int, Any], object],
        born: Callable[["Post"], object],
        began: Callable[["Post", Running], object],
        ended: Callable[["Post"], object],
    ) -> None:
        self.number = number
        self.process: Process | None = None
        self.since = 0.0
        self.restarts = 0
        self.there = asyncio.Event()
        self.is_early = False
        self.tried = asyncio.Event()
        self._report = report
        self._clock = clock
        self._begin = begin
        self._hear = hear
        self._question = question
        self._answered = answered
        self._born = born
        self._began = began
        self._ended = ended
        self._told = ""
        self._is_ending = False
        self._backoff = Backoff(1.0)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether a process runs what it was told to."""
        return self.there.is_set()

    @property
    def is_ending(self) -> bool:
        """Whether nobody follows any more."""
        return self._is_ending

    @property
    def pid(self) -> int:
        """The number of the process in the system; 0 while there is none."""
        return self.process.number if self.process is not None else 0

    def fill(self) -> None:
        """Have a process here from now on."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"worker {self.number}")

    def asking(self, order: object) -> "asyncio.Future[Any] | None":
        """The answer to come; None where nobody is there who could give it."""
        return self.process.channel.asking(order) if self.process is not None else None

    async def ask(self, order: object) -> Any:
        """What the worker answers. Raises FlowrunnerError; Gone where there is none, or no longer."""
        answer = self.asking(order)
        if answer is None:
            raise Gone(f"worker {self.number} is not there")
        return await answer

    def kill(self) -> None:
        """End the process at once, and have no other one."""
        self._is_ending = True
        if self.process is not None:
            self.process.kill()

    async def close(self) -> None:
        """End the process in good order, or after a while in any."""
        self._is_ending = True
        process = self.process
        if process is not None:
            try:
                async with asyncio.timeout(FAREWELL):
                    self._answered(self.number, await process.channel.ask(End()))
                    await process.channel.close()
                    if self._task is not None:
                        await asyncio.shield(self._task)
            except TimeoutError:
                self._say_killed(f"did not finish within {FAREWELL:.0f} s")
                process.kill()
            except FlowrunnerError:
                process.kill()
        if self._task is not None:
            if process is None:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while not self._is_ending:
            began = monotonic()
            try:
                words = await self._live()
            except OSError as error:
                words = f"cannot start: {error.strerror or error}"
            has_begun = self.is_there
            self._forget()
            if self.is_ending:
                if words.startswith("did not answer"):
                    self._say_killed(words)
                return
            self.is_early = monotonic() - began < EARLY and (self.restarts > 0 or not has_begun)
            self._ended(self)
            self.tried.set()
            if not self.is_early:
                self._backoff.reset()
                self._told = ""
            wait = self._backoff.wait() if self.is_early else 0.0
            self._say(words, wait)
            await asyncio.sleep(wait)
            self.restarts += 1

    async def _live(self) -> str:
        """Have a process until it ends; returns why it did."""
        number = self.number
        process = await start(
            number,
            lambda news: self._hear(number, news),
            lambda: self._question(number),
            lambda answer: self._answered(number, answer),
        )
        if self._is_ending:
            process.kill()
        beginning = asyncio.ensure_future(self._see_begin(process))
        self.process, self.since = process, self._clock.now()
        self._born(self)
        try:
            return await process.watch()
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)

    async def _see_begin(self, process: Process) -> None:
        try:
            async with asyncio.timeout(BEGINNING):
                running = await process.channel.ask(self._begin(self.number))
        except Gone:
            return
        except TimeoutError:
            process.kill(f"cannot start: it took longer than {BEGINNING:.0f} s")
            return
        except FlowrunnerError as error:
            process.kill(f"cannot start: {error}")
            return
        process.beat()
        self.there.set()
        self._began(self, running)
        self.tried.set()

    def _forget(self) -> None:
        self.process = None
        self.there.clear()

    def _say_killed(self, words: str) -> None:
        self._report.say(
            "worker-killed", f"worker {self.number} {words}: it is killed", level="warning", worker=self.number
        )

    def _say(self, words: str, wait: float) -> None:
        text = f"worker {self.number} {words}: "
        text += "started again" if wait < 1 else f"trying again in {wait:.0f} s"
        if words != self._told or not words.startswith("cannot start"):
            self._told = words
            level = "error" if words.startswith("cannot start") else "warning"
            self._report.say("worker-ended", text, level=level, worker=self.number, reason=words)
