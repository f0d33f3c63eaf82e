"""Holds what is known about one flow while it runs."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from flowrunner.code import Host
from flowrunner.diagnostics import Diagnostic
from flowrunner.lines import Waits
from flowrunner.message import Message, Properties
from flowrunner.sources import Source


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


class LiveFlow:
    """A flow that runs. `handler` is what deliveries call; it is exchanged while somebody looks on.

    It counts messages: `received`, `dropped` by a failing step, `handled` by `on_error`, `stopped` by reason. Its
    `states` are what its steps keep, by name and with their shapes; it inherits those of the flow `before` it.
    """

    __slots__ = (
        "connections",
        "dropped",
        "handled",
        "handler",
        "inherited",
        "name",
        "plain",
        "program",
        "received",
        "states",
        "stopped",
        "turns",
        "waits",
    )

    def __init__(self, program: Program, before: "LiveFlow | None" = None) -> None:
        self.name = program.flow.name
        self.program = program
        self.plain: Handler = _not_bound
        self.handler: Handler = _not_bound
        self.connections: set[str] = set()
        self.inherited: Mapping[str, tuple[Hashable, object]] = before.states if before is not None else {}
        self.states: dict[str, tuple[Hashable, object]] = {}
        self.turns: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self.waits: list[Waits] = []
        self.received = 0
        self.dropped = 0
        self.handled = 0
        self.stopped: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"LiveFlow({self.name!r})"

    def bind(self, host: Host) -> None:
        """Make the handler, which asks the host for what it needs."""
        self.plain = self.handler = self.program.bind(host)
        self.inherited = {}

    def begin(self) -> None:
        """Let the timers of its steps run."""
        for start, _ in self.turns:
            start()

    def end(self) -> None:
        """Let no timer of its steps ring any more."""
        for _, stop in self.turns:
            stop()


def _not_bound(*_arguments: Any) -> None:
    raise AssertionError("a message came before its flow was bound")
