"""Handles PUBLISH and the acknowledgements of both directions (MQTT 5.0 sections 3.3 to 3.7 and 4.3)."""

from flowrunner.broker.answers import acknowledgement
from flowrunner.broker.codec import Reader
from flowrunner.broker.connection import Connection
from flowrunner.broker.message import Message
from flowrunner.broker.properties import IN_ACKNOWLEDGEMENT, IN_PUBLISH, Property, read_properties
from flowrunner.broker.reasons import Fault, Reason, malformed
from flowrunner.broker.session import Session
from flowrunner.broker.subscriptions import Route

_PUBACK, _PUBREC, _PUBREL, _PUBCOMP = 0x40, 0x50, 0x62, 0x70


def on_publish(connection: Connection, header: int, data: bytes, start: int, end: int) -> None:
    """Take a message from a client and hand it on (MQTT 5.0 section 3.3)."""
    hub = connection.hub
    session = connection.session
    assert session is not None
    qos = header >> 1 & 3
    if start + 2 > end:
        raise malformed("a PUBLISH must have a topic")
    place = start + 2 + (data[start] << 8) + data[start + 1]
    topic = data[start + 2 : place]
    packet_id = 0
    if qos:
        packet_id = int.from_bytes(data[place : place + 2], "big")
        place += 2
    if place > end or qos == 3 or (qos and not packet_id) or (header & 8 and not qos):
        raise _publish_fault(qos, place > end)
    properties, lifetime = b"", None
    if connection.is_v5:
        if data[place : place + 1] == b"\0" and topic and place < end:
            place += 1
        else:
            topic, properties, lifetime, place = _read_properties(connection, topic, Reader(data, place, end))
    route = hub.subscriptions.routes.get(topic) or hub.subscriptions.route(topic)
    counters = hub.counters
    counters.publishes_received += 1
    counters.publish_bytes_received += end - start
    if qos == 2 and packet_id in session.received:
        _acknowledge(connection, _PUBREC, packet_id)
        return
    if qos == 2 and connection.is_v5 and len(session.received) >= hub.limits.receive_maximum:
        raise Fault(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more QoS 2 messages at once than the receive maximum")
    if refusal := _refusal(session, route):
        if qos:
            _acknowledge(connection, _PUBACK if qos == 1 else _PUBREC, packet_id, Reason.NOT_AUTHORIZED, refusal)
        return
    message = Message(
        topic,
        data[place:end],
        qos,
        header & 1 == 1,
        properties,
        lifetime,
        connection.now(),
        session.client_id,
    )
    if qos:
        # First: a client that gets its own message back may leave right after it.
        reason = Reason.SUCCESS if route.has_receivers(session) else Reason.NO_MATCHING_SUBSCRIBERS
        if qos == 2:
            session.received.add(packet_id)
        _acknowledge(connection, _PUBACK if qos == 1 else _PUBREC, packet_id, reason)
    hub.publish(message, route, session)


def on_puback(connection: Connection, flags: int, reader: Reader) -> None:
    """End a QoS 1 message (MQTT 5.0 section 3.4)."""
    packet_id, _ = _read_acknowledgement(connection, flags, reader)
    _session(connection).acknowledge(packet_id, 1)


def on_pubrec(connection: Connection, flags: int, reader: Reader) -> None:
    """Let go of a QoS 2 message and say so (MQTT 5.0 section 3.5)."""
    packet_id, reason = _read_acknowledgement(connection, flags, reader)
    session = _session(connection)
    if reason >= 0x80:
        session.refuse(packet_id)
    elif session.release(packet_id):
        _acknowledge(connection, _PUBREL, packet_id)
    else:
        _acknowledge(connection, _PUBREL, packet_id, Reason.PACKET_ID_NOT_FOUND)


def on_pubrel(connection: Connection, flags: int, reader: Reader) -> None:
    """Let go of the identifier of a message that a client published with QoS 2 (MQTT 5.0 section 3.6)."""
    packet_id, _ = _read_acknowledgement(connection, flags, reader, expected_flags=2)
    received = _session(connection).received
    reason = Reason.SUCCESS if packet_id in received else Reason.PACKET_ID_NOT_FOUND
    received.discard(packet_id)
    _acknowledge(connection, _PUBCOMP, packet_id, reason)


def on_pubcomp(connection: Connection, flags: int, reader: Reader) -> None:
    """End a QoS 2 message (MQTT 5.0 section 3.7)."""
    packet_id, _ = _read_acknowledgement(connection, flags, reader)
    _session(connection).acknowledge(packet_id, 2)


def _session(connection: Connection) -> Session:
    assert connection.session is not None
    return connection.session


def _publish_fault(qos: int, is_short: bool) -> Fault:  # noqa: FBT001
    if is_short:
        return malformed("a PUBLISH ends in the middle of its topic or packet identifier")
    if qos == 3:
        return malformed("a PUBLISH must not have QoS 3")
    if qos:
        return malformed("a packet identifier must not be 0")
    return malformed("a PUBLISH with QoS 0 must not be marked as a duplicate")


def _read_properties(connection: Connection, topic: bytes, reader: Reader) -> tuple[bytes, bytes, int | None, int]:
    """Return topic, forwarded properties, expiry and where the payload starts (MQTT 5.0 section 3.3.2.3)."""
    properties = read_properties(reader, IN_PUBLISH)
    alias = properties.get(Property.TOPIC_ALIAS)
    if alias is not None:
        if alias > connection.hub.limits.topic_aliases:
            raise Fault(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias} is higher than the broker's maximum")
        if topic:
            connection.aliases[alias] = topic
        elif alias in connection.aliases:
            topic = connection.aliases[alias]
        else:
            raise Fault(Reason.PROTOCOL_ERROR, f"topic alias {alias} stands for no topic yet")
    elif not topic:
        raise Fault(Reason.PROTOCOL_ERROR, "a PUBLISH must have a topic or a topic alias")
    return topic, properties.forwarded, properties.get(Property.MESSAGE_EXPIRY), reader.place


def _refusal(session: Session, route: Route) -> str:
    if route.topic.startswith("$SYS/"):
        return "only the broker publishes below $SYS"
    if session.access is not None and not session.access.may_write(route.topic):
        return "this user may not publish to this topic"
    return ""


def _acknowledge(
    connection: Connection, kind: int, packet_id: int, reason: Reason = Reason.SUCCESS, text: str = ""
) -> None:
    if not connection.is_v5:
        reason = Reason.SUCCESS
    elif not connection.explains:
        text = ""
    connection.send(acknowledgement(kind, packet_id, reason, text, largest=connection.largest_packet))


def _read_acknowledgement(
    connection: Connection, flags: int, reader: Reader, *, expected_flags: int = 0
) -> tuple[int, int]:
    """Return the packet identifier and the reason code of a PUBACK, PUBREC, PUBREL or PUBCOMP."""
    if flags != expected_flags:
        raise malformed("the flags of an acknowledgement are wrong")
    packet_id = reader.packet_id()
    reason = 0
    if connection.is_v5 and not reader.is_done:
        reason = reader.byte()
        if not reader.is_done:
            read_properties(reader, IN_ACKNOWLEDGEMENT)
    reader.expect_end()
    return packet_id, reason
