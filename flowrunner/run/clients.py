"""Turns the connections of the settings into those of the clients that one process opens, each with a client id."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from flowrunner.connections import ConnectionSettings
from flowrunner.run.identity import client_id
from flowrunner.run.kept_filters import KeptFilters
from flowrunner.run.live import base_name
from flowrunner.run.sharing import Sharing

#: What the client ids of connections for flows with one owner end in.
_OWN = "-own"


class Clients:
    """The clients of a runner, by the names of their connections.

    Where it is `sharing` there are two to each entry of the settings: one for the flows that all members of the group
    run, and one for those with one owner. Only the first says who we are (birth, will, close).
    """

    def __init__(
        self, connections: Mapping[str, ConnectionSettings], folder: Path | None, sharing: Sharing | None
    ) -> None:
        self._known = {"default": ConnectionSettings(), **connections}
        self._folder = folder
        self._member = sharing.member if sharing is not None else ""
        self._ids: dict[str, str] = {}

    def given(self, connection: str) -> ConnectionSettings:
        """What the settings say of a connection."""
        return self._known[self._base(connection)]

    def replace(self, connections: Mapping[str, ConnectionSettings], *, used: Collection[str]) -> None:
        """Know other settings; of connections that are `used` and not among them, the old ones stay."""
        stays = {self._base(name): self.given(name) for name in used}
        self._known = {"default": ConnectionSettings(), **stays, **connections}

    def keep_client_id(self, connection: str, kept: str | None) -> bool:
        """Go on with the client id that the settings gave before; true if they give another one now."""
        settings = self.given(connection)
        self._known[self._base(connection)] = replace(settings, client_id=kept)
        return settings.client_id != kept

    def settings(self, connection: str) -> ConnectionSettings:
        """The settings of a client."""
        settings = self.given(connection)
        if settings.client_id is not None:
            settings = replace(settings, client_id=self.client_id(connection))
        if not self._is_own(connection):
            return settings
        return replace(settings, name=connection, birth=None, will=None, close=None)

    def client_id(self, connection: str) -> str:
        """The client id: the one of the settings, or the one that is kept for it, with what tells members apart."""
        base = self._base(connection)
        known = self._known[base].client_id or self._ids.get(base)
        if known is None:
            known = self._ids[base] = client_id(base, self._folder)
        member = f"-{self._member}" if self._member else ""
        return f"{known}{member}{_OWN if self._is_own(connection) else ''}"

    def ledger(self, connection: str) -> KeptFilters | None:
        """Where is noted what the session of a client holds; None where it has none that lasts."""
        settings = self.settings(connection)
        if self._folder is None or settings.keep is None:
            return None
        own_id = self.client_id(connection)
        return KeptFilters(self._folder, connection, own_id, settings.shown, member=self._member)

    def is_silent(self, connection: str) -> bool:
        """Whether a client says nothing of the runner, because another one does."""
        return self._is_own(connection)

    def _is_own(self, connection: str) -> bool:
        return connection not in self._known

    def _base(self, connection: str) -> str:
        return connection if connection in self._known else base_name(connection)
