"""Turns words of a command line into MQTT 5 properties."""

from collections.abc import Sequence
from typing import Any

import click
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from flowrunner.cli.letters import SEPARATOR
from flowrunner.diagnostics import suggest

_PACKETS = {
    "connect": PacketTypes.CONNECT,
    "publish": PacketTypes.PUBLISH,
    "subscribe": PacketTypes.SUBSCRIBE,
    "unsubscribe": PacketTypes.UNSUBSCRIBE,
    "disconnect": PacketTypes.DISCONNECT,
    "will": PacketTypes.WILLMESSAGE,
}
_LIMITS = {
    "Byte": 1,  # every property of one byte that a client sends is a yes or no
    "Two Byte Integer": 0xFFFF,
    "Four Byte Integer": 0xFFFFFFFF,
    "Variable Byte Integer": 0xFFFFFFF,
}
_NEVER_ZERO = {"Receive Maximum", "Topic Alias", "Maximum Packet Size", "Subscription Identifier"}


def read_properties(wishes: Sequence[str]) -> dict[str, Properties]:
    """The properties of each packet, each joined to one text by SEPARATOR; raise UsageError (MQTT 5.0 2.2.2)."""
    found: dict[str, Properties] = {}
    for wish in wishes:
        packet, name, *values = wish.split(SEPARATOR)
        packet = packet.lower()
        if packet not in _PACKETS:
            raise click.UsageError(f"`-D` can give properties to {', '.join(_PACKETS)}, not to `{packet}`")
        if packet not in found:
            found[packet] = Properties(_PACKETS[packet])  # type: ignore[no-untyped-call]
        _set(found[packet], packet, name, values)
    return found


def _set(properties: Properties, packet: str, name: str, values: list[str]) -> None:
    known = {_dashed(spaced): spaced for spaced in properties.names}
    if name not in known:
        near = suggest(name, known)
        raise click.UsageError(f"there is no property `{name}`" + (f"; did you mean `{near}`?" if near else ""))
    kind, packets = properties.properties[properties.names[known[name]]]
    if _PACKETS[packet] not in packets:
        raise click.UsageError(f"`{name}` is no property of `{packet}`")
    try:
        setattr(properties, known[name].replace(" ", ""), _value(known[name], properties.types[kind], values))
    except ValueError as error:
        raise click.UsageError(f"`{values[0]}` is no value for the property `{name}`") from error


def _value(name: str, kind: str, values: list[str]) -> Any:
    if kind in _LIMITS:
        number = int(values[0])
        lowest, highest = (1, min(_LIMITS[kind], 0xFFFFFFF)) if name in _NEVER_ZERO else (0, _LIMITS[kind])
        if not lowest <= number <= highest:
            raise ValueError(number)
        return number
    if kind == "Binary Data":
        return values[0].encode()
    return (values[0], values[1]) if kind == "UTF-8 String Pair" else values[0]


def _dashed(name: str) -> str:
    """`Message Expiry Interval` -> `message-expiry-interval`."""
    return name.replace(" ", "-").lower()
