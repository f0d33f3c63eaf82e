"""Turns a settings file that changes into the last settings without a mistake, and into what that means for flows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from unicodedata import normalize

from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic, as_json, has_errors
from flowrunner.read.digests import Digest, Look
from flowrunner.read.load import find_settings
from flowrunner.read.settings import Settings, read_settings
from flowrunner.read.unread_settings import unread_settings

Words = frozenset[str]
"""Words of which at least one stands in every flow file that a change of the settings concerns."""


class KeepsSettings(Protocol):
    """The settings of a library, as it reads them; see `SettingsFile`."""

    references: dict[Path, Digest]
    settings: Settings
    diagnostics: tuple[Diagnostic, ...]
    reconnect: frozenset[str]
    words: Words
    stays: tuple[str, ...]

    def refresh(self, look: Look) -> None:
        """Take up what changed."""


class SettingsFile:
    """The settings of a library.

    `references` are the files with secrets and certificates, `reconnect` the names of connections that are not as they
    were before the last `refresh`, `words` say which flow files it concerns. `stays` are keys that have another value
    now, and keep their old one: what steps remember does not move while they work.
    """

    def __init__(self, paths: Sequence[Path], environment: Mapping[str, str], url: str | None) -> None:
        self._paths = paths
        self._environment = environment
        self._url = url
        self._path: Path | None = None
        self._digest: Digest = b"never read"
        self._mistakes: tuple[Diagnostic, ...] = ()
        self._unread: tuple[Diagnostic, ...] = ()
        self.references: dict[Path, Digest] = {}
        self.settings = Settings()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.reconnect: frozenset[str] = frozenset()
        self.words: Words = frozenset()
        self.stays: tuple[str, ...] = ()

    def refresh(self, look: Look) -> None:
        """Read the settings again, if anything changed. With a mistake in them the old ones stay."""
        self._refresh(look)
        unread = unread_settings(self._paths)
        if [*map(as_json, unread)] != [*map(as_json, self._unread)]:  # else it is no news
            self._unread = tuple(unread)
        self.diagnostics = (*self._mistakes, *self._unread)

    def _refresh(self, look: Look) -> None:
        self.reconnect = self.words = frozenset()
        self.stays = ()
        path = find_settings(self._paths)
        digest = look.digest(path) if path else None
        is_same = all(look.digest(other) == known for other, known in self.references.items())
        if (path, digest) == (self._path, self._digest) and is_same:
            return
        is_first = self._digest == b"never read"
        self._path, self._digest = path, digest
        files = self._read()[0].files
        before, self.references = self.references, {file: look.digest(file) for file in files}
        settings, diagnostics = self._read()  # again: now nothing in it is older than what was noted of its files
        self._mistakes = tuple(diagnostics)
        if is_first:
            self.settings = settings
        elif not has_errors(diagnostics):
            if settings.state != self.settings.state:
                self.stays = ("state",)
                settings = replace(settings, state=self.settings.state)
            self.reconnect = frozenset(self._broken_off(before, settings))
            self.words = frozenset(words_for(self.settings, settings))
            self.settings = settings

    def _read(self) -> tuple[Settings, list[Diagnostic]]:
        return read_settings(self._path, environment=self._environment, url=self._url)

    def _broken_off(self, before: Mapping[Path, Digest], settings: Settings) -> Iterator[str]:
        for name, connection in settings.connections.items():
            old = self.settings.connections.get(name)
            certificates = certificates_of(connection)
            is_new = any(before.get(file) != self.references.get(file) for file in certificates)
            if old is not None and (old != connection or is_new):
                yield name


def certificates_of(connection: ConnectionSettings) -> list[Path]:
    """The files that a connection needs for TLS."""
    return [Path(file) for file in (connection.tls.ca, connection.tls.cert, connection.tls.key) if file]


def words_for(before: Settings, after: Settings) -> Iterator[str]:
    """Words of the flow files that a change of the settings concerns: names of constants and variables, mostly."""
    yield from differing(before.vars, after.vars)
    variables = list(differing(before.env, after.env))
    yield from [*variables, "env"] if variables else []
    if before.publish_only != after.publish_only:
        yield ""  # which stands everywhere
    if before.connections.keys() != after.connections.keys():
        yield "connection"


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    """The keys whose values are not the same; 1 and true are not."""
    missing = object()
    for name in {**before, **after}:
        if repr(before.get(name, missing)) != repr(after.get(name, missing)):
            yield name


def is_concerned(text: str, words: Words) -> bool:
    """Whether a flow file may hold one of the words; with an escape in it, nobody knows."""
    plain = text if text.isascii() else normalize("NFKC", text)
    return "\\" in plain or any(word in plain for word in words)
