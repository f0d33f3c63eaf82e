"""Says what keeps flows running: a runner in this process, or several in processes of their own that look like one."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from flowrunner.connections import ConnectionSettings
from flowrunner.run.live import Program
from flowrunner.run.report import Report
from flowrunner.run.shown import Published, Remembers


class Runs(Published, Protocol):
    """A runner, for those who begin, change and end it; see `Runner`."""

    report: Report

    async def apply(self, programs: Iterable[Program]) -> None:
        """Run exactly these programs; those that run already go on, and so does one whose new version cannot begin."""

    async def reconnect(
        self, connections: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Use other settings, and connect anew those of these names that are in use; returns which."""

    def regroup(self, group: str | None) -> None:
        """Share messages with other machines, or with nobody, from the next `apply` on."""

    def tell(self, name: str, payload: bytes) -> None:
        """Say something of the runner itself, retained, on `flowrunner/<client id>/<name>`."""

    async def heard(self) -> None:
        """Wait until every broker has answered what the flows want of it."""

    async def tried(self) -> None:
        """Wait until every broker has answered, or cannot be reached; a few seconds at most."""

    def remember(self) -> Remembers:
        """What remembers the last messages of each flow from now on."""

    async def close(self) -> None:
        """Take no more messages, finish what is in work, and leave the brokers."""

    def abandon(self) -> None:
        """Leave nothing behind where this process ends at once."""
