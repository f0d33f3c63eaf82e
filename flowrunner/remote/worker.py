"""Turns the messages of a step into calls of a script, and its answers into what becomes of each message."""

from collections.abc import Callable, Sequence
from math import floor
from typing import Any

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.lines import Promise, Turn, given_up
from flowrunner.memory import Held, Resume
from flowrunner.remote.packing import unpack, unpack_held
from flowrunner.remote.place import Answer, Limits, Remote, nowhere
from flowrunner.remote.scripts import LIFE, SETTLE, Script
from flowrunner.waiting import UNCHANGED, Outcome, WaitingWorker

#: Messages that one call asks about: Redis does nothing else meanwhile.
MOST_AT_ONCE = 256

#: Seconds between two looks for what others left behind, and at messages of which another process knows more.
LOOK = 1.0
LOOK_AGAIN = 0.05

#: What the gates answer: it passes not; it passes; nobody knows yet.
_STOPS, _PASSES = 0, 1

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
        return UNCHANGED if result == _PASSES else ()


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
        if verdict != _PASSES:
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


class HoldingWorker(RemoteWorker):
    """Has Redis hold messages, and lets those go on whose time has come: whichever process asks first gets each.

    `emit` is how such a message goes on.
    """

    emit: Resume  # put in place when the flow is bound

    def __init__(
        self,
        host: Host,
        scripts: tuple[Script, Script],
        path: str,
        limits: Limits,
        *statics: str,
        nobody: Held | None = None,
    ) -> None:
        super().__init__(host, scripts[0], path, limits, *statics)
        self.ring_script = scripts[1]
        self.nobody: Held = nobody or {}
        self.emit = _end
        self.timer: Timer | None = None
        self.timer_at = 0.0
        self.is_on = False
        self.is_ringing = False

    def turn_on(self) -> None:
        """See `RemoteWorker`: look at once for what is due."""
        self.is_on = True
        self.ring()

    def turn_off(self) -> None:
        """See `RemoteWorker`."""
        self.is_on = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def call(self, script: Script, arguments: Sequence[str | bytes]) -> Answer:
        """See `RemoteWorker`; the timer learns of what is due next."""
        answer = await super().call(script, arguments)
        if answer.wait is not None:
            self.arm(answer.wait)
        return answer

    def arm(self, seconds: float) -> None:
        """Look again in so many seconds, or before."""
        when = self.clock.time() + seconds
        if not self.is_on or (self.timer is not None and self.timer_at <= when):
            return
        if self.timer is not None:
            self.timer.cancel()
        self.timer_at = when
        self.timer = self.clock.call_at(when, self.ring)

    def ring(self) -> None:
        """Ask for what is due. All steps look at the same moments, so that this is one round trip for all."""
        self.timer = None
        if self.is_on and not self.is_ringing:
            self.is_ringing = True
            self.host.run(self.call(self.ring_script, ()), self.rung)

    def rung(self, result: Answer | BaseException) -> None:
        """Let go on what was due."""
        self.is_ringing = False
        now = self.clock.time()
        self.arm(floor(now / LOOK + 1) * LOOK - now)
        if not isinstance(result, BaseException):
            for released in result.results:
                self.emit(self.held_in(released))

    def held_in(self, released: Sequence[bytes]) -> Held:
        """A message that was held; behind it may stand the payloads of its window."""
        written, *payloads = released
        held = unpack_held(written) if written != b"null" else self.nobody
        return {**held, "payload": [unpack(payload) for payload in payloads]} if payloads else held


class LatestWorker(HoldingWorker):
    """Lets a message pass, or has it held."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return UNCHANGED if result == _PASSES else ()


class WindowWorker(HoldingWorker):
    """Has Redis collect messages; a window that is full, or was over before this message came, goes on at once."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return [self.held_in(released) for released in result]


class TimeoutWorker(HoldingWorker):
    """Tells Redis that a message came, and lets it pass."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return UNCHANGED


def _end(_: Held, /) -> None:
    """Nothing follows."""


async def _nothing() -> None:
    """Do nothing."""
