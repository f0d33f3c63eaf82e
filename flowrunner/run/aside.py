"""Gives a flow that runs aside what it asks of its host: an empty memory, and a clock that nobody waits for."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.lines import Waits
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.read.flow import Flow
from flowrunner.stores import Store, Stores

State = TypeVar("State")


class Aside(ABC):
    """What is alike in the hosts of flows that are tested, rehearsed or previewed: no broker hears of them.

    See `flowrunner.code.Host`; what is not here differs. `starts` are called when the flow begins; `waits` are to be
    closed at its end.
    """

    def __init__(self, flow: Flow, clock: Clock) -> None:
        self.flow = flow
        self.now = clock.now
        self.stores = Stores(clock)
        self.starts: list[Callable[[], object]] = []
        self.waits: list[Waits] = []

    @abstractmethod
    def sent(self, message: Message, connection: str) -> None:
        """Hear of a message that would have been published."""

    def publisher(self, connection: str) -> Publish:
        """See `Host`."""

        def publish(
            topic: str,
            payload: bytes,
            qos: int = 0,
            retain: bool = False,  # noqa: FBT001, FBT002
            properties: Properties = NO_PROPERTIES,
            /,
        ) -> None:
            self.sent(Message(topic, payload, qos, retain, properties), connection)

        return publish

    def keep(self, name: str, shape: Hashable, make: Callable[[], State]) -> State:  # noqa: ARG002
        """See `Host`: the memory is empty."""
        return make()

    def store(self, name: str, *, is_shared: bool, is_kept: bool, max_keys: int | None) -> Store:  # noqa: ARG002
        """See `Host`: nothing is on a disk."""
        store = self.stores.open("" if is_shared else self.flow.name, name)
        store.claim(self, max_keys)
        return store

    def on_turn(self, start: Callable[[], object], stop: Callable[[], object]) -> None:  # noqa: ARG002
        """See `Host`."""
        self.starts.append(start)

    def waiting(self, waits: Waits) -> None:
        """See `Host`."""
        self.waits.append(waits)

    def queue_dropped(self, flow: str, place: str) -> None:  # noqa: B027 - may stay empty
        """See `Host`."""

    def queue_drained(self, flow: str, place: str) -> None:  # noqa: B027 - may stay empty
        """See `Host`."""

    def stopped(self, flow: str, reason: str) -> None:  # noqa: B027 - may stay empty
        """See `Host`."""


@contextmanager
def same_chance() -> Iterator[None]:
    """Chance is the same each time, and goes on afterwards as if nothing had been asked of it."""
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)
