"""Turns a step that remembers into the waiting step that asks Redis what to do with a message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Block, Host, Segment
from flowrunner.lines import Line, Turn
from flowrunner.remembering import HoldingStep
from flowrunner.remote.place import Place
from flowrunner.remote.worker import RemoteWorker
from flowrunner.step import Step
from flowrunner.waiting import WaitingStep


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStep(WaitingStep):
    """Stands for a step whose memory is in Redis, while a flow is compiled.

    Its messages wait in a line, as those of `http`; what comes in one turn of the loop is asked in one call.
    """

    KEY = "remote"
    IS_OUTSIDE = False

    step: Step
    place: Place

    @property
    def is_holding(self) -> bool:
        """Whether messages go on later, perhaps from another process."""
        return isinstance(self.step, HoldingStep) and self.step.is_cut()

    def worker(self, host: Host) -> RemoteWorker:
        """See `WaitingStep`."""
        worker: RemoteWorker = self.step.remote_worker(host, self.place)
        return worker

    def worker_name(self, to: Block) -> str:
        """See `WaitingStep`."""
        name, flow = to.writer.name_of(self.step), to.writer.flow_name

        def make(host: Host) -> RemoteWorker:
            worker = self.worker(host)
            worker.line = host.keep(name, "remote line", TurnLine)
            worker.place, worker.flow = name, flow
            host.on_turn(lambda: worker.line.begin_with(worker), worker.turn_off)  # type: ignore[attr-defined]
            return worker

        return to.writer.bind(f"{self.step.KEY}_{to.writer.place_of(self.step)}", make)

    def emit(self, to: Block) -> None:
        """See `Step`."""
        self.job(to, self.step.remote_job(to))

    def emitted(self, to: Block, then: Segment) -> Segment:
        """Where a message goes on that was held."""
        found: Segment = self.step.remote_emitted(to, then)
        return found


class TurnLine(Line):
    """A line that moves on when its turn of the loop is over: what comes together is asked together."""

    is_called = False
    owner: RemoteWorker | None = None

    @property
    def remembered(self) -> dict[str, Any]:
        """How much its step remembers, as of the last look; see `flowrunner.run.states`."""
        return self.owner.seen if self.owner is not None else {}

    def begin_with(self, worker: RemoteWorker) -> None:
        """Have the worker of another version take over."""
        self.owner = worker
        worker.turn_on()

    def advance(self) -> None:
        """Begin with the next turns, once nothing more comes in this turn of the loop."""
        if self.is_called or self.working or not self.waiting:
            return
        worker = self.waiting[0].worker
        if not isinstance(worker, RemoteWorker) or worker.waits.is_given_up:
            super().advance()
            return
        self.is_called = True
        worker.soon(self.move)

    def move(self) -> None:
        """Begin with the next turns."""
        self.is_called = False
        super().advance()

    def done(self, turns: Sequence[Turn]) -> None:
        """See `Line`: what waited meanwhile goes at once."""
        if self.working is turns:
            self.working = ()
            super().advance()
