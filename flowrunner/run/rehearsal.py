"""Turns one message into all that a flow does with it, step by step, on a clock that nobody waits for."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any

from flowrunner.clock import VirtualClock
from flowrunner.compile import Program, Taps, compile_flow
from flowrunner.compile.failure import step_at
from flowrunner.compile.function import name_steps
from flowrunner.compile.taps import Where
from flowrunner.diagnostics import Diagnostic
from flowrunner.jsons import to_payload
from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.rehearsal_host import Kind, Note, RehearsalHost
from flowrunner.sources import AtStart, Subscribe
from flowrunner.step import Step
from flowrunner.topics import matches

#: Seconds that the virtual clock goes on at most, and calls of timers that a rehearsal may come to.
LONGEST, MOST_CALLS = 86_400.0, 1_000

#: Looks and notes that are kept.
MOST_SEEN = 20_000


@dataclass(frozen=True, slots=True)
class Look:
    """What a message was at a step; `at` in seconds since it arrived, `origin` the same for all ways of one message."""

    where: Where
    step: str
    at: float
    values: Mapping[str, Any]
    origin: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is tried: a message, or the value of a tick, and the index of the flow's source through which it comes."""

    topic: str
    payload: Any
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    entry: int = 0

    @property
    def message(self) -> Message:
        """The message; the value of a tick is shown as it would be published."""
        payload = self.payload if isinstance(self.payload, bytes) else to_payload(self.payload)
        return Message(self.topic, payload, self.qos, self.retain, self.properties)


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen of a message on its way through a flow, in order; `lasted` is in seconds of the virtual clock.

    With `is_cut_short` more would have come later.
    """

    flow: Flow
    arrival: Arrival
    seen: tuple[Look | Note, ...]
    lasted: float
    is_cut_short: bool


def arrive(flow: Flow, message: Message) -> Arrival | None:
    """How a message comes into a flow; None if none of its subscriptions takes it."""
    for entry, source in enumerate(flow.sources):
        if not isinstance(source, Subscribe) or not matches(source.filter, message.topic):
            continue
        if source.takes(retain=message.retain):
            rest = (message.qos, message.retain, message.properties)
            return Arrival(message.topic, message.payload, *rest, entry)
    return None


def tick(flow: Flow) -> Arrival | None:
    """The first tick of a flow, or its start; None if it has neither."""
    for entry, source in enumerate(flow.sources):
        if not isinstance(source, Subscribe):
            payload = source.payload if isinstance(source, AtStart) else 1
            return Arrival(f"{_WORDS[type(source).__name__]}/{flow.name}", payload, entry=entry)
    return None


_WORDS = {"Every": "every", "Cron": "cron", "AtStart": "at_start"}


def try_flow(
    flow: Flow, arrival: Arrival, *, seconds: float | None = None, is_live: bool = False, now: float | None = None
) -> Trace:
    """Run a flow with an empty memory on one message, until nothing of it is left.

    Nothing is published, and outside nothing is touched unless it `is_live`. The virtual clock goes on for `seconds`
    at most (by default a day), and begins at `now`. Raises FlowError for a flow that cannot be compiled.
    """
    rehearsal = _Rehearsal(flow, arrival, is_live=is_live, now=now)
    return asyncio.run(rehearsal.play(LONGEST if seconds is None else seconds))


class _Rehearsal:
    """One rehearsal."""

    def __init__(self, flow: Flow, arrival: Arrival, *, is_live: bool, now: float | None) -> None:
        self.flow = flow
        self.arrival = arrival
        self.seen: list[Look | Note] = []
        self.origins: list[tuple[Any, ...]] = []  # kept, so that no other object gets the id of one of them
        self.clock = VirtualClock(VirtualClock.START if now is None else now)
        self.program: Program = compile_flow(flow, taps=Taps(self.look))
        self.host = RehearsalHost(flow, self.clock, self.note, self.explain, arrived=arrival.message, is_live=is_live)

    def look(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """See `flowrunner.compile.See`."""
        if not any(origin is known for known in self.origins[-4:]):
            self.origins.append(origin)
        self.add(Look(where, step, self.clock.time(), values, id(origin)))

    def note(self, kind: Kind, /, **about: Any) -> None:
        """Note what happened."""
        self.add(Note(kind, self.clock.time(), about))

    def add(self, seen: Look | Note) -> None:
        """Keep what was seen, unless there is too much of it."""
        if len(self.seen) < MOST_SEEN:
            self.seen.append(seen)

    def explain(self, error: Exception, origin: Message) -> tuple[Diagnostic, str]:
        """A failure in words, and the name of the step in which it happened."""
        found = self.program.explain(error, origin)
        step: Step | None = step_at(self.flow, found.span)
        return found, name_steps(self.flow).get(id(step), "")

    async def play(self, seconds: float) -> Trace:
        """Let the message in, and time pass."""
        host = self.host
        handler = replace(self.program, bound=host.bound(self.program)).bind(host)
        calls = 0
        try:
            for start in host.starts:
                start()
            self.enter(handler)
            await host.settled()
            while (due := self.clock.due) is not None and due <= seconds and calls < MOST_CALLS:
                calls += 1
                self.clock.advance(due - self.clock.time())
                await host.settled()
        finally:
            await host.close()
        left = self.clock.due is not None
        return Trace(self.flow, self.arrival, tuple(self.seen), self.clock.time(), left)

    def enter(self, handler: Callable[..., None]) -> None:
        """Run the flow on what is tried."""
        came = self.arrival
        try:
            handler(came.topic, came.payload, came.qos, came.retain, came.properties, came.entry)
        except Exception as error:  # noqa: BLE001 - as the runner does
            self.host.failed("", error, came.message)


__all__ = ["Arrival", "Look", "Note", "Trace", "arrive", "tick", "try_flow"]
