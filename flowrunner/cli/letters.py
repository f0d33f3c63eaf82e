"""Turns the letters of mosquitto's clients into what a client needs to know to connect."""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Command, Function, Misuse, broker_option_in, compose, option
from flowrunner.cli.paths import DEFAULT_PATH
from flowrunner.connections import DEFAULT_PORTS, ConnectionSettings, Protocol, TlsSettings
from flowrunner.diagnostics import has_errors
from flowrunner.errors import FlowError
from flowrunner.topics import BadTopic, check_topic

if TYPE_CHECKING:
    from flowrunner.cli.client import ClientOptions

_PROTOCOLS: dict[str, Protocol] = {
    "5": "5",
    "mqttv5": "5",
    "311": "3.1.1",
    "mqttv311": "3.1.1",
    "3.1.1": "3.1.1",
    "auto": "auto",
}
_CONNECTION, _SESSION, _TLS = "Connection", "Session and will", "TLS"

SEPARATOR = "\0"
"""Between the words of one `-D`, which the command line brings as several; no word can hold it."""


class ClientCommand(Command):
    """A command that takes the letters; `-D` is followed by three words, or four."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the words of each `-D` before click counts them."""
        return super().parse_args(ctx, join_properties(args))


def join_properties(arguments: Sequence[str]) -> list[str]:
    """The command line with the three or four words behind each `-D` joined to one."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word == "--":
            return joined + rest
        if word in ("-D", "--property"):
            count = 4 if rest[1:2] == ["user-property"] else 3
            if len(rest) < count:
                raise click.UsageError(f"`{word}` wants PACKET NAME VALUE, such as `publish content-type text/plain`")
            joined.append(SEPARATOR.join(rest[:count]))
            rest = rest[count:]
    return joined


def client_command(name: str, *, examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Like `command`, for one that takes the letters."""
    return click.command(name, cls=ClientCommand, examples=examples)


def qos_option(help: str) -> Callable[[Function], Function]:
    """`-q 0|1|2`."""
    return option("-q", "--qos", type=click.IntRange(0, 2), default=0, metavar="0|1|2", section="Messages", help=help)


connection_options = compose(
    option("-h", "--host", metavar="HOST", section=_CONNECTION,
           help="Broker to connect to [the one of flows/flowrunner.yaml, else localhost]."),
    option("-p", "--port", metavar="PORT", type=click.IntRange(1, 65535), section=_CONNECTION,
           help="Its port [1883, with TLS 8883]; 8883 means TLS."),
    broker_option_in(_CONNECTION),
    option("-L", "--url", metavar="URL", section=_CONNECTION,
           help="Broker and topic at once: mqtt://user:password@host:1883/the/topic."),
    option("--unix", metavar="PATH", section=_CONNECTION, help="Connect through a local socket."),
    option("-u", "--username", metavar="NAME", section=_CONNECTION, help="User name."),
    option("-P", "--password", "--pw", metavar="TEXT", section=_CONNECTION, help="Password."),
    option("-V", "--protocol-version", "protocol", metavar="VERSION", section=_CONNECTION,
           help="5, 311 or auto (5, else 311) [311; auto with --json; 5 with -D]."),
    option("-i", "--id", metavar="TEXT", section=_CONNECTION, help="Client id [a random one]."),
    option("-I", "--id-prefix", metavar="TEXT", section=_CONNECTION, help="Begin the random client id with this."),
    option("-k", "--keepalive", metavar="SECONDS", type=click.IntRange(0, 65535), default=60, section=_CONNECTION,
           help="Longest silence before a ping [60]; 0 for none."),
    option("-A", "bind_address", metavar="ADDRESS", section=_CONNECTION,
           help="Address of this machine to connect from."),
    option("-D", "--property", "properties", metavar="PACKET NAME VALUE", multiple=True, section=_CONNECTION,
           help="MQTT 5 property, such as `-D publish content-type text/plain`; `user-property` takes NAME VALUE."),
    option("-c", "--disable-clean-session", "keep", is_flag=True, section=_SESSION,
           help="Let the broker keep the session; needs -i."),
    option("-x", "--session-expiry-interval", "expiry", metavar="SECONDS", type=int, section=_SESSION,
           help="How long it keeps it (MQTT 5) [for ever, with -c]."),
    option("--will-topic", metavar="TOPIC", section=_SESSION,
           help="Topic of the message that the broker sends when this client is lost."),
    option("--will-payload", metavar="TEXT", section=_SESSION, help="Its payload [empty]."),
    option("--will-qos", metavar="0|1|2", type=click.IntRange(0, 2), section=_SESSION, help="Its QoS [0]."),
    option("--will-retain", is_flag=True, section=_SESSION, help="Retain it."),
    option("--cafile", metavar="FILE", section=_TLS, help="Certificates to trust, instead of the system's."),
    option("--cert", metavar="FILE", section=_TLS, help="Certificate of this client."),
    option("--key", metavar="FILE", section=_TLS, help="Its private key."),
    option("--insecure", is_flag=True, section=_TLS, help="Accept a certificate made for another host."),
    option("--tls-use-os-certs", "tls", is_flag=True, section=_TLS, help="Use TLS, with the system's certificates."),
    option("-d", "--debug", is_flag=True, help="Show every packet."),
    option("--quiet", is_flag=True, help="Say nothing about what goes wrong; the exit code tells."),
    option("--nodelay", is_flag=True, hidden=True, help="What flowrunner always does."),
)  # fmt: skip


