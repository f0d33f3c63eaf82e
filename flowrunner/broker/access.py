"""Turns an access list, written as for mosquitto, into who may read and write which topics."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flowrunner.topics import BadTopic, Filter, covers, matches, overlaps, parse_filter

_WORDS = ("user", "topic", "pattern")
_MODES = ("read", "write", "readwrite", "deny")


class BadAccessList(ValueError):
    """An access list cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One line of an access list: `mode` is read, write, readwrite or deny; `text` may hold %u and %c in a pattern."""

    mode: str
    text: str
    is_pattern: bool = False

    def topic_filter(self, user: str | None, client_id: str) -> Filter | None:
        """Return its filter for this client; None for a pattern that does not fit the client."""
        if not self.is_pattern:
            return parse_filter(self.text)
        names = {"%u": user or "", "%c": client_id}
        # A name must not widen the filter that it is put into.
        if any(
            not name or any(letter in name for letter in "+#/") for mark, name in names.items() if mark in self.text
        ):
            return None
        try:
            return parse_filter(re.sub("%[uc]", lambda found: names[found[0]], self.text))
        except BadTopic:
            return None


class ClientAccess:
    """The lines of an access list for one client: a `deny` wins, and what no line allows is refused."""

    def __init__(self, lines: list[tuple[str, Filter]]) -> None:
        self._lines = lines

    def may_read(self, topic: str) -> bool:
        """Whether the client may have the messages of a topic."""
        return self._allows("read", topic)

    def may_write(self, topic: str) -> bool:
        """Whether the client may publish to a topic."""
        return self._allows("write", topic)

    def may_subscribe(self, topic_filter: Filter) -> bool:
        """Whether a subscription could ever bring the client a message that it may read."""
        modes = {mode for mode, line in self._lines if overlaps(line, topic_filter)}
        is_denied = any(mode == "deny" and covers(line, topic_filter) for mode, line in self._lines)
        return not is_denied and bool(modes & {"read", "readwrite"})

    def _allows(self, wanted: str, topic: str) -> bool:
        modes = {mode for mode, allowed in self._lines if matches(allowed, topic)}
        return "deny" not in modes and bool(modes & {wanted, "readwrite"})


class AccessList:
    """Who may read and write what; a client without a user name has the lines before the first `user`."""

    def __init__(self, permissions: dict[str | None, list[Permission]], patterns: list[Permission]) -> None:
        self._permissions = permissions
        self._patterns = patterns

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an access list from a file; BadAccessList or OSError if that fails."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"), name=str(path))
        except UnicodeDecodeError:
            raise BadAccessList(f"{path}: must be text in UTF-8") from None

    @classmethod
    def parse(cls, text: str, *, name: str = "access list") -> Self:
        """Read an access list: lines `user NAME`, `topic [MODE] FILTER`, `pattern [MODE] FILTER`, `# comment`."""
        permissions: dict[str | None, list[Permission]] = {}
        patterns: list[Permission] = []
        user: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            word, _, rest = line.strip().partition(" ")
            rest = rest.strip()
            if not word or word.startswith("#"):
                continue
            if word not in _WORDS or not rest:
                advice = "must be `user NAME`, `topic MODE FILTER` or `pattern MODE FILTER`"
                raise BadAccessList(f"{name}:{number}: {advice}")
            if word == "user":
                user = rest
                continue
            try:
                permission = _permission(rest, is_pattern=word == "pattern")
            except BadTopic as fault:
                raise BadAccessList(f"{name}:{number}: {fault}") from None
            (patterns if permission.is_pattern else permissions.setdefault(user, [])).append(permission)
        return cls(permissions, patterns)

    def of_client(self, user: str | None, client_id: str) -> ClientAccess:
        """Work out what one client may do."""
        lines: list[tuple[str, Filter]] = []
        for permission in [*self._permissions.get(user, ()), *self._patterns]:
            topic_filter = permission.topic_filter(user, client_id)
            if topic_filter is not None:
                lines.append((permission.mode, topic_filter))
        return ClientAccess(lines)


def _permission(text: str, *, is_pattern: bool = False) -> Permission:
    mode, _, rest = text.partition(" ")
    if mode in _MODES and rest.strip():
        text = rest.strip()
    else:
        mode = "readwrite"
    parse_filter(text.replace("%u", "u").replace("%c", "c") if is_pattern else text)
    return Permission(mode, text, is_pattern)
