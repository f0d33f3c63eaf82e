"""Gives a flow that is tried with one message what it asks of its host, and notes what would have been done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from flowrunner.clock import VirtualClock
from flowrunner.code import Closing, Host
from flowrunner.compile import Program
from flowrunner.compile.function import name_steps
from flowrunner.diagnostics import Diagnostic
from flowrunner.lines import Turn
from flowrunner.message import Message
from flowrunner.outside.files import Files
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.aside import Aside
from flowrunner.run.work import Work
from flowrunner.step import walk
from flowrunner.waiting import WaitingStep, WaitingWorker

Kind = Literal["published", "logged", "failed", "handled", "tried", "stopped", "foretold", "queue"]

Resource = TypeVar("Resource", bound=Closing)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened, `at` so many seconds after the message arrived.

    `about` holds, by kind: `published` the `message` and the `connection`; `logged` the `level` and the `text`;
    `failed`, `handled` (by `on_error`) and `tried` (inside of `retry`) the `error` (a Diagnostic) and the `step`;
    `stopped` the `reason`; `foretold` the `step`, the `text` of what is not done, and whether it `goes_on`; `queue` the
    `place` where too many waited.
    """

    kind: Kind
    at: float
    about: Mapping[str, Any] = field(default_factory=dict)


class Tell(Protocol):
    """Hears what happened; see `Note`."""

    def __call__(self, kind: Kind, /, **about: Any) -> None:
        """Note it."""


class RehearsalHost(Aside):
    """The host of a flow that is tried; see `Host`. What waits runs in the loop in which it is used."""

    def __init__(
        self,
        flow: Flow,
        clock: VirtualClock,
        note: Tell,
        explain: Callable[[Exception, Message], tuple[Diagnostic, str]],
        *,
        arrived: Message,
        is_live: bool,
    ) -> None:
        super().__init__(flow, clock)
        self.clock = clock
        self.arrived = arrived
        self.note = note
        self.explain = explain
        self.is_live = is_live
        self.work = Work()
        self.run, self.settled = self.work.run, self.work.settled
        self.steps = {name_steps(flow)[id(step)]: step for step in walk([*flow.steps, *flow.on_error.steps])}

    def bound(self, program: Program) -> dict[str, Callable[[Host], object]]:
        """What the program asks of its host, with stand-ins for what touches the world outside."""
        return {**program.bound, **{name: self.stand_in(program.bound[name]) for name in program.waits.hooks}}

    def stand_in(self, make: Callable[[Host], object]) -> Callable[[Host], object]:
        """What makes a worker, or its stand-in."""

        def made(host: Host) -> WaitingWorker:
            worker = cast("WaitingWorker", make(host))
            step = self.steps[worker.place]
            assert isinstance(step, WaitingStep)
            if step.IS_OUTSIDE and not self.is_live:
                return Foreteller(host, worker, step, self.note)
            if step.tried():
                self.listen(worker)
            return worker

        return made

    def listen(self, worker: Any) -> None:
        """Note the failures that a step which tries others would keep to itself."""
        note = worker.note

        def hear(error: Exception) -> None:
            found, step = self.explain(error, self.arrived)
            self.note("tried", error=found, step=step)
            note(error)

        worker.note = hear

    async def close(self) -> None:
        """End everything."""
        for waits in self.waits:
            waits.close()
        await self.work.close()

    def sent(self, message: Message, connection: str) -> None:
        """See `Aside`."""
        self.note("published", message=message, connection=connection)

    def log(self, flow: str, level: str, text: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.note("logged", level=level, text=text)

    def failed(self, flow: str, error: Exception, origin: Message) -> None:  # noqa: ARG002
        """See `Host`."""
        found, step = self.explain(error, origin)
        self.note("failed", error=found, step=step)

    def handled(self, flow: str, error: Exception) -> None:  # noqa: ARG002
        """See `Host`."""
        found, step = self.explain(error, self.arrived)
        self.note("handled", error=found, step=step)

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """See `Host`; files are foretold."""
        if name == "files" and not self.is_live:
            make = cast("Callable[[], Resource]", lambda: NoFiles(self.note))
        return self.work.share(name, make)

    def queue_dropped(self, flow: str, place: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.note("queue", place=place)

    def stopped(self, flow: str, reason: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.note("stopped", reason=reason)


class Foreteller(WaitingWorker):
    """Stands for a worker that would touch the world outside, and says what it would do."""

    def __init__(self, host: Host, worker: WaitingWorker, step: WaitingStep, note: Tell) -> None:
        super().__init__(host)
        self.line, self.place = worker.line, worker.place
        self.step = step
        self.note = note

    def start(self, turns: Sequence[Turn]) -> None:
        """See `WaitingWorker`."""
        (turn,) = turns
        found = self.step.foretell(turn.job)
        self.note("foretold", step=self.place, text=found.text, goes_on=found.outcome is not None)
        self.finish(turns, [found.outcome or ()])


class NoFiles(Files):
    """Stands for the files that lines are appended to."""

    def __init__(self, note: Tell) -> None:
        super().__init__()
        self.note = note

    def append(self, path: Path, line: bytes, *_: Any, **__: Any) -> None:
        """Say what would be appended."""
        text = line.decode(errors="backslashreplace").rstrip("\n")
        self.note("foretold", step="", text=f"append to {path}: {text}", goes_on=True)

    def head_of(self, path: Path) -> bytes:
        """The first line of a file that is there already."""
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.readline()
