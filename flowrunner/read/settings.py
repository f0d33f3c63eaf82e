"""Turns `flowrunner.yaml`, the environment and `--broker` into the settings that all flows share."""

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from flowrunner.address import BadAddress, parse_address
from flowrunner.connections import ConnectionSettings, Notice, TlsSettings
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.document import read_bytes, read_document
from flowrunner.read.nodes import Map, Node, Scalar
from flowrunner.read.secrets import without_secrets
from flowrunner.read.settings_kinds import Address, Certificate, Choice, Duration, Kind, Place, Text, bad_address
from flowrunner.read.settings_lists import Flag, GroupName, Payload, Prefixes, Protocols, TopicText, Whole
from flowrunner.read.settings_maps import MapOf, Record, Setting, Value, VariableNames, given_twice
from flowrunner.read.settings_state import StateAddress
from flowrunner.records import dataclass
from flowrunner.remote.address import StateSettings
from flowrunner.report import Report
from flowrunner.text import Source, Span

DEFAULT = "default"
"""The connection that is used where none is named; it is always there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `flowrunner.yaml` says, complete: `connections` always holds `default`.

    `env` holds the variables that flows may read and that are set; `vars` the constants of all flows; `allow` what
    the user has allowed them beyond that (`exec`), None where nothing will run and it need only be said. `publish_only`
    are beginnings of topics: flows may publish nowhere else; None is everywhere. `group` is the name under which
    machines share their messages, None where they do not; `state` is the Redis in which steps remember, None if they do
    so in this process. In `source` every secret is masked;
    `files` are those with secrets and certificates. Not `is_complete`, if the file could not be read: then nothing
    follows from what is missing.
    """

    connections: Mapping[str, ConnectionSettings] = field(default_factory=lambda: {DEFAULT: ConnectionSettings()})
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    publish_only: tuple[str, ...] | None = None
    group: str | None = field(default=None, repr=False)
    state: StateSettings | None = None
    source: Source | None = None
    files: tuple[Path, ...] = ()
    is_complete: bool = True
    allow: frozenset[str] | None = frozenset()


_SESSION = Record(
    {
        "keep": Setting(
            Duration("1h", least=1), "How long the broker keeps the session after a break.", is_required=True
        )
    },
    "a map such as `{keep: 1h}`",
)

_TLS = Record(
    {
        "ca": Setting(Certificate(), "The certificate of the authority that signed the broker's."),
        "cert": Setting(Certificate(), "The certificate by which flowrunner proves who it is."),
        "key": Setting(Certificate(), "The private key of `cert`."),
        "passphrase": Setting(Text(), 'What opens `key`: `${env.NAME}` or `${file("...")}`.'),
        "alpn": Setting(Protocols(), "Protocols that are offered (ALPN), for brokers that share a port with others."),
    },
    "a map with `ca`, `cert`, `key`",
)

_NOTICE = {
    "topic": Setting(TopicText(), "Where it is published.", is_required=True),
    "payload": Setting(Payload(), "What it says; maps and lists are sent as JSON. Empty by default."),
    "qos": Setting(Whole(0, 2), "Quality of service: 0, 1 or 2; 0 by default."),
    "retain": Setting(Flag(), "Whether the broker keeps it for later subscribers; by default it does not."),
}
_MESSAGE = Record(_NOTICE, "a map with `topic` and `payload`")
_WILL = Record(
    {**_NOTICE, "delay": Setting(Duration("10s"), "How long the broker waits for us to come back first (MQTT 5).")},
    "a map with `topic` and `payload`",
)


