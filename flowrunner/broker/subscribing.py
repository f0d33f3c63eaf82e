"""Handles SUBSCRIBE, UNSUBSCRIBE and PINGREQ (MQTT 5.0 sections 3.8 to 3.13)."""

from flowrunner.broker.answers import list_of_answers
from flowrunner.broker.codec import Reader, frame
from flowrunner.broker.connection import Connection
from flowrunner.broker.hub import Hub
from flowrunner.broker.properties import (
    IN_SUBSCRIBE,
    IN_UNSUBSCRIBE,
    NO_PROPERTIES,
    Property,
    read_properties,
)
from flowrunner.broker.reasons import Reason, forbidden, malformed
from flowrunner.broker.session import Session
from flowrunner.broker.subscriptions import Subscription
from flowrunner.topics import BadTopic, Filter, parse_filter

_LONGEST_TEXT = 1_000


def on_subscribe(connection: Connection, flags: int, reader: Reader) -> None:
    """Add subscriptions, answer each, then send the retained messages (MQTT 5.0 section 3.8)."""
    session = connection.session
    assert session is not None
    if flags != 2:
        raise malformed("the flags of a SUBSCRIBE are wrong")
    packet_id = reader.packet_id()
    properties = read_properties(reader, IN_SUBSCRIBE) if connection.is_v5 else NO_PROPERTIES
    identifier = properties.get(Property.SUBSCRIPTION_IDENTIFIER, 0)
    requests = _read_requests(reader, is_v5=connection.is_v5)
    answers: list[int] = []
    faults: list[str] = []
    wants_retained: list[Subscription] = []
    for text, options in requests:
        topic_filter, reason, fault = _check(connection.hub, session, text)
        if topic_filter is None:
            answers.append(reason if connection.is_v5 else 0x80)
            faults.append(fault)
            continue
        subscription = _subscription(session, topic_filter, options, identifier)
        is_new = connection.hub.subscriptions.add(subscription)
        handling = options >> 4 & 3
        if not topic_filter.share and (handling == 0 or (handling == 1 and is_new)):
            wants_retained.append(subscription)
        answers.append(subscription.qos)
    _answer(connection, 0x90, packet_id, bytes(answers), faults)
    for subscription in wants_retained:
        _send_retained(connection, session, subscription)


def on_unsubscribe(connection: Connection, flags: int, reader: Reader) -> None:
    """Take subscriptions away (MQTT 5.0 section 3.10)."""
    session = connection.session
    assert session is not None
    if flags != 2:
        raise malformed("the flags of an UNSUBSCRIBE are wrong")
    packet_id = reader.packet_id()
    if connection.is_v5:
        read_properties(reader, IN_UNSUBSCRIBE)
    texts = []
    while not reader.is_done:
        texts.append(reader.text())
    if not texts:
        raise forbidden("an UNSUBSCRIBE must name a topic filter")
    removed = [connection.hub.subscriptions.remove(session, text) for text in texts]
    answers = bytes(Reason.SUCCESS if was_there else Reason.NO_SUBSCRIPTION_EXISTED for was_there in removed)
    _answer(connection, 0xB0, packet_id, answers if connection.is_v5 else b"", [])


def on_pingreq(connection: Connection, flags: int, reader: Reader) -> None:
    """Answer a client that wants to know whether the broker is there (MQTT 5.0 section 3.12)."""
    if flags:
        raise malformed("the flags of a PINGREQ are wrong")
    reader.expect_end()
    connection.send(b"\xd0\x00")


def _read_requests(reader: Reader, *, is_v5: bool) -> list[tuple[str, int]]:
    requests = []
    while not reader.is_done:
        text, options = reader.text(), reader.byte()
        if options & 3 == 3 or options & (0xC0 if is_v5 else 0xFC):
            raise malformed("the options of a subscription have bits that mean nothing")
        if options & 0x30 == 0x30:
            raise forbidden("there is no retain handling 3")
        if options & 4 and text.startswith("$share/"):
            raise forbidden("a shared subscription must not be no_local")
        requests.append((text, options))
    if not requests:
        raise forbidden("a SUBSCRIBE must name a topic filter")
    return requests


def _check(hub: Hub, session: Session, text: str) -> tuple[Filter | None, Reason, str]:
    """Return the filter, or why a session cannot subscribe to it."""
    try:
        topic_filter = parse_filter(text)
    except BadTopic as fault:
        return None, Reason.TOPIC_FILTER_INVALID, fault.message
    if len(topic_filter.levels) > hub.limits.topic_levels:
        return None, Reason.TOPIC_FILTER_INVALID, f"a filter has at most {hub.limits.topic_levels} levels"
    if text not in session.subscriptions and len(session.subscriptions) >= hub.limits.subscriptions:
        return None, Reason.QUOTA_EXCEEDED, f"a client has at most {hub.limits.subscriptions} subscriptions"
    if session.access is not None and not session.access.may_subscribe(topic_filter):
        return None, Reason.NOT_AUTHORIZED, "this user may read no topic of this filter"
    return topic_filter, Reason.SUCCESS, ""


def _subscription(session: Session, topic_filter: Filter, options: int, identifier: int) -> Subscription:
    return Subscription(
        session,
        topic_filter,
        qos=options & 3,
        no_local=options & 4 != 0,
        retain_as_published=options & 8 != 0,
        identifier=identifier,
    )


def _answer(connection: Connection, kind: int, packet_id: int, answers: bytes, faults: list[str]) -> None:
    if not connection.is_v5:
        connection.send(frame(kind, packet_id.to_bytes(2, "big") + answers))
        return
    text = "; ".join(faults)[:_LONGEST_TEXT] if connection.explains else ""
    connection.send(list_of_answers(kind, packet_id, answers, text, largest=connection.largest_packet))


def _send_retained(connection: Connection, session: Session, subscription: Subscription) -> None:
    """Send a new subscription the messages that were kept for it (MQTT 5.0 section 3.3.1.3)."""
    retained = connection.hub.retained.find(subscription.topic_filter, connection.now())
    for topic, message in retained:
        is_own = subscription.no_local and message.publisher == session.client_id
        if not is_own and session.may_read(topic):
            qos = min(message.qos, subscription.qos)
            session.queue_retained(message, qos, identifiers=subscription.encoded_identifier, count=len(retained))
    session.resume()
