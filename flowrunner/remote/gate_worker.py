"""Turns messages that pass once into marks in Redis, which say who works on them until they are finished."""

from collections.abc import Callable, Sequence
from typing import Any

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.lines import Promise, Turn, given_up
from flowrunner.remote.gate_scripts import SETTLE
from flowrunner.remote.place import Limits
from flowrunner.remote.script import LIFE, Script
from flowrunner.remote.worker import PASSES, RemoteWorker, Result
from flowrunner.waiting import UNCHANGED

#: Seconds between two looks at messages of which another process knows more.
LOOK_AGAIN = 0.05

#: What the script answers where a message does not pass. If it is not known yet, that is another number.
_STOPS = 0


class Settling:
    """The acknowledgement of a message that passed: it is due when Redis knows that all is done."""

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


class GateWorker(RemoteWorker):
    """Lets messages pass once in all processes.

    What passes at QoS 1 or 2 is marked with its owner until it is finished. Where the owner dies before, the broker
    sends the message again, to whomever; then it passes again. So a message that comes while another process works on
    one like it is set aside, unacknowledged, until that one has finished or is dead: it may be the very same one.
    """

    def __init__(self, host: Host, script: Script, path: str, limits: Limits, *statics: str) -> None:
        super().__init__(host, script, path, limits, *statics)
        self.aside: list[Turn] = []
        self.unsettled = 0
        self.settled: list[tuple[bytes, str, Promise]] = []
        self.number = 0
        self.timer: Timer | None = None
        self.beat: Timer | None = None

    async def ask(self, turns: Sequence[Turn]) -> Sequence[Result | None]:
        """See `RemoteWorker`."""
        owners = [self.owner(turn) for turn in turns]
        arguments = [text for turn, owner in zip(turns, owners, strict=True) for text in (*turn.job, owner)]
        answer = await self.call(self.script, arguments)
        found = zip(answer.results, turns, owners, strict=True)
        return [self.decide(verdict, turn, owner) for verdict, turn, owner in found]

    def owner(self, turn: Turn) -> str:
        """With what a message is marked; empty for one that the broker sends only once."""
        if turn.promise is None:
            return ""
        self.number += 1
        return f"{self.remote.token}:{id(self)}:{self.number}"

    def decide(self, verdict: int, turn: Turn, owner: str) -> Result | None:
        """What a verdict means for a message."""
        if verdict == _STOPS:
            return ()
        if verdict != PASSES:
            return None
        if turn.promise is not None and not turn.is_over:
            key, promise = turn.job[0], turn.promise
            self.unsettled += 1
            self.waits.enter()
            turn.promise = Settling(lambda: self.settle(key, owner, promise))
            self.stay_alive()
        return UNCHANGED

    def finish(self, turns: Sequence[Turn], outcomes: Sequence[Result | None]) -> None:
        """See `WaitingWorker`; what nobody knows yet is set aside, and the line goes on."""
        known = [(turn, outcome) for turn, outcome in zip(turns, outcomes, strict=True) if outcome is not None]
        self.aside += [turn for turn, outcome in zip(turns, outcomes, strict=True) if outcome is None]
        self.look_again_later()
        try:
            super().finish([turn for turn, _ in known], [outcome for _, outcome in known])
        finally:
            if self.turns is turns:
                self.turns, done = (), self.done
                done()

    def look_again_later(self) -> None:
        """Ask again about what is set aside."""
        if self.aside and self.timer is None:
            self.timer = self.clock.call_at(self.clock.time() + LOOK_AGAIN, self.look_again)

    def look_again(self) -> None:
        """Ask about what is set aside, all at once."""
        self.timer = None
        turns, self.aside = self.aside, []
        if turns:
            self.host.run(self.ask(turns), lambda result: self.take_in(turns, result))

    def take_in(self, turns: Sequence[Turn], result: Any) -> None:
        """End those of which something is known now."""
        if isinstance(result, BaseException):
            result = [result if isinstance(result, Exception) else given_up()] * len(turns)
        self.finish(turns, result)

    def settle(self, key: bytes, owner: str, promise: Promise) -> None:
        """A message is finished: have Redis know, then acknowledge it."""
        if not self.settled:
            self.host.run(self.tell(), lambda _: None)
        self.settled.append((key, owner, promise))

    async def tell(self) -> None:
        """Tell Redis what is finished."""
        settled, self.settled = self.settled, []
        try:
            await self.call_settle([text for key, owner, _ in settled for text in (key, owner)])
        finally:
            self.unsettled -= len(settled)
            for _ in settled:
                self.waits.leave()
        for _, _, promise in settled:
            promise.release()

    async def call_settle(self, arguments: Sequence[str | bytes]) -> None:
        """Say that this process is alive, and what it has finished."""
        await self.remote.call(SETTLE, self.path, self.limits, arguments)

    def stay_alive(self) -> None:
        """Say so now and then, as long as something is not finished."""
        if self.beat is None:
            self.beat = self.clock.call_at(self.clock.time() + LIFE / 4000, self.say_alive)

    def say_alive(self) -> None:
        """Say that this process is alive."""
        self.beat = None
        if self.unsettled and not self.waits.is_given_up:
            self.host.run(self.call_settle(()), lambda _: None)
            self.stay_alive()

    def give_up(self) -> None:
        """See `WaitingWorker`."""
        super().give_up()
        aside, self.aside = self.aside, []
        for turn in aside:
            self.refuse(turn, given_up())
