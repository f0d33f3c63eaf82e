"""Gives a flow that is tried with one message what it asks of its host, and notes what would have been done."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from flowrunner.clock import VirtualClock
from flowrunner.code import Closing, Host, Publish
from flowrunner.compile import Program
from flowrunner.compile.function import name_steps
from flowrunner.diagnostics import Diagnostic
from flowrunner.lines import Turn, Waits
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.outside.files import Files
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.work import Work
from flowrunner.step import walk
from flowrunner.stores import Store, Stores
from flowrunner.waiting import WaitingStep, WaitingWorker

Kind = Literal["published", "logged", "failed", "handled", "tried", "stopped", "foretold", "queue"]

State = TypeVar("State")
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


class RehearsalHost:
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
        self.flow = flow
        self.arrived = arrived
        self.clock = clock
        self.now = clock.now
        self.note = note
        self.explain = explain
        self.is_live = is_live
        self.stores = Stores(clock)
        self.starts: list[Callable[[], object]] = []
        self.waits: list[Waits] = []
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

    def publisher(self, connection: str) -> Publish:
        """See `Host`."""

        def publish(
            topic: str,
            payload: bytes,
            qos: int = 0,
            retain: bool = False,  # noqa: FBT001, FBT002
            properties: Properties = NO_PROPERTIES,
            /,
        ) -> None:
            self.note("published", message=Message(topic, payload, qos, retain, properties), connection=connection)

        return publish

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

    def keep(self, name: str, shape: Hashable, make: Callable[[], State]) -> State:  # noqa: ARG002
        """See `Host`: the memory is empty."""
        return make()

    def store(self, name: str, *, is_shared: bool, is_kept: bool, max_keys: int | None) -> Store:  # noqa: ARG002
        """See `Host`: nothing is on a disk."""
        store = self.stores.open("" if is_shared else self.flow.name, name)
        store.claim(self, max_keys)
        return store

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:  # noqa: ARG002
        """See `Host`."""
        self.starts.append(start)

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """See `Host`; files are foretold."""
        if name == "files" and not self.is_live:
            make = cast("Callable[[], Resource]", lambda: NoFiles(self.note))
        return self.work.share(name, make)

    def waiting(self, waits: Waits) -> None:
        """See `Host`."""
        self.waits.append(waits)

    def queue_dropped(self, flow: str, place: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.note("queue", place=place)

    def queue_drained(self, flow: str, place: str) -> None:
        """See `Host`."""

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
