"""Turns the letters that were given on a command line into what a client needs to know to connect."""

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.letters import checked_topic, payload_bytes
from flowrunner.cli.options import Misuse
from flowrunner.cli.paths import DEFAULT_PATH, tell_of_unread_settings
from flowrunner.connections import DEFAULT_PORTS, ConnectionSettings, Protocol, TlsSettings
from flowrunner.diagnostics import has_errors
from flowrunner.errors import FlowError

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

    tell_of_unread_settings([DEFAULT_PATH])
    settings, mistakes = read_settings(find_settings([DEFAULT_PATH]), environment=os.environ)
    if has_errors(mistakes):
        raise FlowError(mistakes)
    return settings.connections[DEFAULT]
