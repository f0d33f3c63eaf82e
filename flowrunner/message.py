"""Turns what a broker delivers into what steps work on."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from flowrunner.records import dataclass

#: Properties of an MQTT 5 message as flows see them: `user` (a map of texts), `content_type`, `response_topic` (texts),
#: `correlation_data` (bytes), `message_expiry` (seconds). Only those that the message has are in it.
Properties = Mapping[str, Any]

NO_PROPERTIES: Properties = {}


@dataclass(frozen=True, slots=True)
class Message:
    """An application message (MQTT 5.0 section 3.3): topic name, payload in bytes, QoS 0 to 2, retain flag."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=lambda: NO_PROPERTIES)
