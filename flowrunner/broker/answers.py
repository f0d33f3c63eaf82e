"""Writes the packets with which the broker answers a client (MQTT 5.0 sections 3.4 to 3.7, 3.9, 3.11 and 3.14)."""

from flowrunner.broker.codec import frame
from flowrunner.broker.properties import Property, encode_properties
from flowrunner.broker.reasons import Reason


def disconnect(reason: Reason, text: str, *, largest: int) -> bytes:
    """Write a DISCONNECT; without the text if the packet would be larger than the client takes."""
    packet = frame(0xE0, bytes((reason,)) + _explanation(text))
    return packet if text and len(packet) <= largest else bytes((0xE0, 1, reason))


def acknowledgement(kind: int, packet_id: int, reason: Reason, text: str, *, largest: int) -> bytes:
    """Write a PUBACK, PUBREC, PUBREL or PUBCOMP; a success has no reason, and any other may have a text."""
    identifier = packet_id.to_bytes(2, "big")
    if reason == Reason.SUCCESS:
        return bytes((kind, 2)) + identifier
    short = bytes((kind, 3)) + identifier + bytes((reason,))
    if not text:
        return short
    packet = frame(kind, identifier + bytes((reason,)) + _explanation(text))
    return packet if len(packet) <= largest else short


def list_of_answers(kind: int, packet_id: int, answers: bytes, text: str, *, largest: int) -> bytes:
    """Write a SUBACK or UNSUBACK of MQTT 5: one reason code for each filter, and a text for all of them."""
    identifier = packet_id.to_bytes(2, "big")
    packet = frame(kind, identifier + _explanation(text) + answers)
    return packet if len(packet) <= largest else frame(kind, identifier + b"\0" + answers)


def _explanation(text: str) -> bytes:
    return encode_properties([(Property.REASON_STRING, text)] if text else [])
