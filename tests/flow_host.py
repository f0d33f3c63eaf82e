"""Turns the text of a flow into what it does with messages: everything a flow asks of its host, without a broker."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import orjson

from flowrunner.clock import VirtualClock
from flowrunner.compile import Handler, Program, compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic, has_errors, render
from flowrunner.jsons import to_payload
from flowrunner.lines import Waits
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.read.cases import After, Case, Expected, Given
from flowrunner.read.flow import Flow, read_flows
from flowrunner.read.settings import Settings
from flowrunner.sources import Subscribe
from flowrunner.steps import all_steps
from flowrunner.stores import Journal, Store, Stores
from flowrunner.text import Source
from flowrunner.topics import matches
from tests.beside import Beside, shared_loop

CONNECTIONS = {name: ConnectionSettings(name=name) for name in ("default", "cloud")}


@dataclass(frozen=True, slots=True)
class Published:
    """What a flow published. `payload` is the bytes that would go out."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)
    connection: str = "default"

    @property
    def value(self) -> Any:
        """The payload as JSON; None for the empty one."""
        return orjson.loads(self.payload) if self.payload else None


@dataclass(slots=True)
class Outcome:
    """All that a flow did, each in its order."""

    published: list[Published] = field(default_factory=list)
    errors: list[Diagnostic] = field(default_factory=list)
    logged: list[tuple[str, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    handled: list[Exception] = field(default_factory=list)
    queues: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """Topic and JSON of everything that was published."""
        return [(message.topic, message.value) for message in self.published]

    @property
    def error(self) -> Diagnostic:
        """The one error."""
        (error,) = self.errors
        return error

    def shown(self) -> str:
        """The errors as they are shown."""
        return render(self.errors)


class FlowHost:
    """Runs one compiled flow; its clock stands still until a test moves it.

    With `before` it takes over from a host that runs another version of the flow, as a reload does: the clock, what
    was seen so far, and the state of every step whose name and shape are the same. `kept` and `reset` are their names.
    With `remote` its steps remember in what that makes for its clock.
    """

    remote: ClassVar[Callable[[VirtualClock], Any] | None] = None

    def __init__(self, flow: Flow, before: "FlowHost | None" = None, *, journal: Journal | None = None) -> None:
        self.flow = flow
        self.program: Program = compile_flow(flow) if FlowHost.remote is None else compile_flow(flow, is_remote=True)
        self.clock: VirtualClock = before.clock if before else VirtualClock()
        self.outcome: Outcome = before.outcome if before else Outcome()
        self.states: dict[str, tuple[object, Any]] = {}
        self.before = before.states if before else {}
        self.kept: list[str] = []
        self.reset: list[str] = []
        self.stores: Stores = before.stores if before else Stores(self.clock)
        self.journal: Journal | None = before.journal if before else journal
        self.starts: list[Callable[[], object]] = []
        self.stops: list[Callable[[], object]] = []
        self.beside: Beside = before.beside if before else Beside()
        if FlowHost.remote is not None and not before:
            self.beside.resources["state"] = FlowHost.remote(self.clock)
        self.run, self.share = self.beside.run, self.beside.share
        self.waits: Waits | None = None
        self.handler: Handler = self.program.bind(self)
        if before:
            before.stop()
        for start in self.starts:
            start()

    def edit(self, flow: "Flow | str") -> "FlowHost":
        """Hand over to another version of the flow."""
        return FlowHost(read(flow) if isinstance(flow, str) else flow, self)

    def stop(self) -> None:
        """End this version: its timers ring no more."""
        for stop in self.stops:
            stop()

    def publisher(self, connection: str) -> Callable[..., None]:
        def publish(
            topic: str, payload: bytes, qos: int = 0, retain: bool = False, properties: Properties = NO_PROPERTIES, /
        ) -> None:
            assert type(topic) is str
            assert type(payload) is bytes
            self.outcome.published.append(Published(topic, payload, qos, retain, properties, connection))

        return publish

    def log(self, flow: str, level: str, text: str) -> None:
        assert flow == self.flow.name
        self.outcome.logged.append((level, text))

    def failed(self, flow: str, error: Exception, origin: Message) -> None:
        assert flow == self.flow.name
        self.outcome.errors.append(self.program.explain(error, origin))

    def handled(self, flow: str, error: Exception) -> None:
        assert flow == self.flow.name
        self.outcome.handled.append(error)

    def stopped(self, flow: str, reason: str) -> None:
        assert flow == self.flow.name
        self.outcome.stopped.append(reason)

    def keep(self, name: str, shape: object, make: Callable[[], Any]) -> Any:
        known = self.before.get(name)
        is_same = known is not None and known[0] == shape
        (self.kept if is_same else self.reset).append(name)
        state = known[1] if known is not None and is_same else make()
        self.states[name] = (shape, state)
        return state

    def store(self, name: str, *, is_shared: bool, is_kept: bool, max_keys: int | None) -> Store:
        store = self.stores.open("" if is_shared else self.flow.name, name)
        store.claim(self, max_keys)
        self.on_turn(lambda: None, lambda: store.release(self))
        if is_kept and store.journal is None and self.journal is not None:
            store.keep_in(self.journal)
        return store

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        self.starts.append(start)
        self.stops.append(stop)

    def waiting(self, waits: Waits) -> None:
        self.waits = waits

    def queue_dropped(self, flow: str, place: str) -> None:
        assert flow == self.flow.name
        self.outcome.queues.append(("dropped", place))

    def queue_drained(self, flow: str, place: str) -> None:
        assert flow == self.flow.name
        self.outcome.queues.append(("drained", place))

    async def settled(self) -> "Outcome":
        """Wait until nothing waits outside of the flow; returns all that was seen so far."""
        await self.beside.settled()
        return self.outcome

    def now(self) -> float:
        return self.clock.now()

    def after(self, seconds: float) -> "Outcome":
        """Let time pass; returns all that was seen so far."""
        self.clock.advance(seconds)
        return self.outcome

    def get(self, topic: str, payload: Any = b"") -> "Outcome":
        """Have a message arrive; returns all that was seen so far."""
        self.arrive(message(topic, payload))
        return self.outcome

    def get_all(self, topic: str, payloads: Iterable[Any]) -> "Outcome":
        """Have messages arrive in one turn of the loop; returns all that was seen so far."""

        async def get_all() -> Outcome:
            for payload in payloads:
                self.get(topic, payload)
            return await self.settled()

        return shared_loop().run_until_complete(get_all())

    def arrive(self, message: Message) -> None:
        """Give the flow a message from the broker, if one of its filters wants it."""
        for entry, source in enumerate(self.flow.sources):
            if isinstance(source, Subscribe) and matches(source.filter, message.topic):
                self.enter(message.topic, message.payload, message.qos, message.retain, message.properties, entry)
                return

    def enter(
        self,
        topic: str,
        payload: Any,
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
        entry: int = 0,
    ) -> None:
        """Run the flow on what came through one of its sources; `payload` of a tick is no bytes."""
        try:
            self.handler(topic, payload, qos, retain, properties, entry)
        except Exception as error:  # noqa: BLE001 - as the runner does
            shown = payload if isinstance(payload, bytes) else to_payload(payload)
            self.failed(self.flow.name, error, Message(topic, shown, qos, retain, properties))


def diagnose(
    text: str, *, name: str = "flow", folder: Path = Path(), env: Mapping[str, str] | None = None
) -> tuple[list[Flow], list[Diagnostic]]:
    """The flows of a file and all that is wrong with it."""
    settings = Settings(connections=CONNECTIONS, env=env or {}, vars={}, source=None, allow=frozenset({"exec"}))
    source = Source(f"flows/{name}.yaml", dedent(text).lstrip("\n"))
    return read_flows(source, name=name, folder=folder, settings=settings, steps=all_steps())


def read(text: str, *, name: str = "flow", folder: Path = Path(), env: Mapping[str, str] | None = None) -> Flow:
    """The flow of a file without errors."""
    flows, found = diagnose(text, name=name, folder=folder, env=env)
    assert not has_errors(found), render(found)
    (flow,) = flows
    return flow


def refused(text: str, *, folder: Path = Path()) -> Diagnostic:
    """The one thing that is wrong with a file."""
    flows, found = diagnose(text, folder=folder)
    assert len(found) == 1, render(found)
    assert not has_errors(found) or not flows
    return found[0]


def message(topic: str, payload: Any = b"", **rest: Any) -> Message:
    """A message whose payload is given as bytes, as text (UTF-8), or as a value (JSON)."""
    return Message(topic, to_payload(payload), **rest)


def run(flow: Flow | str, *messages: Message | tuple[str, Any]) -> Outcome:
    """What a flow does with messages."""
    host = FlowHost(read(flow) if isinstance(flow, str) else flow)
    for given in messages:
        host.arrive(given if isinstance(given, Message) else message(*given))
    return host.outcome


def run_steps(steps: str, *payloads: Any) -> Outcome:
    """What a list of steps does with messages on the topic `in`; behind the steps is `publish: out`."""
    body = dedent(steps).strip("\n")
    text = f"subscribe: in\nsteps:\n{_indented(body)}\n  - publish: out\n"
    return run(text, *(("in", payload) for payload in payloads))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.split("\n"))


def run_cases(flow: Flow) -> None:
    """Run the `tests:` of a flow, each on a fresh one."""
    for case in flow.tests:
        outcome = run_case(flow, case)
        assert len(outcome.published) == len(case.expect), f"{case.name}: {outcome}"
        for sent, expected in zip(outcome.published, case.expect, strict=True):
            assert meets(sent, expected), f"{case.name}: {sent} is not {expected}"


def run_case(flow: Flow, case: Case) -> Outcome:
    """What comes out in a test of a flow."""
    constants, env = {**flow.constants, **case.vars}, {**flow.env, **case.env}
    host = FlowHost(replace(flow, constants=constants, env=env))
    for given in case.given:
        if isinstance(given, After):
            host.clock.advance(given.seconds)
        else:
            host.arrive(_as_message(given))
    return host.outcome


def _as_message(given: Given) -> Message:
    return Message(given.topic, given.payload, given.qos, given.retain, given.properties)


def meets(sent: Published, expected: Expected) -> bool:
    """Whether a message is the expected one; what is not named is not compared."""
    wanted = {"topic": expected.topic, "qos": expected.qos, "retain": expected.retain}
    if any(value is not None and getattr(sent, name) != value for name, value in wanted.items()):
        return False
    if expected.properties is not None and dict(sent.properties) != expected.properties:
        return False
    return not expected.has_payload or is_payload(sent.payload, expected.payload)


def is_payload(payload: bytes, expected: Any) -> bool:
    """Bytes and text must be met exactly, everything else as JSON by value."""
    if isinstance(expected, bytes):
        return payload == expected
    if isinstance(expected, str):
        return payload == expected.encode()
    try:
        return same_json(orjson.loads(payload) if payload else None, expected)
    except orjson.JSONDecodeError:
        return False


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 2 is 2.0, but 1 is not true; the order of keys is free."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_json(a, b) for a, b in zip(one, other, strict=True))
    is_number = isinstance(one, int | float) and isinstance(other, int | float)
    return (is_number or type(one) is type(other)) and bool(one == other)
