"""Turns the properties of a PUBLISH into bytes and back (MQTT 5.0 section 2.2.2)."""

import struct
from collections.abc import Callable
from typing import Any

from paho.mqtt.exception import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.properties import checked, from_paho

_IDENTIFIER, _USER = 11, 38
_KINDS = {"message_expiry": 2, "content_type": 3, "response_topic": 8, "correlation_data": 9, "user": _USER}

_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")

Read = tuple[Properties, tuple[int, ...], int]
"""Properties as flows see them, the identifiers of the subscriptions that matched, and where the payload begins."""


class Malformed(ValueError):
    """Bytes are not what MQTT says they must be."""


def pack_length(number: int) -> bytes:
    """A number up to 268 435 455 as a variable byte integer (MQTT 5.0 section 1.5.5)."""
    packed = bytearray()
    while number > 127:
        packed.append(number & 127 | 128)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def read_length(data: bytes, place: int) -> tuple[int, int]:
    """A variable byte integer, and where it ends. Raises IndexError where it is cut off, Malformed after four bytes."""
    number = 0
    for shift in (0, 7, 14, 21):
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise Malformed("a length has more than four bytes")


def pack_properties(properties: Properties) -> bytes:
    """Properties with their length before them. Raises StepError for a value that the protocol cannot carry."""
    packed = bytearray()
    for name, value in checked(properties):
        kind = _KINDS[name]
        if kind == _USER:
            for key, item in value:
                packed.append(kind)
                packed += _with_length(key) + _with_length(item)
        else:
            packed.append(kind)
            packed += _U32.pack(value) if isinstance(value, int) else _with_length(value)
    return pack_length(len(packed)) + packed


def read_properties(data: bytes, place: int) -> Read:
    """Properties of a PUBLISH that begin at this place. Raises Malformed, in the cases in which paho does."""
    try:
        return _read(data, place)
    except (ValueError, LookupError):
        return _read_as_paho(data, place)


def _read(data: bytes, place: int) -> Read:
    length, place = read_length(data, place)
    end = place + length
    if end > len(data):
        raise Malformed("the properties are cut off")
    found: dict[str, Any] = {}
    identifiers: list[int] = []
    while place < end:
        kind = data[place]
        if kind == _IDENTIFIER:
            identifier, place = read_length(data, place + 1)
            identifiers.append(identifier)
        elif kind == _USER:
            key, place = _read_text(data, place + 1)
            found.setdefault("user", {})[key], place = _read_text(data, place)
        else:
            name, read = _FIELDS[kind]
            if name in found:
                raise Malformed("a property is there twice")
            found[name], place = read(data, place + 1)
    if place != end or 0 in identifiers or found.pop("format", 0) > 1 or found.pop("alias", 1) == 0:
        raise Malformed("the properties do not end where they should, or the value of one is not allowed")
    return found or NO_PROPERTIES, tuple(identifiers), end


def _read_as_paho(data: bytes, place: int) -> Read:
    """The same by paho, which takes some of what the standard forbids."""
    found = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    try:
        _, length = found.unpack(data[place:])  # type: ignore[no-untyped-call]
    except (MQTTException, ValueError, LookupError, struct.error) as error:
        raise Malformed(str(error)) from error
    plain, identifiers = from_paho(found)
    return plain, identifiers, place + length


def _with_length(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _U16.pack(len(data)) + data


def _read_text(data: bytes, place: int) -> tuple[str, int]:
    read, end = _read_bytes(data, place)
    text = read.decode()
    if "\0" in text:
        raise Malformed("a text holds the character NUL")
    return text, end


def _read_bytes(data: bytes, place: int) -> tuple[bytes, int]:
    start = place + 2
    end = start + (data[place] << 8 | data[place + 1])
    if end > len(data):
        raise Malformed("a property is cut off")
    return data[start:end], end


def _read_byte(data: bytes, place: int) -> tuple[int, int]:
    return data[place], place + 1


def _read_u16(data: bytes, place: int) -> tuple[int, int]:
    return data[place] << 8 | data[place + 1], place + 2


def _read_u32(data: bytes, place: int) -> tuple[int, int]:
    end = place + 4
    if end > len(data):
        raise Malformed("a property is cut off")
    return int.from_bytes(data[place:end], "big"), end


#: What a PUBLISH may have once, by its number. Flows do not see `format` and `alias`, of which we allow none.
_FIELDS: dict[int, tuple[str, Callable[[bytes, int], tuple[Any, int]]]] = {
    1: ("format", _read_byte),
    2: ("message_expiry", _read_u32),
    3: ("content_type", _read_text),
    8: ("response_topic", _read_text),
    9: ("correlation_data", _read_bytes),
    35: ("alias", _read_u16),
}
