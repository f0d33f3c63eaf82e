"""Turns what arrives into a short memory of it: the last messages of each flow, within bounds."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from time import perf_counter
from typing import Any, NamedTuple

from flowrunner.clock import Clock, Timer
from flowrunner.message import Properties
from flowrunner.records import dataclass
from flowrunner.run.live import Handler, LiveFlow
from flowrunner.run.timings import Counts, Timings

#: Messages that are remembered of a flow. As many are looked at in a second; those on top of them cost nothing.
MOST = 20
SECOND = 1.0

#: Bytes of payloads that are remembered of a flow, and of all flows together.
MOST_BYTES = 262_144
MOST_BYTES_OF_ALL = 16_777_216


class Arrived(NamedTuple):
    """What a flow got, and when by the clock; the payload of a tick is no bytes."""

    time: float
    topic: str
    payload: Any
    qos: int
    retain: bool
    properties: Properties


@dataclass(slots=True)
class _Last:
    """The last messages of one flow."""

    messages: deque[Arrived] = field(default_factory=deque)
    size: int = 0
    most: int = MOST_BYTES

    def add(self, message: Arrived) -> None:
        """Remember a message, unless it is too large alone."""
        size = _size(message)
        if size > self.most:
            return
        self.messages.append(message)
        self.size += size
        while len(self.messages) > MOST or self.size > self.most:
            self.size -= _size(self.messages.popleft())


class Recent:
    """The last messages of each flow, by name: an edited flow has those of the version before.

    It puts itself before the handlers of flows, and steps aside from a flow that had enough messages in this second.
    `flows` says what runs. `observe` is told how long (seconds) a flow took for each that is remembered.
    """

    def __init__(self, clock: Clock, flows: Callable[[], Iterable[LiveFlow]] = tuple) -> None:
        self._clock = clock
        self._flows = flows
        self._timings: Timings | None = None
        self._last: dict[str, _Last] = {}
        self._watched: dict[LiveFlow, _Watch] = {}
        self._timer: Timer | None = None
        self.observe: Callable[[str, float], object] | None = None

    def watch(self, flows: Iterable[LiveFlow]) -> None:
        """Look at these flows from now on, and no longer at others; forget what flows of other names got."""
        before = self._watched
        self._watched = {flow: before[flow] if flow in before else self._new(flow) for flow in flows}
        for flow, watch in before.items():
            if flow not in self._watched:
                watch.step_aside()
        names = {flow.name for flow in self._watched}
        self._last = {name: last for name, last in self._last.items() if name in names}
        for last in self._last.values():
            last.most = min(MOST_BYTES, MOST_BYTES_OF_ALL // len(names))

    def follow(self) -> None:
        """Look at the flows that run now."""
        self.watch(self._flows())

    async def last(self, flow: str) -> tuple[Arrived, ...]:
        """The same as `of`, for those who ask one that may be elsewhere."""
        return self.of(flow)

    def measure(self) -> None:
        """Measure from now on how long flows take."""
        if self._timings is None:
            self._timings = Timings()
            self.observe = self._timings.observe

    @property
    def timings(self) -> Mapping[str, Counts]:
        """What was measured, by flow."""
        return self._timings.known() if self._timings is not None else {}

    def of(self, flow: str) -> tuple[Arrived, ...]:
        """The last messages of a flow, the oldest first."""
        last = self._last.get(flow)
        return tuple(last.messages) if last is not None else ()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self.watch(())

    def _new(self, flow: LiveFlow) -> "_Watch":
        watch = _Watch(flow, self._last.setdefault(flow.name, _Last()), self)
        watch.step_in()
        return watch

    @property
    def clock(self) -> Clock:
        """The clock by which messages arrive."""
        return self._clock

    def rest(self) -> None:
        """See to it that everybody steps in again."""
        if self._timer is None:
            self._timer = self._clock.call_at(self._clock.time() + SECOND, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        for watch in self._watched.values():
            watch.step_in()


class _Watch:
    """Looks at one flow. While it has stepped aside, `recent` sees to it that it steps in again."""

    def __init__(self, flow: LiveFlow, last: _Last, recent: Recent) -> None:
        self._flow = flow
        self._bare = flow.plain
        self._looking: Handler | None = None
        self._last = last
        self._recent = recent

    def step_in(self) -> None:
        """Look at what the flow gets."""
        if self._looking is None:
            self._looking = self._looking_at(self._flow.plain)
            self._exchange(self._bare, self._looking)

    def step_aside(self) -> None:
        """Look no more."""
        looking, self._looking = self._looking, None
        if looking is not None:
            self._exchange(looking, self._bare)

    def _exchange(self, old: Handler, new: Handler) -> None:
        flow = self._flow
        if flow.handler is old:  # else somebody stands before us, and calls `plain`
            flow.handler = new
        flow.plain = new

    def _looking_at(self, bare: Handler) -> Handler:
        left = MOST
        name, recent, add = self._flow.name, self._recent, self._last.add
        time = recent.clock.time

        def look(
            topic: str,
            payload: Any,
            qos: int,
            retain: bool,  # noqa: FBT001 - the signature of a handler
            properties: Properties,
            entry: int,
            /,
        ) -> None:
            nonlocal left
            add(Arrived(time(), topic, payload, qos, retain, properties))
            left -= 1
            if left == 0:
                self.step_aside()
                recent.rest()
            if recent.observe is None:
                bare(topic, payload, qos, retain, properties, entry)
                return
            began = perf_counter()
            try:
                bare(topic, payload, qos, retain, properties, entry)
            finally:
                recent.observe(name, perf_counter() - began)

        look.__wrapped__ = bare  # type: ignore[attr-defined]  # see `inspect.unwrap`
        return look


def _size(message: Arrived) -> int:
    return len(message.topic) + (len(message.payload) if isinstance(message.payload, bytes) else 64)
