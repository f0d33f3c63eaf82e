"""Turns what a session at a broker holds into a file, so that the next start can give up what nobody wants any more."""

from pathlib import Path

import orjson

from flowrunner.run.identity import FOLDER, replace_file

_FILE = "subscriptions"


class KeptFilters:
    """The topic filters of one session, in `.flowrunner/` inside `folder`.

    A session is known by the name of its connection, its client id and the address of its broker. Each `member` of a
    group has a file of its own: nobody replaces what another one has noted.
    """

    def __init__(self, folder: Path, connection: str, client_id: str, url: str, *, member: str = "") -> None:
        self._path = folder / FOLDER / (f"{_FILE}-{member}.json" if member else f"{_FILE}.json")
        self._connection = connection
        self._session = {"client_id": client_id, "url": url}
        self._noted: frozenset[str] | None = None

    def read(self) -> frozenset[str]:
        """The filters that were noted last; none where nothing is known."""
        found = self._all().get(self._connection)
        if not isinstance(found, dict) or any(found.get(key) != value for key, value in self._session.items()):
            return frozenset()
        filters = found.get("filters")
        return frozenset(one for one in filters if isinstance(one, str)) if isinstance(filters, list) else frozenset()

    def note(self, filters: frozenset[str]) -> None:
        """Note other filters, readable for the owner only. Where nothing can be written, nothing is."""
        if filters != self._noted:
            self._noted = filters
            entry = {**self._session, "filters": sorted(filters)}
            replace_file(self._path, orjson.dumps({**self._all(), self._connection: entry}))

    def _all(self) -> dict[str, object]:
        try:
            known = orjson.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
