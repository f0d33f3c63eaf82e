"""Turns a step that waits for the world outside into one that keeps the order of messages and stalls nobody."""

import ast
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from flowrunner.code import Block, Host, Running, Segment
from flowrunner.lines import Line, Turn, Worker, given_up
from flowrunner.memory import Held, Resume
from flowrunner.records import dataclass
from flowrunner.step import Step

#: What the work for a message comes to: for each message that goes on, the names that change. None: it ends here.
Outcome = Sequence[Mapping[str, Any]]

#: The message goes on as it is.
UNCHANGED: Outcome = ({},)


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a step would do in the world outside, in words, and what would come of it; None if only the world knows."""

    text: str
    outcome: Outcome | None = None


class Fail(Protocol):
    """What becomes of a message on which the work failed."""

    def __call__(self, held: Held, error: Exception, /) -> None:
        """Do what `on_error` says; raises nothing."""


class WaitingWorker(Worker):
    """Does the work of a waiting step for one version of its flow.

    A step overrides `work` (one message), or `work_all` and `batch` (several in a row at once). Both are coroutines of
    the loop in which the flow runs: what blocks belongs into a thread.
    """

    resume: Resume  # these two are put in place when the flow is bound
    fail: Fail

    def __init__(self, host: Host) -> None:
        self.host = host
        self.resume = _end
        self.running: Running | None = None
        self.turns: Sequence[Turn] = ()
        self.done: Callable[[], object] = _nothing

    async def work(self, job: Any) -> Outcome:
        """Do what there is to do for a message; `job` is what the step has computed from it. May raise anything."""
        raise NotImplementedError

    async def work_all(self, jobs: Sequence[Any]) -> Sequence[Outcome | Exception]:
        """Do it for several messages: what it came to for each, in their order. What it raises is meant for all."""
        return [await self.work(job) for job in jobs]

    def take(self, job: Any, held: Held) -> None:
        """Get a message and the work for it."""
        self.line.put(Turn(self, held, job, is_passing=job is PASS))

    def stumble(self, error: Exception, held: Held) -> None:
        """Get a message on which the step has failed already: it fails when it is its turn."""
        self.line.put(Turn(self, held, error=error))

    def begin(self, turns: Sequence[Turn], done: Callable[[], object]) -> None:
        """See `Worker`."""
        self.turns, self.done = turns, done
        first = turns[0]
        if first.error is not None:
            self.finish(turns, [first.error])
        elif first.is_passing:
            self.finish(turns, [UNCHANGED])
        else:
            self.start(turns)

    def start(self, turns: Sequence[Turn]) -> None:
        """Begin with the work for these turns."""
        work = self.work_all([turn.job for turn in turns])
        self.running = self.host.run(work, lambda result: self.conclude(turns, result))

    def conclude(self, turns: Sequence[Turn], result: Sequence[Outcome | Exception] | BaseException) -> None:
        """The work for these turns is over."""
        if self.turns is not turns:  # they were given up meanwhile
            return
        self.running = None
        if isinstance(result, Exception):
            result = [result] * len(turns)
        elif isinstance(result, BaseException):  # it was cancelled, which only `give_up` does
            result = [given_up()] * len(turns)
        self.finish(turns, result)

    def finish(self, turns: Sequence[Turn], outcomes: Sequence[Outcome | Exception]) -> None:
        """End turns with what came of them, one after the other."""
        traces = {id(outcome): outcome.__traceback__ for outcome in outcomes if isinstance(outcome, Exception)}
        try:
            for turn, outcome in zip(turns, outcomes, strict=True):
                if isinstance(outcome, Exception):  # it may be that of several, and each raises it once more
                    self.refuse(turn, outcome.with_traceback(traces[id(outcome)]))
                else:
                    self.end(turn, lambda turn=turn, outcome=outcome: self.go_on(turn.held, outcome))  # type: ignore[misc]
        finally:
            if self.turns is turns:
                self.turns, done = (), self.done
                done()

    def go_on(self, held: Held, outcome: Outcome) -> None:
        """Let what came of a message go on."""
        for changes in outcome:
            self.resume({**held, **changes} if changes else held)

    def refuse(self, turn: Turn, error: Exception) -> None:
        """See `Worker`."""
        self.end(turn, lambda: self.fail(turn.held, error))

    def give_up(self) -> None:
        """See `Worker`."""
        if self.running is not None:
            self.running.cancel()
            self.running = None
        if self.turns:
            self.finish(self.turns, [given_up()] * len(self.turns))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStep(Step):
    """A step that waits. Messages wait for it in a line, each with what `emit` has computed from it.

    `emit` writes `_job = ...`; where that fails, the message fails in its turn, so that nobody overtakes it.
    """

    #: Whether it does something in the world outside that cannot be undone or repeated at will.
    IS_OUTSIDE: ClassVar[bool] = True

    def foretell(self, job: Any) -> Foretold:  # noqa: ARG002
        """What the worker would do for a message, for those who try a flow and touch nothing."""
        return Foretold(f"the work of `{self.KEY}`")

    def is_cut(self) -> bool:
        """See `Step`: what follows runs later."""
        return True

    @property
    def is_holding(self) -> bool:
        """Whether messages go on later, by the `emit` of the worker: then all that is known of them is kept."""
        return False

    def emitted(self, to: Block, then: Segment) -> Segment:  # noqa: ARG002
        """Where a message goes on that was held."""
        return then

    def tried(self) -> Sequence[Step]:
        """The steps that the worker runs on a message, as often as it needs to."""
        return ()

    @abstractmethod
    def worker(self, host: Host) -> WaitingWorker:
        """The object that does the work for this version of the flow."""

    def worker_name(self, to: Block) -> str:
        """The name of this step's worker in compiled code."""
        place = to.writer.name_of(self)

        def make(host: Host, line: Line) -> WaitingWorker:
            worker = self.worker(host)
            worker.line, worker.place = line, place
            return worker

        return to.kept(self, "line", lambda _: Line(), make)

    def job(self, to: Block, job: ast.expr) -> None:
        """Write that this is the work for the message."""
        to.run("_job = JOB", JOB=job)


class _Pass:
    """Stands for no work: the message goes on when it is its turn."""


PASS = _Pass()


def _end(_: Held, /) -> None:
    """Nothing follows."""


def _nothing() -> None:
    """Do nothing."""
