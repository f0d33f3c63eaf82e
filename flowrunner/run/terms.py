"""Turns the CONNACK of a broker into the terms of a connection, and wishes into properties of SUBSCRIBE."""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from flowrunner.run.link import Terms


def read_terms(version: int, properties: Properties | None, *, session_present: bool) -> Terms:
    """What the broker allows (MQTT 5.0 section 3.2.2.3); `version` is 5, or 4 for 3.1.1."""
    if version != 5 or properties is None:
        return Terms(version=version, session_present=session_present, has_identifiers=False)
    said = vars(properties)
    return Terms(
        session_present=session_present,
        receive_maximum=said.get("ReceiveMaximum", 65_535),
        maximum_packet=said.get("MaximumPacketSize"),
        maximum_qos=said.get("MaximumQoS", 2),
        has_retain=bool(said.get("RetainAvailable", 1)),
        has_wildcards=bool(said.get("WildcardSubscriptionAvailable", 1)),
        has_identifiers=bool(said.get("SubscriptionIdentifierAvailable", 1)),
        has_shared=bool(said.get("SharedSubscriptionAvailable", 1)),
    )


def subscribe_properties(identifier: int) -> Properties | None:
    """Properties of a SUBSCRIBE with this subscription identifier (MQTT 5.0 section 3.8.2.1); 0 means none."""
    if not identifier:
        return None
    properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
    properties.SubscriptionIdentifier = identifier
    return properties
