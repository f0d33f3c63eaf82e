"""Turns messages that Redis holds into ones that go on when their time has come, in whichever process asks first."""

import secrets
from collections.abc import Sequence
from math import floor
from typing import Any

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.errors import StepError
from flowrunner.lines import Turn
from flowrunner.memory import Held, Resume
from flowrunner.remote.lease_scripts import RETURN
from flowrunner.remote.owning_worker import OwningWorker
from flowrunner.remote.packing import unpack, unpack_held
from flowrunner.remote.place import Answer, Limits
from flowrunner.remote.script import Script
from flowrunner.remote.worker import PASSES, Result
from flowrunner.waiting import UNCHANGED, Outcome

#: Seconds between two looks for what others left behind.
LOOK = 1.0

#: The number of a lease, the message, and the payloads of its window.
Lease = Sequence[bytes]


class HoldingWorker(OwningWorker):
    """Has Redis hold messages, and lets those go on whose time has come: whichever process asks first gets each.

    `emit` is how such a message goes on. What is let go is lent to this worker: Redis keeps it until the worker says
    that all is done with it, and lends it to another one if this one is dead.
    """

    emit: Resume  # put in place when the flow is bound
    settle_script = RETURN

    def __init__(
        self,
        host: Host,
        scripts: tuple[Script, Script],
        path: str,
        limits: Limits,
        *statics: str,
        nobody: Held | None = None,
    ) -> None:
        self.own_token = secrets.token_hex(6)  # not that of the process: another version of the flow is another owner
        super().__init__(host, scripts[0], path, limits, *statics, self.own_token)
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

    async def call_settle(self, arguments: Sequence[str | bytes]) -> None:
        """See `OwningWorker`."""
        await super().call_settle([self.own_token, *arguments])

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
        if isinstance(result, Exception):
            self.complain(result)
        elif not isinstance(result, BaseException):
            self.complaint = ""
            for lease in result.results:
                self.let_go(lease)

    def let_go(self, lease: Lease) -> None:
        """Let a message go on that was lent to this worker, and return it when all is done."""
        number, *content = lease
        lent = self.own((number,), None)
        try:
            held = self.held_in(content)
            self.waits.promises.keep(lent, lambda: self.emit(held))
        except (StepError, ValueError, LookupError, TypeError) as error:
            self.complain(error)
        finally:
            lent.release()

    def held_in(self, content: Lease) -> Held:
        """A message that was held; behind it may stand the payloads of its window."""
        written, *payloads = content
        held = unpack_held(written) if written != b"null" else self.nobody
        return {**held, "payload": [unpack(payload) for payload in payloads]} if payloads else held


class LatestWorker(HoldingWorker):
    """Lets a message pass, or has it held."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return UNCHANGED if result == PASSES else ()


class WindowWorker(HoldingWorker):
    """Has Redis collect messages; a window that is full, or was over before this message came, goes on at once.

    That message is done with when Redis has it: its window is lent, and does not depend on it any more.
    """

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return [{_LEASE: lease} for lease in result]

    def go_on(self, held: Held, outcome: Outcome) -> None:  # noqa: ARG002
        """See `WaitingWorker`."""
        for found in outcome:
            self.let_go(found[_LEASE])


class TimeoutWorker(HoldingWorker):
    """Tells Redis that a message came, and lets it pass."""

    def read(self, result: Any, turn: Turn) -> Result | None:  # noqa: ARG002
        """See `RemoteWorker`."""
        return UNCHANGED


_LEASE = "_lease"


def _end(_: Held, /) -> None:
    """Nothing follows."""
