"""Says what a runner shows of itself: one that is this process, or one that consists of several."""

from collections.abc import Collection, Mapping, Sequence, Sized
from typing import Any, Protocol

from flowrunner.clock import Clock
from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.records import dataclass
from flowrunner.run.failures import Tally
from flowrunner.run.link import Terms
from flowrunner.run.live import Program
from flowrunner.run.recent import Arrived
from flowrunner.run.tapping import Watcher
from flowrunner.run.timings import Counts

Shown = dict[str, Any]


class ShownFlow(Protocol):
    """A flow that runs, as far as it is shown; see `LiveFlow`. An edit may give `program` other places."""

    program: Program

    @property
    def name(self) -> str:
        """The name, unique among the flows that run."""

    @property
    def since(self) -> float:
        """Since when this version runs, in seconds since 1970."""

    @property
    def received(self) -> int:
        """Messages that came in."""

    @property
    def dropped(self) -> int:
        """Messages dropped by a failing step."""

    @property
    def handled(self) -> int:
        """Failures that `on_error` took care of."""

    @property
    def stopped(self) -> Mapping[str, int]:
        """Messages ended by `stop`, by reason."""

    def show_states(self, clock: Clock) -> dict[str, Shown]:
        """What each step remembers, by its name; see `show_states`."""


class Traffic(Protocol):
    """The counters of a connection; see `Link`."""

    @property
    def published(self) -> int:
        """Publishes so far."""

    @property
    def dropped(self) -> int:
        """Publishes at QoS 0 that nobody was there to take."""

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""


class Connected(Protocol):
    """A connection, as far as it is shown."""

    @property
    def settings(self) -> ConnectionSettings:
        """Its settings; only what is safe to show is shown."""

    @property
    def terms(self) -> Terms | None:
        """What the broker allows; None while there is none."""

    @property
    def link(self) -> Traffic:
        """Its counters."""

    @property
    def clients(self) -> tuple[int, int]:
        """How many of its clients have their broker, and how many there are: one, or some in each worker."""

    @property
    def is_subscribed(self) -> bool:
        """Whether all its clients have their broker, and were granted every subscription."""


class Tallies(Protocol):
    """What failed; see `Failures`."""

    @property
    def tallies(self) -> Mapping[tuple[str, str, str, int], Tally]:
        """Errors of one kind at one place, by flow, code, file and line."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works for a runner.

    `process` is its number in the system, 0 while it is not there; it runs `since` (seconds since 1970), and was
    started again so many times (`restarts`). `owned` are the flows that run in no other worker; `seconds` is the CPU
    time that it took, with that of those before it, `memory` what it holds now, in bytes.
    """

    number: int
    process: int
    since: float
    restarts: int = 0
    owned: tuple[str, ...] = ()
    seconds: float = 0.0
    memory: int = 0


class Remembers(Protocol):
    """Knows the last messages of each flow that runs; see `Recent`."""

    async def last(self, flow: str) -> tuple[Arrived, ...]:
        """The last messages of a flow, the oldest first."""

    def follow(self) -> None:
        """Look at the flows that run now: some were exchanged."""

    def stop(self) -> None:
        """Look at nothing any more."""

    def measure(self) -> None:
        """Measure from now on how long flows take for the messages that are remembered."""

    @property
    def timings(self) -> Mapping[str, Counts]:
        """What was measured, by flow."""


class Shows(Protocol):
    """A runner, as far as it is shown. What it says is as of the last `refresh`."""

    @property
    def flows(self) -> Mapping[str, ShownFlow]:
        """What runs, by name."""

    @property
    def connections(self) -> Mapping[str, Connected]:
        """The connections in use, by name."""

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""

    @property
    def stores(self) -> Mapping[tuple[str, str], Sized]:
        """The named values of `state` steps, by flow (empty for those that are shared) and name."""

    @property
    def failures(self) -> Tallies:
        """What failed."""

    @property
    def workers(self) -> Sequence[Worker]:
        """The processes that work for it; none where it does all itself."""

    async def refresh(self, states: Collection[str] | None = ()) -> None:
        """Learn how everything is now; what the steps of these flows remember only where it is asked for (None: all).

        One that does all itself knows it anyway. A worker that does not answer is waited for a moment only.
        """


class Looked(Shows, Protocol):
    """A runner that can be looked into."""

    async def tap(self, watchers: Mapping[str, Watcher], by: str = "page") -> frozenset[str]:
        """Have these flows looked into, by name, and no others `by` the same one; returns those that are."""


class Published(Looked, Protocol):
    """A runner that can be looked into, and publishes what somebody asks for."""

    async def publish(
        self,
        connection: str,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """Publish on a connection that is in use. Raises StepError if the message can never be sent."""
