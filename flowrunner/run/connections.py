"""Turns names of connections into connections: opened when somebody needs one, closed when nobody does any more."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.code import Publish
from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.run.backoff import Backoff
from flowrunner.run.clients import Clients
from flowrunner.run.connection import Connection
from flowrunner.run.failures import Failures
from flowrunner.run.live import LiveFlow, base_name
from flowrunner.run.membership import Membership
from flowrunner.run.news import ConnectionNews
from flowrunner.run.permission import harmless, limited, showing
from flowrunner.run.promises import Promises
from flowrunner.run.report import Report

if TYPE_CHECKING:
    from flowrunner.run.explaining import Explaining

#: Seconds that brokers have to answer before what is not about messages begins.
FIRST_TRY = 3.0


class Connections:
    """The connections of a runner; those that are `open`, by name.

    If it `is_read_only`, nothing is published on them.
    """

    def __init__(
        self,
        settings: Mapping[str, ConnectionSettings],
        report: Report,
        failures: Failures,
        promises: Promises,
        membership: Membership,
        *,
        folder: Path | None,
        backoff: Callable[[], Backoff],
        explaining: "Explaining | None",
        is_read_only: bool,
    ) -> None:
        self.open: dict[str, Connection] = {}
        self._is_read_only = is_read_only
        self._clients = Clients(self._meant(settings), folder, membership.sharing)
        self._membership = membership
        self._report = report
        self._failed = failures.failed
        self._news = ConnectionNews(report, failures)
        self._promises = promises
        self._backoff = backoff
        self._explaining = explaining

    def of(self, name: str) -> Connection:
        """The connection of this name, which is opened if it is not yet."""
        connection = self.open.get(name)
        return self._open(name) if connection is None else connection

    def publisher(self, name: str) -> Publish:
        """The function that publishes on a connection, for no flow."""
        link = self.of(name).link
        return showing(link) if self._is_read_only else link.publish

    def publisher_of(self, name: str, flow: LiveFlow) -> Publish:
        """What publishes on a connection for one flow."""
        link = self.of(name).link
        publish = showing(link) if self._is_read_only else self._promises.publisher(link, flow, name)
        return limited(publish, getattr(flow.program.flow, "publish_only", ()))

    def client_id(self, name: str) -> str:
        """The client id of a connection, whether it is open or not."""
        return self._clients.client_id(name)

    def tell(self, name: str, payload: bytes) -> None:
        """Say something of the runner, on `default` or, if that is not open, on the first one; see `Runner.tell`."""
        if self.open:
            speaking = [one for one in self.open if not self._clients.is_silent(one)]
            chosen = "default" if "default" in speaking else min(speaking)
            self.open[chosen].presence.tell(name, payload)

    async def heard(self) -> None:
        """Wait until every broker has answered what the flows want of it."""
        for connection in list(self.open.values()):
            await connection.subscriptions.complete.wait()

    async def tried(self) -> None:
        """Wait until every broker has answered, or cannot be reached; a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY):
                for connection in list(self.open.values()):
                    await connection.tried()

    async def reconnect(
        self, settings: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Use other settings from now on, and connect anew those of these names that are open; returns which."""
        clients, before = self._clients, {name: self._clients.given(name) for name in self.open}
        clients.replace(self._meant(settings), used=before)
        changed: list[str] = []
        for name in sorted(name for name in before if {name, base_name(name)} & set(names)):
            self._keep_client_id(name, before[name])
            wanted = clients.settings(name)
            # a certificate may be another one
            if wanted != self.open[name].settings or wanted.tls != TlsSettings():
                changed.append(name)
        changes = (self.open[name].change(clients.settings(name), clients.ledger(name)) for name in changed)
        await asyncio.gather(*changes)
        return tuple(changed)

    async def close_unused(self, flows: Iterable[LiveFlow]) -> None:
        """Close those that these flows do not use, and through which nothing comes for others any more."""
        used = {name for flow in flows for name in flow.connections}
        used |= {name for name, connection in self.open.items() if connection.subscriptions.parting}
        unused = [name for name in self.open if name not in used | {base_name(name) for name in used}]
        await asyncio.gather(*(self.open.pop(name).close() for name in unused))

    def stop(self) -> None:
        """Hand no more messages to the flows."""
        for connection in self.open.values():
            connection.link.stop()

    async def close(self) -> None:
        """Close them all."""
        await asyncio.gather(*(connection.close() for connection in self.open.values()))
        self.open.clear()

    def _open(self, name: str) -> Connection:
        clients, is_silent = self._clients, self._clients.is_silent(name)
        if is_silent:
            self.of(base_name(name))  # which says that we are there
        connection = self.open[name] = Connection(
            clients.settings(name),
            clients.client_id(name),
            self._news,
            self._failed,
            backoff=self._backoff(),
            ledger=clients.ledger(name),
            tap=self._explaining.tap(name) if self._explaining is not None else None,
            members=1 if is_silent else self._membership.members,
        )
        if self._is_read_only or is_silent:
            connection.presence.stay_silent()
        connection.start()
        return connection

    def _meant(self, settings: Mapping[str, ConnectionSettings]) -> Mapping[str, ConnectionSettings]:
        return {name: harmless(one) for name, one in settings.items()} if self._is_read_only else settings

    def _keep_client_id(self, name: str, before: ConnectionSettings) -> None:
        """Go on with the client id there was: the session at the broker hangs on it."""
        if self._clients.keep_client_id(name, before.client_id):
            stays = f"it stays `{self.open[name].client_id}` until the end"
            words = f"`client_id` of `{name}` cannot change while flows run: {stays}"
            self._report.say("not-reloadable", words, level="warning", connection=name, setting="client_id")
