"""Turns messages that pass once into marks in Redis, which say who works on them until they are finished."""

from collections.abc import Sequence
from typing import Any

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.lines import Turn, given_up
from flowrunner.remote.gate_scripts import SETTLE
from flowrunner.remote.owning_worker import OwningWorker
from flowrunner.remote.place import Limits
from flowrunner.remote.script import Script
from flowrunner.remote.worker import PASSES, Result
from flowrunner.waiting import UNCHANGED

#: Seconds between two looks at messages of which another process knows more.
LOOK_AGAIN = 0.05

#: What the script answers where a message does not pass. If it is not known yet, that is another number.
_STOPS = 0


class GateWorker(OwningWorker):
    """Lets messages pass once in all processes.

    What passes at QoS 1 or 2 is marked with its owner until it is finished. Where the owner dies before, the broker
    sends the message again, to whomever; then it passes again. So a message that comes while another process works on
    one like it is set aside, unacknowledged, until that one has finished or is dead: it may be the very same one.
    """

    settle_script = SETTLE

    def __init__(self, host: Host, script: Script, path: str, limits: Limits, *statics: str) -> None:
        super().__init__(host, script, path, limits, *statics)
        self.aside: list[Turn] = []
        self.number = 0
        self.timer: Timer | None = None

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
            turn.promise = self.own((turn.job[0], owner), turn.promise)
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
        """Ask about what is set aside, as much at once as of a line; the rest has its turn after that."""
        self.timer = None
        turns, self.aside = self.aside[: self.batch], self.aside[self.batch :]
        if turns:
            self.host.run(self.ask(turns), lambda result: self.take_in(turns, result))

    def take_in(self, turns: Sequence[Turn], result: Any) -> None:
        """End those of which something is known now."""
        if isinstance(result, BaseException):
            result = [result if isinstance(result, Exception) else given_up()] * len(turns)
        self.finish(turns, result)

    def give_up(self) -> None:
        """See `WaitingWorker`."""
        super().give_up()
        aside, self.aside = self.aside, []
        for turn in aside:
            self.refuse(turn, given_up())
