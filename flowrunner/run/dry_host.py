"""Gives a flow that is tried on the side what it asks of its host: what it does is noted, and done to nothing."""

from collections.abc import Callable, Coroutine, Hashable
from dataclasses import replace
from typing import Any, TypeVar

from flowrunner.clock import Timer, VirtualClock
from flowrunner.code import Closing, Running
from flowrunner.compile import Program
from flowrunner.errors import StepError
from flowrunner.lines import Line, Worker
from flowrunner.memory import Held
from flowrunner.message import Message
from flowrunner.records import dataclass
from flowrunner.run.aside import Aside
from flowrunner.waiting import PASS

Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)

#: Calls of timers that one run may come to, and effects that are noted.
MOST_CALLS = 2_000
MOST_EFFECTS = 2_000


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that would have come out: `→` a message, `·` a line of `log`, `✗` an error, `…` a step that waits.

    `rest` is what else makes it differ from another one: QoS, retain flag, properties, connection.
    """

    mark: str
    text: str
    payload: bytes | None = None
    rest: Hashable = ()


Effects = tuple[Effect, ...]


class DryClock:
    """A clock whose calls are counted: a flow that makes more than enough of them gets no more."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._left = MOST_CALLS
        self.now, self.time, self.advance = clock.now, clock.time, clock.advance

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call while time passes `when`."""
        self._left -= 1
        return self._clock.call_at(when, call if self._left > 0 else _nothing)


class DryHost(Aside):
    """The host of one flow that is tried."""

    def __init__(self, program: Program, clock: VirtualClock) -> None:
        self.program = program
        self.clock = DryClock(clock)
        super().__init__(program.flow, self.clock)
        self.effects: list[Effect] = []
        self.count = 0

    def without_waiting(self) -> Program:
        """The program with workers that do nothing outside instead of those that do."""
        idle = {name: self.idle_worker(name) for name in self.program.waits.hooks}
        return replace(self.program, bound={**self.program.bound, **idle})

    def idle_worker(self, name: str) -> Callable[[object], "Idle"]:
        """What makes the worker of a step that waits; `name` is its name in the compiled code, such as `_http_1`."""
        return lambda _: Idle(" ".join(name.split("_")[1:3]), self.note)

    def note(self, effect: Effect) -> None:
        """Take an effect, unless there are too many."""
        self.count += 1
        if self.count <= MOST_EFFECTS:
            self.effects.append(effect)

    def taken(self) -> Effects:
        """The effects since the last time."""
        effects, self.effects = tuple(self.effects), []
        return effects

    def sent(self, message: Message, connection: str) -> None:
        """See `Aside`."""
        rest = (message.qos, message.retain, repr(dict(message.properties)), connection)
        self.note(Effect("→", message.topic, message.payload, rest))

    def log(self, flow: str, level: str, text: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.note(Effect("·", text, rest=level))

    def failed(self, flow: str, error: Exception, origin: Message) -> None:  # noqa: ARG002
        """See `Host`."""
        found = self.program.explain(error, origin)
        self.note(Effect("✗", found.message, rest=found.code))

    def handled(self, flow: str, error: Exception) -> None:
        """See `Host`."""

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """See `Host`: nothing is done outside."""
        work.close()
        done(_refused())
        return _Nothing()

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:  # noqa: ARG002
        """See `Host`: there is nothing outside."""
        raise _refused()


class Idle(Worker):
    """Stands for a step that waits: what it would do is noted, and the message ends there.

    A step that tries others (`retry`) tries them once.
    """

    def __init__(self, name: str, note: Callable[[Effect], None]) -> None:
        self.line = Line()
        self.name = name
        self.resume: Callable[[Held], None] = _nothing
        self.fail: Callable[[Held, Exception], None] = _nothing
        self.attempt: Callable[[Held], None] | None = None
        self._note = note
        self._failures: list[Exception] = []

    def take(self, job: Any, held: Held) -> None:
        """Get a message."""
        if job is PASS:
            self.resume(held)
        elif self.attempt is None:
            self._note(Effect("…", f"`{self.name}` is not tried, nor what follows it"))
        else:
            self.attempt(held)
            failures, self._failures = self._failures, []
            if failures:
                self.fail(held, failures[0])

    def stumble(self, error: Exception, held: Held) -> None:
        """Get a message on which the step has failed already."""
        self.fail(held, error)

    def note(self, error: Exception) -> None:
        """One of the steps that are tried has failed."""
        self._failures.append(error)

    def succeed(self, held: Held) -> None:
        """A message has come out of them."""
        self.resume(held)


class _Nothing:
    def cancel(self) -> None:
        """Nothing is done."""


def _refused() -> StepError:
    return StepError("nothing outside is touched in a preview")


def _nothing(*_: Any) -> None:
    """Do nothing."""
