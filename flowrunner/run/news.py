"""Turns what becomes of connections into lines of news."""

from collections.abc import Sequence
from typing import Any

from flowrunner.diagnostics import name_list
from flowrunner.run.connection import Connection
from flowrunner.run.failures import Failures
from flowrunner.run.link import Terms
from flowrunner.run.links import knows_paho
from flowrunner.run.report import Report


class ConnectionNews:
    """The listener of all connections of a runner."""

    def __init__(self, report: Report, failures: Failures) -> None:
        self._report = report
        self._failures = failures
        self._dropped: dict[str, int] = {}
        self._is_paho_known = knows_paho()

    def connected(self, connection: Connection, terms: Terms, away: float | None) -> None:
        """The broker has accepted."""
        version = "5" if terms.version == 5 else "3.1.1"
        if away is None:
            text = f"connected to {connection.settings.shown} (MQTT {version})"
        else:
            text = f"back on {connection.settings.shown} after {_spoken(away)}{self._spoken_loss(connection)}"
        self._warn_of_paho()
        session = terms.session_present
        if session and connection.settings.keep is not None:
            text += "; the session was kept"
        self._say(connection, "connected", text, "info", protocol=version, away=away, session_present=session)
        if away is not None and connection.settings.keep is not None and not session:
            words = "the broker did not keep the session: what it held for us meanwhile is lost"
            self._say(connection, "session-lost", words, "warning")
        if terms.maximum_qos < 2:
            self._say(
                connection, "limit", f"this broker takes no QoS above {terms.maximum_qos}: it is lowered", "warning"
            )
        if not terms.has_retain:
            self._say(connection, "limit", "this broker keeps no retained messages: `retain` has no effect", "warning")

    def away(self, connection: Connection, reason: str) -> None:
        """There is no broker."""
        self._say(connection, "away", f"{reason}{_joint(reason)}trying again and again", "warning")

    def lost(self, connection: Connection, reason: str) -> None:
        """The connection broke."""
        self._dropped[connection.settings.name] = connection.link.dropped
        because = f": {reason}" if reason else ""
        self._say(connection, "lost", f"lost the connection to {connection.settings.shown}{because}", "warning")

    def not_subscribed(
        self, connection: Connection, topic_filter: str, flows: Sequence[str], reason: str, *, is_refused: bool
    ) -> None:
        """A subscription was refused, or granted with less than was asked for."""
        names = name_list(flows)
        words = f"{names} cannot hear `{topic_filter}`" if is_refused else f"{names} on `{topic_filter}`"
        level = "error" if is_refused else "warning"
        self._say(connection, "not-subscribed", f"{words}: {reason}", level, filter=topic_filter, flows=list(flows))

    def not_published(self, connection: Connection, topic: str, reason: str) -> None:
        """A publish was lost."""
        name = connection.settings.name
        words = f"a message to `{topic}` on `{name}` was dropped: {reason}"
        self._failures.tell("not-published", words, alike=(name, reason))

    def _warn_of_paho(self) -> None:
        """Say, once, that messages take the slow way."""
        if not self._is_paho_known:
            self._is_paho_known = True
            words = "this version of paho-mqtt is not known here: it is used as it is, and messages take the slow way"
            self._report.say("unknown-paho", words, level="warning")

    def _spoken_loss(self, connection: Connection) -> str:
        dropped = connection.link.dropped - self._dropped.get(connection.settings.name, 0)
        return f"; {dropped} publishes at QoS 0 were dropped meanwhile" if dropped else ""

    def _say(self, connection: Connection, event: str, text: str, level: str, **fields: Any) -> None:
        name, url = connection.settings.name, connection.settings.shown
        prefix = "" if name == "default" else f"{name}: "
        self._report.say(event, prefix + text, level=level, connection=name, url=url, **fields)


def _joint(reason: str) -> str:
    return " " if reason.endswith("?") else "; "


def _spoken(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
