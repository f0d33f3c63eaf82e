"""Holds what is known about one flow while it runs."""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from flowrunner.clock import Clock
from flowrunner.code import Host
from flowrunner.diagnostics import Diagnostic
from flowrunner.lines import Waits
from flowrunner.message import Message, Properties
from flowrunner.run.states import Shown, show_states
from flowrunner.sources import Source

#: What the names of connections for flows with one owner end in.
_OWN = " (own)"

_log = logging.getLogger("flowrunner.run")


class Handler(Protocol):
    """A compiled flow: takes one message, and raises if a step of it fails."""

    def __call__(
        self,
        topic: str,
        payload: Any,
        qos: int,
        retain: bool,  # noqa: FBT001 - positions cost less than names on this path
        properties: Properties,
        entry: int,
        /,
    ) -> None:
        """`payload` is bytes from a broker, a value from a tick; `entry` is the index of the source it came through."""


class Flow(Protocol):
    """What a runner reads of a checked flow."""

    @property
    def name(self) -> str:
        """The name, unique among the flows that run."""

    @property
    def sources(self) -> Sequence[Source]:
        """Where its messages come from, in the order of the file."""

    @property
    def is_enabled(self) -> bool:
        """Whether it is to run."""


class Program(Protocol):
    """A flow that was compiled."""

    @property
    def flow(self) -> Flow:
        """The flow."""

    def bind(self, host: Host, /) -> Handler:
        """Make what runs the flow, with fresh state."""

    def explain(self, error: Exception, origin: Message, /) -> Diagnostic:
        """The frame for an exception that the handler raised on this message."""


class Tapped(Protocol):
    """A flow that somebody looks into: what binds it, and explains what failed in it."""

    @property
    def flow(self) -> Flow:
        """The flow for which it was made: another version of it has to be tapped anew."""

    def bind(self, program: Program, host: Host, /) -> Handler:
        """Make what runs the flow, on the state that the host keeps, and shows what happens in it."""

    def explain(self, error: Exception, origin: Message, /) -> Diagnostic | None:
        """The frame for an exception; None if it was not raised by what is tapped."""


class LiveFlow:
    """A flow that runs. `handler` is what deliveries call; it is exchanged while somebody looks on.

    It counts messages: `received`, `dropped` by a failing step, `handled` by `on_error`, `stopped` by reason. Its
    `states` are what its steps keep, by name and with their shapes; it inherits those of the flow `before` it, and its
    counts when it takes over. `since` (seconds since 1970) is when it was made. While somebody looks into it, it is
    `tapped`. It `takes_promises` if it has to say which message it publishes for, see `Promises`.

    If it `is_owned`, its process is the only one of its group that runs it: then it is on connections of its own, see
    `way`. `connections` are those that it uses, by the names under which the runner has them.
    """

    __slots__ = (
        "connections",
        "dropped",
        "handled",
        "handler",
        "heir",
        "inherited",
        "is_owned",
        "name",
        "plain",
        "program",
        "received",
        "since",
        "states",
        "stopped",
        "takes_promises",
        "tapped",
        "turns",
        "waits",
    )

    def __init__(
        self,
        program: Program,
        before: "LiveFlow | None" = None,
        *,
        since: float = 0.0,
        tapped: Tapped | None = None,
        is_owned: bool = False,
    ) -> None:
        self.is_owned = is_owned
        self.name = program.flow.name
        self.program = program
        self.tapped = tapped
        self.since = since
        self.heir: LiveFlow | None = None
        self.plain: Handler = _not_bound
        self.handler: Handler = _not_bound
        self.connections: set[str] = set()
        self.inherited: Mapping[str, tuple[Hashable, object]] = before.states if before is not None else {}
        self.states: dict[str, tuple[Hashable, object]] = {}
        self.turns: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self.waits: list[Waits] = []
        self.takes_promises = False
        self.received = 0
        self.dropped = 0
        self.handled = 0
        self.stopped: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"LiveFlow({self.name!r})"

    def way(self, connection: str) -> str:
        """The name of the connection that this flow uses where it names one of the settings."""
        return own_name(connection) if self.is_owned else connection

    def bind(self, host: Host) -> None:
        """Make the handler, which asks the host for what it needs."""
        tapped = self.tapped
        self.plain = self.handler = self.program.bind(host) if tapped is None else tapped.bind(self.program, host)
        self.inherited = {}

    def explain(self, error: Exception, origin: Message) -> Diagnostic:
        """The frame for an exception that the handler raised on this message."""
        found = self.tapped.explain(error, origin) if self.tapped is not None else None
        return found or self.program.explain(error, origin)

    @property
    def counting(self) -> "LiveFlow":
        """The version that counts what becomes of messages, also of those that this one still works on."""
        flow = self
        while flow.heir is not None:
            flow = flow.heir
        return flow

    def succeed(self, before: "LiveFlow") -> None:
        """Go on with the counts of the version before."""
        before.heir = self
        self.received += before.received
        self.dropped += before.dropped
        self.handled += before.handled
        for reason, count in before.stopped.items():
            self.stopped[reason] = self.stopped.get(reason, 0) + count

    def show_states(self, clock: Clock) -> dict[str, Shown]:
        """What each step remembers; see `show_states`."""
        return show_states(self, clock)

    def begin(self) -> None:
        """Let the timers of its steps run."""
        _call_all(start for start, _ in self.turns)

    def end(self) -> None:
        """Let no timer of its steps ring any more."""
        turns, self.turns = self.turns, []
        _call_all(stop for _, stop in turns)


def own_name(connection: str) -> str:
    """The name of the connection that flows with one owner use, beside that of shared flows."""
    return f"{connection}{_OWN}"


def base_name(connection: str) -> str:
    """The name in the settings of a connection that may be one for flows with one owner."""
    return connection.removesuffix(_OWN)


def _call_all(calls: Iterable[Callable[[], object]]) -> None:
    """Make calls; one that fails keeps no other step, and no other flow, from changing hands."""
    for call in calls:
        try:
            call()
        except Exception:  # noqa: BLE001 - it is logged, and the others go on
            _log.exception("a step could not take over, or hand over")


def _not_bound(*_arguments: Any) -> None:
    raise AssertionError("a message came before its flow was bound")
