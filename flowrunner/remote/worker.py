"""Turns the messages of a step into calls of a script, and its answers into what becomes of each message."""

from collections.abc import Callable, Sequence
from typing import Any

from flowrunner.code import Host
from flowrunner.errors import StepError
from flowrunner.lines import Turn
from flowrunner.remote.place import Answer, Limits, Remote, nowhere
from flowrunner.remote.script import Script
from flowrunner.waiting import UNCHANGED, Outcome, WaitingWorker

#: Messages that one call asks about: Redis does nothing else meanwhile.
MOST_AT_ONCE = 256

#: What gates answer where a message passes.
PASSES = 1

Result = Outcome | Exception


class RemoteWorker(WaitingWorker):
    """Asks Redis about the messages of one step, for one version of its flow, `flow`.

    The job of a message is what the script gets of it, in texts.
    """

    batch = MOST_AT_ONCE
    flow = ""

    def __init__(self, host: Host, script: Script, path: str, limits: Limits, *statics: str) -> None:
        super().__init__(host)
        self.remote: Remote = host.share("state", nowhere)
        self.script = script
        self.path = path
        self.limits = limits
        self.statics = statics
        self.evicted = 0
        self.keys = 0
        self.complaint = ""
        self.seen: dict[str, Any] = {}  # what a look showed last
        self.clock = host.clock

    def turn_on(self) -> None:
        """Take over from the version before."""

    def turn_off(self) -> None:
        """Hand over, or end."""

    def soon(self, call: Callable[[], object]) -> None:
        """Make a call when this turn of the loop is over."""
        self.host.run(_nothing(), lambda _: call())

    def start(self, turns: Sequence[Turn]) -> None:
        """See `WaitingWorker`."""
        self.running = self.host.run(self.ask(turns), lambda result: self.conclude(turns, result))  # type: ignore[arg-type]

    async def ask(self, turns: Sequence[Turn]) -> Sequence[Result | None]:
        """What becomes of these messages; None: nobody knows yet."""
        answer = await self.call(self.script, [text for turn in turns for text in turn.job])
        return [self.read(result, turn) for result, turn in zip(answer.results, turns, strict=True)]

    def read(self, result: Any, turn: Turn) -> Result | None:
        """What an answer means for a message."""
        raise NotImplementedError

    def complain(self, error: Exception) -> None:
        """Say once what is wrong where there is no message that could fail of it."""
        text = error.message if isinstance(error, StepError) else f"what Redis holds cannot be read ({error})"
        if text != self.complaint:
            self.complaint = text
            self.host.log(self.flow, "error", f"`{self.place}`: {text}")

    async def call(self, script: Script, arguments: Sequence[str | bytes]) -> Answer:
        """Have a script called, and note what it says of the memory."""
        answer = await self.remote.call(script, self.path, self.limits, [*self.statics, *arguments])
        self.keys = answer.keys
        if answer.evicted and not self.evicted:
            help = "raise `max_keys`, or give a `ttl`"
            most = f"`{self.place}` remembers {self.limits.max_keys} keys"
            self.host.log(self.flow, "warning", f"{most}: from now on the oldest are forgotten ({help})")
        self.evicted += answer.evicted
        return answer


class ThrottleWorker(RemoteWorker):
    """Lets messages pass, or not."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return UNCHANGED if result == PASSES else ()


async def _nothing() -> None:
    """Do nothing."""