def _notice(key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a key; none where its topic was refused."""
    return {key: Notice(**given)} if "topic" in given else {}


#: The keys of a connection; a value sets the field of ConnectionSettings of the same name, unless `sets` says more.
_CONNECTION: dict[str, Setting] = {
    "url": Setting(Address(), "Where the broker is: mqtt, mqtts, ws, wss or mqtt+unix.", lambda _: {}),
    "username": Setting(Text(), "The user name for the broker."),
    "password": Setting(Text(), 'The password for the broker: `${env.NAME}` or `${file("...")}`.'),
    "client_id": Setting(Text(least=1), "The client id; by default a random one that is kept in `.flowrunner/`."),
    "protocol": Setting(Choice(("auto", "5", "3.1.1")), "The version of MQTT; `auto` takes 5, else 3.1.1."),
    "session": Setting(_SESSION, "Keep the session at the broker; by default each connection starts clean.", dict),
    "tls": Setting(_TLS, "Files for an encrypted connection.", lambda files: {"tls": TlsSettings(**files)}),
    "keepalive": Setting(
        Duration("60s", most=65_535, is_whole=True),
        "After how much silence both sides check the connection; `0s` never.",
        lambda seconds: {"keepalive": int(seconds)},
    ),
    "receive_maximum": Setting(
        Whole(1, 65_535), "How many messages at QoS 1 and 2 the broker may send before they are acknowledged (MQTT 5)."
    ),
    "birth": Setting(_MESSAGE, "Is published whenever the connection is made.", lambda given: _notice("birth", given)),
    "will": Setting(
        _WILL, "Is published by the broker when the connection breaks.", lambda given: _notice("will", given)
    ),
    "close": Setting(
        _MESSAGE, "Is published when the connection is ended on purpose.", lambda given: _notice("close", given)
    ),
}  # fmt: skip


#: What other programs have keys of their own for.
_PARTS = {
    **dict.fromkeys(
        ("host", "hostname", "port", "server", "broker", "address", "ip"),
        "host and port stand in one address: `url: mqtt://localhost:1883`",
    ),
    **dict.fromkeys(("ca", "cafile", "cert", "key", "ssl"), "files for TLS stand below it: `tls: {ca: ca.pem}`"),
    "qos": "each `subscribe` and `publish` of a flow has its own `qos`",
    "topic": "topics are named in the flows",
}


@dataclass(frozen=True, slots=True)
class _Connection(Kind):
    """An address alone, or a map."""

    phrase: str = "an address such as `mqtt://localhost:1883`, or a map with `url`"
    record: Record = field(default=Record(_CONNECTION, "a map with `url`", lambda key: _PARTS.get(key, "")))

    def schema(self) -> dict[str, Any]:
        """Either of the two."""
        return {"anyOf": [_CONNECTION["url"].kind.schema(), self.record.schema()]}

    def read(self, node: Node, place: Place) -> ConnectionSettings:
        """The connection; where parts of it are wrong, the report says so and the rest is still good for checks."""
        if not isinstance(node, Map):
            is_replaced = place.is_url_given and place.key == DEFAULT
            address = ConnectionSettings() if is_replaced else Address(self.phrase).read(node, place)
            return replace(address, name=place.key)
        if place.is_url_given and place.key == DEFAULT:
            others = tuple(entry for entry in node if entry.key.text not in ("url", "username", "password"))
            node = replace(node, entries=others)
        values = self.record.read(node, place)
        base: ConnectionSettings = values.get("url", ConnectionSettings())
        changes: dict[str, Any] = {"name": place.key}
        for key, value in values.items():
            sets = _CONNECTION[key].sets
            changes |= sets(value) if sets else {key: value}
        _check_connection(node, values, place)
        return replace(base, **changes)


def _check_connection(node: Map, values: Mapping[str, Any], place: Place) -> None:
    """Say what does not go together."""
    url, tls = node.get("url"), node.get("tls")
    if not url and place.key != DEFAULT:
        helps = ("for example `url: mqtt://localhost:1883`",)
        place.report.say("missing-key", f"`{place.key}` needs `url`", place.span or node.span.first_line(), helps=helps)
    base: ConnectionSettings = values.get("url", ConnectionSettings())
    for key, known in (("username", base.username), ("password", base.password)):
        if known is not None and url and (entry := node.get(key)):
            message = f"the {key} is given twice: here and in `url`"
            place.report.add(given_twice(entry.key.span, url.value.span, message, "here, too"))
    if tls and "url" in values and base.scheme not in ("mqtts", "wss"):
        help = "write `wss://`" if base.scheme == "ws" else "write `mqtts://`"
        message = "`tls` needs an address that begins with `mqtts` or `wss`"
        place.report.say("wrong-value", message, tls.key.span, helps=(help,))
    if tls and isinstance(tls.value, Map) and tls.value.get("key") and not tls.value.get("cert"):
        place.report.say("missing-key", "a `key` needs its certificate: `cert`", tls.value.span.first_line())
    if tls and isinstance(tls.value, Map) and (secret := tls.value.get("passphrase")) and not tls.value.get("key"):
        place.report.say("missing-key", "a `passphrase` needs the `key` that it opens", secret.key.span)


def _connections_help(node: Node) -> tuple[str, ...]:
    is_address = isinstance(node, Scalar) and node.text and "@" not in node.text and len(node.text) < 60
    return (f"write `connections: {{default: {node.text}}}`",) if isinstance(node, Scalar) and is_address else ()


def _foreign(key: str) -> str:
    if key in ("subscribe", "every", "cron", "at_start", "steps", "flows", "on_error", "tests"):
        return "this file holds settings; flows stand in files of their own beside it"
    if key in ("broker", "server", "host", "hostname", "port", "mqtt", "connection"):
        return "the broker is a connection: `connections: {default: mqtt://localhost:1883}`"
    return "connections stand below `connections:`, each under its name" if key in _CONNECTION else ""


#: The keys of `flowrunner.yaml`; each value becomes the field of Settings of the same name.
_SETTINGS: dict[str, Setting] = {
    "connections": Setting(
        MapOf(
            _Connection(),
            "a map from names to connections",
            "a name that is not empty",
            helps=_connections_help,
            instead=ConnectionSettings,
        ),
        "The brokers, by name; `default` is used where a flow names none.",
    ),
    "env": Setting(VariableNames(), "The environment variables that flows may read as `env.NAME`."),
    "vars": Setting(
        MapOf(Value(), "a map from names to values", "a name such as `site`", str.isidentifier),
        "Constants for the expressions of all flows.",
    ),
    "publish_only": Setting(Prefixes(), "Beginnings of topics: flows may publish nowhere else."),
    "group": Setting(GroupName(), "The group of machines, of which each message comes to one (`$share/GROUP/...`)."),
    "state": Setting(
        StateAddress(), "The Redis in which steps keep what they remember, so that several processes share it."
    ),
}

_FILE = Record(_SETTINGS, "a map with `connections`, `env`, `vars`, `group`, `state`", _foreign)


def settings_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7, which editors know best) of `flowrunner.yaml`."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "flowrunner settings",
        "description": "Connections, environment variables and constants for all flows of a folder.",
        **_FILE.schema(),
    }


def read_settings(
    path: Path | None, *, environment: Mapping[str, str], url: str | None = None
) -> tuple[Settings, list[Diagnostic]]:
    """Read the settings file, if there is one, and what is wrong with it. Raises nothing.

    `url` is what `--broker` or FLOWRUNNER_BROKER gave: it replaces url, user and password of the default connection.
    No diagnostic shows what a variable or a file held, or what a password is.
    """
    given, mistakes = _read_url(url) if url else (None, [])
    if path is None:
        return _complete(Settings(), given), mistakes
    name = _shown(path)
    try:
        source, found = read_bytes(name, path.read_bytes())
    except (OSError, ValueError) as error:
        message = f"the file cannot be read: {(getattr(error, 'strerror', '') or 'unknown reason').lower()}"
        return _complete(Settings(is_complete=False), given), [
            *mistakes,
            Diagnostic("unreadable-file", message, Source(name, "").span(0, 0)),
        ]
    if source is None:
        found = [moved for one in found for moved in without_secrets([one], one.span.source)[1]]
        return _complete(Settings(is_complete=False), given), [*mistakes, *found]
    report = Report()
    place = Place("", report, environment, path.parent, is_url_given=bool(url))
    settings = _read_source(source, place)
    masked, found = without_secrets(report.diagnostics, source)
    return _complete(replace(settings, source=masked, files=tuple(place.files)), given), [*mistakes, *found]


def _read_source(source: Source, place: Place) -> Settings:
    node, mistakes = read_document(source)
    place.report.extend(mistakes)
    if node is None:
        return Settings(is_complete=not mistakes)
    if not isinstance(node, Map):
        place.report.say("wrong-value", f"settings must be {_FILE.phrase}", node.span.first_line())
        return Settings(is_complete=False)
    found = _FILE.read(node, place)
    found["env"] = {name: place.environment[name] for name in found.get("env", ()) if name in place.environment}
    return Settings(**found)


def _read_url(url: str) -> tuple[ConnectionSettings | None, list[Diagnostic]]:
    source = Source("--broker", url)
    try:
        return parse_address(url), []
    except BadAddress as bad:
        span = Span(source, bad.start, bad.end)
        return None, without_secrets([bad_address(bad, span)], source)[1]


def _complete(settings: Settings, given: ConnectionSettings | None) -> Settings:
    """The settings with a default connection, at the address that was given."""
    default = settings.connections.get(DEFAULT, ConnectionSettings())
    if given:
        tls = default.tls if given.scheme in ("mqtts", "wss") else TlsSettings()
        place = {key: getattr(given, key) for key in ("scheme", "host", "port", "path", "username", "password")}
        default = replace(default, **place, tls=tls)
    return replace(settings, connections={**settings.connections, DEFAULT: default})


def _shown(path: Path) -> str:
    """The path as people would write it: relative to where they stand, if it lies below."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()
