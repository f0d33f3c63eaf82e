"""Turns what workers tell of their clients into one connection."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from flowrunner.connections import ConnectionSettings
from flowrunner.run.link import Terms
from flowrunner.workers.glance import ConnectionGlance
from flowrunner.workers.sums import Line, Sum


class FleetConnection:
    """An entry of `connections:`, on which each worker has clients of its own; see `Connection`. It is its own link."""

    def __init__(self, settings: Callable[[], ConnectionSettings]) -> None:
        self._settings = settings
        self._last = settings()
        self._counts = Sum()
        self._clients: dict[Line, ConnectionGlance] = {}
        self._lost: dict[int, int] = {}

    @property
    def settings(self) -> ConnectionSettings:
        """Its settings, the last ones if it is not among the settings any more."""
        with suppress(KeyError):
            self._last = self._settings()
        return self._last

    @property
    def terms(self) -> Terms | None:
        """What the broker allows; None while there is none."""
        return next((one.terms for one in self._clients.values() if one.terms is not None), None)

    @property
    def link(self) -> "FleetConnection":
        """Its counters."""
        return self

    @property
    def clients(self) -> tuple[int, int]:
        """How many of its clients have their broker, and how many there are, or were in a worker that is away."""
        there = sum(one.terms is not None for one in self._clients.values())
        return there, len(self._clients) + sum(self._lost.values())

    @property
    def is_subscribed(self) -> bool:
        """Whether all its clients have their broker, and were granted every subscription."""
        return not self._lost and all(one.is_subscribed for one in self._clients.values())

    @property
    def published(self) -> int:
        """Publishes so far."""
        return self._counts.of("published")

    @property
    def dropped(self) -> int:
        """Publishes at QoS 0 that nobody was there to take."""
        return self._counts.of("dropped")

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""
        return sum(one.pending for one in self._clients.values())

    @property
    def is_used(self) -> bool:
        """Whether some worker has it, or will have it again."""
        return bool(self._clients or self._lost)

    @property
    def workers(self) -> tuple[int, ...]:
        """The workers that have it, those first that have a broker."""
        lines = sorted(self._clients, key=lambda line: (self._clients[line].terms is None, line))
        return tuple(dict.fromkeys(number for number, _ in lines))

    def take(self, number: int, glances: Sequence[ConnectionGlance]) -> None:
        """Take what a worker tells of its clients."""
        self._lost.pop(number, None)
        found = {(number, glance.line): glance for glance in glances}
        gone = [line for line in self._clients if line[0] == number and line not in found]
        self._counts.end(gone)
        self._clients = {line: one for line, one in self._clients.items() if line[0] != number} | found
        for line, glance in found.items():
            self._counts.take(line, {"published": glance.published, "dropped": glance.dropped})

    def end(self, number: int) -> None:
        """A worker has ended; it will come back."""
        lines = [line for line in self._clients if line[0] == number]
        self._counts.end(lines)
        for line in lines:
            del self._clients[line]
        if lines:
            self._lost[number] = len(lines)
