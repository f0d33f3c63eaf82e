"""Gives one flow what it asks of whoever runs it."""

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

from flowrunner.clock import Clock, Timer
from flowrunner.code import Closing, Publish, Running
from flowrunner.lines import NoPromises, Promises, Waits
from flowrunner.message import Message
from flowrunner.run.failures import Failures
from flowrunner.run.live import LiveFlow
from flowrunner.run.state_file import KeptStores
from flowrunner.run.traffic import Traffic
from flowrunner.run.work import Work
from flowrunner.stores import Store

#: Reasons of `stop` that are told apart: a reason may hold `${}`.
MOST_REASONS = 1_000

State = TypeVar("State")
Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)


class FlowClock:
    """The clock of one flow: while a call of its own runs, what is published is shown as the flow's."""

    def __init__(self, flow: LiveFlow, clock: Clock, traffic: Traffic) -> None:
        self._name = flow.name
        self._clock = clock
        self._traffic = traffic
        self.now = clock.now
        self.time = clock.time

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call once `time` is `when` or later."""
        return self._clock.call_at(when, lambda: self._traffic.run_as(self._name, call))


class FlowHost:
    """The host of one flow. It notes in the flow which connections it uses, and what its steps keep."""

    def __init__(
        self,
        flow: LiveFlow,
        publisher: Callable[[str], Publish],
        *,
        clock: Clock,
        failures: Failures,
        traffic: Traffic,
        work: Work,
        stores: KeptStores,
        promises: Promises | None = None,
    ) -> None:
        self._flow = flow
        self._work = work
        self._stores = stores
        self._promises = promises or NoPromises()
        self._lost: dict[str, int] = {}  # by place, since the queue there was full
        self._publisher = publisher
        self._failures = failures
        self._traffic = traffic
        self.clock: Clock = FlowClock(flow, clock, traffic)

    def now(self) -> float:
        """Seconds since 1970."""
        return self.clock.now()

    def publisher(self, connection: str) -> Publish:
        """The function that publishes on a connection."""
        name = self._flow.way(connection)
        self._flow.connections.add(name)
        return self._publisher(name)

    def keep(self, name: str, shape: Hashable, make: Callable[[], State]) -> State:
        """The state of a step: what the version before left under this name, if the shape is equal; else a new one."""
        found = self._flow.inherited.get(name)
        state = cast("State", found[1]) if found is not None and found[0] == shape else make()
        self._flow.states[name] = (shape, state)
        return state

    def store(self, name: str, *, is_shared: bool, is_kept: bool, max_keys: int | None) -> Store:
        """The named values of a `state` step. Raises FlowrunnerError where they cannot be kept."""
        flow = "" if is_shared else self._flow.name
        store = self._stores.use(flow, name, user=self, is_kept=is_kept, max_keys=max_keys)
        self.on_turn(lambda: None, lambda: store.release(self))
        return store

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        """Have `start` called when this version of the flow takes over, and `stop` when it hands over or ends."""
        self._flow.turns.append((start, stop))

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """Do work in the loop while the flow goes on; `done` gets what it returned or raised."""
        name, run_as = self._flow.name, self._traffic.run_as
        return self._work.run(work, lambda result: run_as(name, lambda: done(result)))

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """What all flows use together, made when it is first asked for."""
        return self._work.share(name, make)

    def waiting(self, waits: Waits) -> None:
        """Know what waits in this version of the flow, so that it can be finished before the version ends."""
        waits.promises = self._promises
        self._flow.waits.append(waits)

    def queue_dropped(self, flow: str, place: str) -> None:
        """Count a message that was dropped because too many waited."""
        self._flow.counting.dropped += 1
        self._lost[place] = self._lost.get(place, 0) + 1
        words = f"`{flow}` drops messages: too many wait{_before(place)}"
        self._failures.tell("queue-full", words, alike=(flow, place))

    def queue_drained(self, flow: str, place: str) -> None:
        """There is room again where messages were dropped."""
        lost = self._lost.pop(place, 0)
        words = f"`{flow}` has room again{_before(place)}; messages dropped meanwhile: {lost}"
        self._failures.tell("queue-drained", words, alike=("drained", flow, place), level="info")

    def log(self, flow: str, level: str, text: str) -> None:
        """Show a line of a `log` step."""
        self._traffic.log(flow, level, text)

    def failed(self, flow: str, error: Exception, origin: Message) -> None:  # noqa: ARG002 - a host may serve several
        """Count and report a message that a step dropped by failing."""
        self._failures.failed(self._flow, error, origin)

    def handled(self, flow: str, error: Exception) -> None:  # noqa: ARG002
        """Count a failure that the flow's own `on_error` took care of."""
        self._flow.counting.handled += 1

    def stopped(self, flow: str, reason: str) -> None:  # noqa: ARG002
        """Count a message that a `stop` step ended, under its reason."""
        stopped = self._flow.counting.stopped
        if reason in stopped or len(stopped) < MOST_REASONS:
            stopped[reason] = stopped.get(reason, 0) + 1


def _before(place: str) -> str:
    return f" before `{place}`" if place else ""