def client_options(given: dict[str, Any]) -> "tuple[ClientOptions, str]":
    """Take the letters out of what click parsed; return how to connect, and the topic of `-L` (or an empty text).

    Raise UsageError where letters contradict each other.
    """
    from flowrunner.cli.client import ClientOptions, Will
    from flowrunner.cli.properties import read_properties

    properties = read_properties(given.pop("properties"))
    settings, topic = _address(given)
    settings = _with_tls(settings, given)
    settings = replace(
        settings,
        username=_first(given.pop("username"), settings.username),
        password=_first(given.pop("password"), settings.password),
        protocol=_protocol(given.pop("protocol"), has_properties=bool(properties), is_json=bool(given.get("as_json"))),
        keepalive=given.pop("keepalive"),
        keep=_keep(is_kept=given.pop("keep"), expiry=given.pop("expiry")),
        client_id=given.pop("id"),
    )
    if settings.keep is not None and not settings.client_id:
        raise click.UsageError("a session that the broker keeps needs a client id: add `-i NAME`")
    will = _will(given)
    options = ClientOptions(
        settings,
        will=Will(*will) if will else None,
        properties=properties,
        client_id_prefix=given.pop("id_prefix") or "",
        bind_address=given.pop("bind_address") or "",
        inflight=given.pop("inflight", 20),
        check_host_name=not given.pop("insecure"),
        is_debug=given.pop("debug"),
        is_quiet=given.pop("quiet"),
    )
    given.pop("nodelay")
    return options, topic


def checked_topic(text: str) -> str:
    """The text, if a message can be published to it, else UsageError says why not."""
    try:
        check_topic(text)
    except BadTopic as error:
        raise click.UsageError(f"`{text}` is no topic: {error.message}") from None
    return text


def payload_bytes(text: str) -> bytes:
    """The bytes that stood on the command line, whatever their encoding."""
    return os.fsencode(text)


def given_payload(given: Mapping[str, Any]) -> bytes:
    """What `-m`, `-f` or `-s` says is to be sent; nothing where it is none of them."""
    if given["message"] is not None:
        return payload_bytes(given["message"])
    file: Path | None = given["file"]
    if file is not None:
        return file.read_bytes()
    return sys.stdin.buffer.read() if given["stdin"] else b""


