"""Says what the page asks of whoever runs flows, so that it can be shown without a broker."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.run.failures import Failures
from flowrunner.run.live import LiveFlow
from flowrunner.run.overview import Connected
from flowrunner.run.recent import Arrived
from flowrunner.run.tapping import Watcher


class Runs(Protocol):
    """A runner."""

    @property
    def flows(self) -> Mapping[str, LiveFlow]:
        """What runs, by name."""

    @property
    def connections(self) -> Mapping[str, Connected]:
        """The connections in use, by name."""

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""

    @property
    def failures(self) -> Failures:
        """What failed."""

    def publisher(self, connection: str) -> Publish:
        """The function that publishes on a connection."""

    async def tap(self, watchers: Mapping[str, Watcher], by: str = "page") -> frozenset[str]:
        """Have these flows looked into, by name, and no others by this one; returns those that are."""


class Remembers(Protocol):
    """Knows the last messages of flows, and looks at those that it is told of."""

    def of(self, flow: str) -> Sequence[Arrived]:
        """The last messages of a flow, the oldest first."""
