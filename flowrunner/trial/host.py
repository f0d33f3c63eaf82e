"""Gives a flow that is tested what it asks of its host: a virtual clock, and a list for what it publishes."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import orjson

from flowrunner.clock import Timer, VirtualClock
from flowrunner.code import Closing, Running
from flowrunner.compile import Handler, Program
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import FlowrunnerError
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.read.flow import Flow
from flowrunner.run.aside import Aside
from flowrunner.run.cron import CronTicks
from flowrunner.run.ticks import Ticks
from flowrunner.sources import AtStart, Cron, Every, Subscribe
from flowrunner.topics import matches
from flowrunner.trial.beside import Beside

Result = TypeVar("Result")
Resource = TypeVar("Resource", bound=Closing)

#: Calls of timers in one test: so many ticks are a mistake.
MOST_CALLS = 1_000_000


class TooMuch(FlowrunnerError):
    """A test lets so much time pass that it would not end."""


@dataclass(frozen=True, slots=True)
class Published:
    """A message that a flow published. `payload` is the bytes that would go out; `time` is in seconds of the test."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)
    connection: str = "default"
    time: float = 0.0

    @property
    def value(self) -> Any:
        """The payload as a value: None for the empty one, what JSON says, else text, else the bytes."""
        if not self.payload:
            return None
        try:
            return orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            pass
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return self.payload


class Noticing(Protocol):
    """Learns of failures: see `flowrunner.trial.coverage`."""

    def failed(self, program: Program, error: Exception) -> None:
        """A step has failed, whatever its `on_error` makes of it."""


class TrialClock:
    """A virtual clock: what a call of a timer begins outside of the flow is done before time goes on."""

    def __init__(self, settle: Callable[[], object]) -> None:
        self._clock = VirtualClock()
        self._settle = settle
        self._left = MOST_CALLS
        self.now, self.time, self.advance = self._clock.now, self._clock.time, self._clock.advance

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call while time passes `when`."""
        return self._clock.call_at(when, lambda: self._ring(call))

    @property
    def rest(self) -> float | None:
        """Seconds until the next timer rings; None if none is set."""
        due = self._clock.due
        return None if due is None else due - self._clock.time()

    def _ring(self, call: Callable[[], object]) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuch(f"timers ring {MOST_CALLS} times in this test: let less time pass")
        call()
        self._settle()


class TrialHost(Aside):
    """The host of one flow in one test. What it did is in `published`, `errors`, `logged` and `unheard`."""

    def __init__(self, program: Program, beside: Beside, notice: Noticing | None = None) -> None:
        self.clock = TrialClock(beside.settle)
        super().__init__(program.flow, self.clock)
        self.program = program
        self.beside = beside
        self.notice = notice
        self.published: list[Published] = []
        self.errors: list[Diagnostic] = []
        self.logged: list[tuple[str, str]] = []
        self.unheard: list[str] = []
        self.ticks: list[Ticks | CronTicks] = []
        self.handler: Handler = program.bind(self)

    def begin(self) -> None:
        """Start what the flow does by itself: its timers, its message at the start, its ticks."""
        for start in self.starts:
            start()
        name = self.flow.name
        sources = list(enumerate(self.flow.sources))
        for entry, source in sources:
            if isinstance(source, AtStart):
                self.enter(f"at_start/{name}", source.payload, entry)
        for entry, source in sources:
            if isinstance(source, Every):
                fire = _firing(self, f"every/{name}", entry)
                self.ticks.append(Ticks(source, self.clock, fire, chance=lambda: 0.0))
            elif isinstance(source, Cron):
                self.ticks.append(CronTicks(source, self.clock, _firing(self, f"cron/{name}", entry)))

    def arrive(self, topic: str, payload: bytes, qos: int, *, retain: bool, properties: Properties) -> None:
        """Have the broker deliver a message, if the flow subscribes to it: once, whatever filters overlap.

        It comes with the lower one of its own QoS and that of the subscription (MQTT 5.0 section 3.8.4). What was
        retained before is not sent to shared subscriptions (section 4.8.2).
        """
        for entry, source in enumerate(self.flow.sources):
            if isinstance(source, Subscribe) and matches(source.filter, topic) and _takes(source, retain=retain):
                self.enter(topic, payload, entry, min(qos, source.qos), retain=retain, properties=properties)
                return
        self.unheard.append(topic)

    def enter(
        self,
        topic: str,
        payload: Any,
        entry: int,
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """Run the flow on what came through one of its sources."""
        try:
            self.handler(topic, payload, qos, retain, properties, entry)
        except Exception as error:  # noqa: BLE001 - as the runner does
            shown = payload if isinstance(payload, bytes) else repr(payload).encode()
            self.failed("", error, Message(topic, shown, qos, retain, properties))
        self.beside.settle()

    def close(self) -> None:
        """Let go of threads."""
        for waits in self.waits:
            waits.close()

    def sent(self, message: Message, connection: str) -> None:
        """See `Aside`."""
        rest = (message.qos, message.retain, dict(message.properties), connection, self.clock.time())
        self.published.append(Published(message.topic, message.payload, *rest))

    def log(self, flow: str, level: str, text: str) -> None:  # noqa: ARG002
        """See `Host`."""
        self.logged.append((level, text))

    def failed(self, flow: str, error: Exception, origin: Message) -> None:  # noqa: ARG002
        """See `Host`."""
        if self.notice is not None:
            self.notice.failed(self.program, error)
        self.errors.append(self.program.explain(error, origin))

    def handled(self, flow: str, error: Exception) -> None:  # noqa: ARG002
        """See `Host`. That a mock is missing is a failure of the test, whatever the flow makes of it."""
        if self.notice is not None:
            self.notice.failed(self.program, error)
        if getattr(error, "code", "") == "missing-mock":
            self.errors.append(replace(self.program.explain(error, Message("", b"")), notes=()))

    def run(self, work: Coroutine[Any, Any, Result], done: Callable[[Result | BaseException], object]) -> Running:
        """See `Host`."""
        return self.beside.run(work, done)

    def share(self, name: str, make: Callable[[], Resource]) -> Resource:
        """See `Host`."""
        return self.beside.share(name, make)

    def queue_dropped(self, flow: str, place: str) -> None:  # noqa: ARG002
        """See `Host`."""
        before = f" before `{place}`" if place else ""
        self.logged.append(("warning", f"a message is dropped: too many wait{before}"))


def hears(flow: Flow, topic: str, *, retain: bool) -> bool:
    """Whether a flow gets a message on this topic from the broker."""
    heard = (source for source in flow.sources if isinstance(source, Subscribe))
    return any(matches(source.filter, topic) and _takes(source, retain=retain) for source in heard)


def _takes(source: Subscribe, *, retain: bool) -> bool:
    if retain and source.filter.share:
        return False
    return source.takes(retain=retain)


def _firing(host: TrialHost, topic: str, entry: int) -> Callable[[int], object]:
    return lambda number: host.enter(topic, number, entry)