def _address(given: dict[str, Any]) -> tuple[ConnectionSettings, str]:
    host, port, unix = given.pop("host"), given.pop("port"), given.pop("unix")
    url, broker = given.pop("url"), given.pop("broker")
    ways = {"-h and -p": host or port, "--unix": unix, "-L": url, "--broker": broker}
    used = [name for name, value in ways.items() if value]
    if len(used) > 1:
        raise click.UsageError(f"{' and '.join(used)} both name a broker: give one")
    if unix:
        return ConnectionSettings(scheme="mqtt+unix", host="", port=0, path=unix), ""
    if host or port:
        return ConnectionSettings(host=host or "localhost", port=port or 0), ""
    if url:
        return _split_url(url)
    return default_address(broker), ""


def _split_url(url: str) -> tuple[ConnectionSettings, str]:
    scheme, mark, rest = url.partition("://")
    server, _, topic = rest.partition("/")
    if scheme not in ("mqtt", "mqtts") or not mark:
        raise click.UsageError("`-L` wants mqtt://HOST/TOPIC or mqtts://HOST/TOPIC")
    return default_address(f"{scheme}://{server}"), topic


def _with_tls(settings: ConnectionSettings, given: dict[str, Any]) -> ConnectionSettings:
    tls = TlsSettings(given.pop("cafile") or "", given.pop("cert") or "", given.pop("key") or "")
    if tls.key and not tls.cert:
        raise click.UsageError("`--key` belongs to a certificate: add `--cert FILE`")
    is_wanted = given.pop("tls") or tls != TlsSettings() or settings.port == DEFAULT_PORTS["mqtts"]
    if is_wanted and settings.scheme == "mqtt":
        settings = replace(settings, scheme="mqtts")
    port = settings.port or DEFAULT_PORTS[settings.scheme]
    return replace(settings, port=port, tls=tls if tls != TlsSettings() else settings.tls)


def _protocol(wanted: str | None, *, has_properties: bool, is_json: bool) -> Protocol:
    if wanted is None:
        return "5" if has_properties else "auto" if is_json else "3.1.1"
    if wanted.lower() not in _PROTOCOLS:
        raise click.UsageError(f"`-V` must be 5, 311 or auto, not `{wanted}`")
    protocol = _PROTOCOLS[wanted.lower()]
    if has_properties and protocol == "3.1.1":
        raise click.UsageError("properties (`-D`) need MQTT 5: leave `-V` away")
    return protocol


def _keep(*, is_kept: bool, expiry: int | None) -> float | None:
    if expiry is None:
        return math.inf if is_kept else None
    return math.inf if expiry < 0 else float(expiry) or None


def _will(given: dict[str, Any]) -> tuple[str, bytes, int, bool] | None:
    topic, payload = given.pop("will_topic"), given.pop("will_payload")
    qos, is_retained = given.pop("will_qos"), given.pop("will_retain")
    if topic is None:
        if payload is not None or qos is not None or is_retained:
            raise click.UsageError("a will needs a topic: add `--will-topic TOPIC`")
        return None
    return checked_topic(topic), payload_bytes(payload or ""), qos or 0, is_retained


def _first(value: str | None, other: str | None) -> str | None:
    return other if value is None else value


def default_address(broker: str | None) -> ConnectionSettings:
    """The broker of `--broker`, else `FLOWRUNNER_BROKER`, else `flows/flowrunner.yaml`, else localhost:1883.

    Raises UsageError for a bad address, FlowError for settings with mistakes.
    """
    from flowrunner.address import BadAddress, parse_address

    text = broker or os.environ.get("FLOWRUNNER_BROKER")
    if not text:
        return _address_of_settings()
    try:
        return parse_address(text)
    except BadAddress as error:
        raise Misuse(error.message, error.help) from None


def _address_of_settings() -> ConnectionSettings:
    from flowrunner.read.load import find_settings
    from flowrunner.read.settings import DEFAULT, read_settings

    settings, mistakes = read_settings(find_settings([DEFAULT_PATH]), environment=os.environ)
    if has_errors(mistakes):
        raise FlowError(mistakes)
    return settings.connections[DEFAULT]
