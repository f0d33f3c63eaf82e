"""Turns the work on a message into a mark in Redis, which stays until all is done or the worker is dead."""

from collections.abc import Callable, Sequence

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.errors import StepError
from flowrunner.lines import Promise
from flowrunner.remote.place import Limits
from flowrunner.remote.script import LIFE, Script
from flowrunner.remote.worker import RemoteWorker

#: What tells Redis that something is done: the key and the mark, or the number of a lease.
Done = tuple[str | bytes, ...]


class Settling:
    """The acknowledgement of a message that is worked on: it is due when Redis knows that all is done."""

    __slots__ = ("_count", "_settle")

    def __init__(self, settle: Callable[[], object]) -> None:
        self._count = 1
        self._settle = settle

    def hold(self) -> None:
        """See `flowrunner.lines.Promise`."""
        self._count += 1

    def release(self) -> None:
        """See `flowrunner.lines.Promise`."""
        self._count -= 1
        if self._count == 0:
            self._settle()


class OwningWorker(RemoteWorker):
    """Has Redis know what it works on, and that it is alive; `settle_script` says both.

    What is done is told in the pipeline of the next messages, if there are any, and only then acknowledged.
    """

    settle_script: Script

    def __init__(self, host: Host, script: Script, path: str, limits: Limits, *statics: str) -> None:
        super().__init__(host, script, path, limits, *statics)
        self.unsettled = 0
        self.settled: list[tuple[Done, Promise | None]] = []
        self.beat: Timer | None = None
        self.is_beating = False

    def own(self, done: Done, promise: Promise | None) -> Settling:
        """Begin to work on something; the promise is released when Redis has heard that it is done."""
        self.unsettled += 1
        self.waits.enter()
        self.stay_alive()
        return Settling(lambda: self.settle(done, promise))

    def settle(self, done: Done, promise: Promise | None) -> None:
        """Something is done: have Redis know, then acknowledge it."""
        if not self.settled:
            self.host.run(self.tell(), lambda _: None)
        self.settled.append((done, promise))

    async def tell(self) -> None:
        """Tell Redis what is done. Where it cannot take that in, it is done all the same."""
        settled, self.settled = self.settled, []
        try:
            await self.call_settle([text for done, _ in settled for text in done])
        except StepError as error:
            self.complain(error)
        finally:
            self.unsettled -= len(settled)
            for _ in settled:
                self.waits.leave()
        for _, promise in settled:
            if promise is not None:
                promise.release()

    async def call_settle(self, arguments: Sequence[str | bytes]) -> None:
        """Say that this worker is alive, and what it has done."""
        await self.remote.call(self.settle_script, self.path, self.limits, arguments)

    def stay_alive(self) -> None:
        """Say so now and then, as long as something is not done."""
        if self.beat is None:
            self.beat = self.clock.call_at(self.clock.time() + LIFE / 4000, self.say_alive)

    def say_alive(self) -> None:
        """Say that this worker is alive, unless it is still saying so."""
        self.beat = None
        if self.unsettled and not self.waits.is_given_up:
            if not self.is_beating:
                self.is_beating = True
                self.host.run(self.call_settle(()), self.said_alive)
            self.stay_alive()

    def said_alive(self, _: object) -> None:
        """Redis has heard it, or never will."""
        self.is_beating = False
