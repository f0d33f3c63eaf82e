"""Turns a stream into every nth message, or the latest once per time: the step `sample`."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from flowrunner.code import Host
from flowrunner.memory import Held, Key, Memory
from flowrunner.options import CountOrDuration, option
from flowrunner.remembering import GatingStep, KeyedWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(GatingStep):
    """Pass every nth message (`sample: 10`), or the latest once per time (`sample: 1s`).

    Of ten messages the tenth passes. A time begins with a message; when it is over, the latest that came in it passes,
    and where none came nothing does.
    """

    KEY = "sample"
    EXAMPLES = (
        """
        subscribe: fast
        steps:
          - sample: 2
          - publish: half
        tests:
          - given: [{topic: fast, payload: 1}, {topic: fast, payload: 2}, {topic: fast, payload: 3}]
            expect: {topic: half, payload: 2}
        """,
        """
        subscribe: fast
        steps:
          - sample: 1s
          - publish: slow
        tests:
          - given: [{topic: fast, payload: 1}, {topic: fast, payload: 2}, {after: 1s}, {after: 5s}]
            expect: {topic: slow, payload: 2}
        """,
    )

    every: int | float = option(CountOrDuration(), "a number of messages, or a duration", main=True)

    def shape(self) -> Hashable:
        return (GatingStep.shape(self), self.is_cut())

    def lasting(self) -> tuple[tuple[str, Any], ...]:
        return (("every", self.every),)  # a number of messages is an int

    def is_cut(self) -> bool:
        return isinstance(self.every, float)

    def worker(self, host: Host, state: Memory[Any]) -> "_Sampler":
        return _Sampler(host, state, self.every)


class _Sampler(KeyedWorker):
    """Counts messages by key, or holds the latest of each and knows when it is due."""

    def __init__(self, host: Host, memory: Memory[Any], every: float) -> None:
        super().__init__(host, memory)
        self.every = every

    def due(self, value: Any) -> float | None:
        return value[1] if isinstance(value, tuple) else None

    def passes(self, key: Key) -> bool:
        """Whether this message is an nth one."""
        number = (self.memory.get(key) or 0) + 1
        self.memory.set(key, 0 if number >= self.every else number)
        return number >= self.every

    def take(self, key: Key, held: Held) -> None:
        self.deadlines.ring_due()
        known = self.memory.get(key)
        due = self.clock.time() + self.every if known is None else known[1]
        self.memory.set(key, (held, due))
        self.deadlines.set(key, due)

    def release(self, key: Key) -> None:
        """Let the latest message of a key go."""
        if pending := self.memory.pop(key):
            self.resume(pending[0])
