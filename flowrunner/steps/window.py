"""Turns many messages into one with the list of their payloads: the step `window`."""

import ast
import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowrunner.code import Block, Host
from flowrunner.expressions import Expression, Scope
from flowrunner.memory import TOLERANCE, Held, Key, Memory
from flowrunner.options import DynamicDuration, Integer, option
from flowrunner.options.numbers import check_duration
from flowrunner.remembering import HoldingStep, KeyedWorker
from flowrunner.step import Check

if TYPE_CHECKING:
    from flowrunner.remote.place import Place
    from flowrunner.remote.worker import RemoteWorker

_MOST_ITEMS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(HoldingStep):
    """Collect messages; the payload becomes the list of their payloads, topic and names are those of the last one.

    `every: 1m` emits at every full minute (multiples of the time since 1970), with `last: 5m` what came in the last
    five minutes. `count: 10` emits ten at a time; `gap: 30s` emits when for so long none came. An empty window emits
    nothing. A message that comes exactly at the end belongs to the next window.
    """

    KEY = "window"
    CAN_BE_SHARED = True
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - window: {every: 1m, by: room}
          - map: {mean: "${mean(payload)}", count: "${len(payload)}"}
          - publish: means/${room}
        tests:
          - given: [{topic: sensors/a, payload: 20}, {after: 30s}, {topic: sensors/a, payload: 22}, {after: 30s}]
            expect: {topic: means/a, payload: {mean: 21, count: 2}}
        """,
        """
        subscribe: steps
        steps:
          - json
          - window: {count: 3}
          - publish: triple
        tests:
          - given: [{topic: steps, payload: 1}, {topic: steps, payload: 2}, {topic: steps, payload: 3}]
            expect: {topic: triple, payload: [1, 2, 3]}
        """,
    )

    GIVEN = ("every", "last", "gap")

    every: float | Expression | None = option(
        DynamicDuration(), "emit at every multiple of this time since 1970", default=None
    )
    last: float | Expression | None = option(
        DynamicDuration(), "with `every`: what came in this last time, again and again", default=None
    )
    count: int | None = option(Integer(1), "emit so many at a time", default=None)
    gap: float | Expression | None = option(DynamicDuration(), "emit when for so long no message came", default=None)
    max_items: int = option(
        Integer(1), "the most messages of a window that ends by time; the oldest goes", default=_MOST_ITEMS
    )

    def check(self, scope: Scope, check: Check) -> Scope | None:
        given = [name for name in ("every", "count", "gap") if getattr(self, name) is not None]
        span = self.at.key_span
        if len(given) != 1:
            check.report.say("missing-key", "`window` needs one of `every`, `count` and `gap`", span)
        elif self.last is not None and self.every is None:
            check.report.say("missing-key", "`last` of `window` needs `every`: when to emit", span)
        elif 0 in (self.every, self.last, self.gap):
            check.report.say("wrong-value", "the time of a `window` must be longer than nothing", span)
        return HoldingStep.check(self, scope, check)

    def after(self, scope: Scope) -> Scope:
        return scope.with_(payload="data" if scope.names["payload"] in {"text", "data"} else "any")

    def shape(self) -> Hashable:
        kinds = (self.every is None, self.last is None, self.count is None, self.gap is None)
        return (HoldingStep.shape(self), kinds)

    def worker(self, host: Host, state: Memory["_Open"]) -> "_Windows":
        return _Windows(host, state, self)

    def remote_job(self, to: Block) -> ast.expr:
        from flowrunner.remote.jobs import window_job

        given = {field.upper(): to.dynamic(getattr(self, field), check_duration) for field in self.GIVEN}
        holes = {"JOB": to.helper(window_job), "KEY": self.plain_key(to), **given}
        return to.expression("JOB(KEY, _held, EVERY, LAST, GAP)", **holes)

    def remote_worker(self, host: Host, place: "Place") -> "RemoteWorker":
        from flowrunner.remote.holding_worker import WindowWorker
        from flowrunner.remote.place import Limits
        from flowrunner.remote.window_scripts import WINDOW, WINDOW_RING

        most = self.max_items if self.count is None else self.count
        statics = (str(most), "0" if self.count is None else "1")
        return WindowWorker(host, (WINDOW, WINDOW_RING), place.path, Limits(self.max_keys, self.ttl), *statics)


@dataclass(slots=True)
class _Open:
    """A window: when each message came and its payload, the last message, when it ends, and how far it looks back."""

    items: deque[tuple[float, Any]] = field(default_factory=deque)
    held: Held = field(default_factory=dict)
    due: float | None = None
    every: float | None = None
    last: float | None = None


class _Windows(KeyedWorker):
    """Collects messages by key."""

    def __init__(self, host: Host, memory: Memory[_Open], step: Window) -> None:
        super().__init__(host, memory)
        self.count = step.count
        self.most = step.max_items if step.count is None else step.count

    def due(self, value: _Open) -> float | None:
        return value.due

    def take(self, key: Key, held: Held, every: float | None, last: float | None, gap: float | None) -> None:
        self.deadlines.ring_due()  # a window may just have ended, and the timer not yet been served
        now = self.clock.time()
        window: _Open = self.memory.get(key) or _Open()
        window.items.append((now, held["payload"]))
        window.held, window.every, window.last = held, every, last
        if len(window.items) > self.most:
            window.items.popleft()
            self.memory.evicted += 1
        self.memory.set(key, window)
        if self.count is not None:
            if len(window.items) >= self.count:
                self.release(key)
        elif gap is not None:
            self.arm(key, window, gap)
        elif window.due is None:
            self.arm(key, window, self.until_boundary(window))

    def arm(self, key: Key, window: _Open, seconds: float) -> None:
        """Set the time at which a window ends."""
        window.due = self.clock.time() + seconds
        self.deadlines.set(key, window.due)

    def until_boundary(self, window: _Open) -> float:
        """Seconds until the next multiple of `every` since 1970."""
        every, now = window.every or 1.0, self.clock.now()
        boundary = (math.floor((now + TOLERANCE) / every) + 1) * every
        return round(boundary - now, 6)  # a float counts seconds since 1970 to some tenths of a microsecond

    def release(self, key: Key) -> None:
        """End a window: emit what is in it."""
        window = self.memory.get(key)
        if window is None:
            return
        window.due = None
        if window.last is not None:
            self.slide(key, window, window.last)
        else:
            self.memory.pop(key)
            self.emit(window)

    def slide(self, key: Key, window: _Open, last: float) -> None:
        """Emit what came in the last time, and keep it for the next end."""
        now = self.clock.time()
        while window.items and now - window.items[0][0] > last + TOLERANCE:
            window.items.popleft()
        if not window.items:
            self.memory.pop(key)
            return
        self.arm(key, window, self.until_boundary(window))
        self.emit(window)

    def emit(self, window: _Open) -> None:
        """Let the list of payloads go on."""
        if window.items:
            self.resume({**window.held, "payload": [payload for _, payload in window.items]})
