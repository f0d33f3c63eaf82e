"""Turns the properties of a packet into a map and back, strict about which belong where (MQTT 5.0 section 2.2.2)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from flowrunner.broker.codec import Reader, encode_binary, encode_text, encode_variable
from flowrunner.broker.reasons import Fault, Reason, forbidden, malformed


class Property(IntEnum):
    """The identifiers of properties (MQTT 5.0 section 2.2.2.2)."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27


@dataclass(frozen=True, slots=True)
class Properties:
    """What a packet carried: values by identifier; `forwarded` are the bytes that travel with a message.

    User properties are a list of pairs.
    """

    values: dict[int, Any]
    forwarded: bytes = b""

    def get(self, key: Property, default: Any = None) -> Any:
        """Return the value of a property, or the default where the packet has none."""
        return self.values.get(key, default)


NO_PROPERTIES = Properties({})

IN_CONNECT = frozenset({0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27})
IN_WILL = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26})
IN_PUBLISH = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26})
IN_ACKNOWLEDGEMENT = frozenset({0x1F, 0x26})
IN_SUBSCRIBE = frozenset({0x0B, 0x26})
IN_UNSUBSCRIBE = frozenset({0x26})
IN_DISCONNECT = frozenset({0x11, 0x1F, 0x26})

_NOT_FORWARDED = frozenset({Property.MESSAGE_EXPIRY, Property.TOPIC_ALIAS, Property.WILL_DELAY})


def _read_pair(reader: Reader) -> tuple[str, str]:
    return reader.text(), reader.text()


def _encode_pair(pair: tuple[str, str]) -> bytes:
    return encode_text(pair[0]) + encode_text(pair[1])


def _encode_byte(value: int) -> bytes:
    return bytes((value,))


def _encode16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _encode32(value: int) -> bytes:
    return value.to_bytes(4, "big")


_BYTE = (Reader.byte, _encode_byte)
_NUMBER16 = (Reader.number16, _encode16)
_NUMBER32 = (Reader.number32, _encode32)
_TEXT = (Reader.text, encode_text)
_BINARY = (Reader.binary, encode_binary)

_CODECS: dict[int, tuple[Callable[[Reader], Any], Callable[[Any], bytes]]] = {
    Property.PAYLOAD_FORMAT: _BYTE,
    Property.MESSAGE_EXPIRY: _NUMBER32,
    Property.CONTENT_TYPE: _TEXT,
    Property.RESPONSE_TOPIC: _TEXT,
    Property.CORRELATION_DATA: _BINARY,
    Property.SUBSCRIPTION_IDENTIFIER: (Reader.variable, encode_variable),
    Property.SESSION_EXPIRY: _NUMBER32,
    Property.ASSIGNED_CLIENT_ID: _TEXT,
    Property.SERVER_KEEP_ALIVE: _NUMBER16,
    Property.AUTHENTICATION_METHOD: _TEXT,
    Property.AUTHENTICATION_DATA: _BINARY,
    Property.REQUEST_PROBLEM_INFORMATION: _BYTE,
    Property.WILL_DELAY: _NUMBER32,
    Property.REQUEST_RESPONSE_INFORMATION: _BYTE,
    Property.REASON_STRING: _TEXT,
    Property.RECEIVE_MAXIMUM: _NUMBER16,
    Property.TOPIC_ALIAS_MAXIMUM: _NUMBER16,
    Property.TOPIC_ALIAS: _NUMBER16,
    Property.USER_PROPERTY: (_read_pair, _encode_pair),
    Property.MAXIMUM_PACKET_SIZE: _NUMBER32,
}

_FLAGS = frozenset(
    {Property.PAYLOAD_FORMAT, Property.REQUEST_PROBLEM_INFORMATION, Property.REQUEST_RESPONSE_INFORMATION}
)
_NEVER_ZERO = frozenset({Property.SUBSCRIPTION_IDENTIFIER, Property.RECEIVE_MAXIMUM, Property.MAXIMUM_PACKET_SIZE})


def read_properties(reader: Reader, allowed: frozenset[int]) -> Properties:
    """Read the properties of a packet in which only `allowed` may stand, or raise Fault."""
    length = reader.variable()
    if not length:
        return NO_PROPERTIES
    end = reader.place + length
    if end > reader.end:
        raise malformed("the properties are longer than the packet")
    body = Reader(reader.data, reader.place, end)
    values: dict[int, Any] = {}
    forwarded = bytearray()
    while not body.is_done:
        start = body.place
        key = body.variable()
        if key not in allowed:
            raise malformed(f"property 0x{key:02x} must not stand in this packet")
        value = _CODECS[key][0](body)
        if key == Property.USER_PROPERTY:
            values.setdefault(key, []).append(value)
        elif key in values:
            raise forbidden(f"property 0x{key:02x} must not stand twice in one packet")
        else:
            _check_value(key, value)
            values[key] = value
        if key not in _NOT_FORWARDED:
            forwarded += body.data[start : body.place]
    reader.place = end
    return Properties(values, bytes(forwarded))


def _check_value(key: int, value: Any) -> None:
    if key in _FLAGS and value > 1:
        raise forbidden(f"property 0x{key:02x} must be 0 or 1")
    if key in _NEVER_ZERO and value == 0:
        raise forbidden(f"property 0x{key:02x} must not be 0")
    if key == Property.TOPIC_ALIAS and value == 0:
        raise Fault(Reason.TOPIC_ALIAS_INVALID, "a topic alias must not be 0")
    if key == Property.RESPONSE_TOPIC and (not value or "+" in value or "#" in value):
        raise forbidden("a response topic must not be empty or contain a wildcard")


def encode_properties(pairs: Iterable[tuple[Property, Any]]) -> bytes:
    """Write properties behind their length."""
    body = b"".join(bytes((key,)) + _CODECS[key][1](value) for key, value in pairs)
    return encode_variable(len(body)) + body
