"""Turns messages that go on later into ones that Redis holds, for whichever process asks for them when they are due."""

from collections.abc import Sequence
from math import floor
from typing import Any

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.lines import Turn
from flowrunner.memory import Held, Resume
from flowrunner.remote.packing import unpack, unpack_held
from flowrunner.remote.place import Answer, Limits
from flowrunner.remote.script import Script
from flowrunner.remote.worker import PASSES, RemoteWorker, Result
from flowrunner.waiting import UNCHANGED

#: Seconds between two looks for what others left behind.
LOOK = 1.0


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
        return UNCHANGED if result == PASSES else ()


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
