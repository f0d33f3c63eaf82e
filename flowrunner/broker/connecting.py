"""Handles CONNECT and DISCONNECT: who a client is, and which session it gets (MQTT 5.0 sections 3.1, 3.2, 3.14)."""

import logging
import secrets
import sys
from asyncio import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowrunner.broker.codec import Reader, frame
from flowrunner.broker.connection import Connection
from flowrunner.broker.hub import Hub
from flowrunner.broker.message import Message, Will
from flowrunner.broker.properties import (
    IN_CONNECT,
    IN_DISCONNECT,
    IN_WILL,
    NO_PROPERTIES,
    Properties,
    Property,
    encode_properties,
    read_properties,
)
from flowrunner.broker.reasons import OLD_RETURN_CODES, Fault, Reason, forbidden, malformed
from flowrunner.broker.session import FOR_EVER, Session

log = logging.getLogger("flowrunner.broker")

_VERSIONS = {("MQIsdp", 3): "3.1", ("MQTT", 4): "3.1.1", ("MQTT", 5): "5"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a CONNECT asks for (MQTT 5.0 section 3.1)."""

    version: str
    client_id: str
    is_clean: bool
    keep_alive: int
    properties: Properties
    will: Will | None
    user: str | None
    password: bytes | None


def on_connect(connection: Connection, flags: int, reader: Reader) -> None:  # noqa: ARG001 (flags are 0 here)
    """Let a client in, now or when its password was checked, or say why not."""
    try:
        request = _read_request(connection, reader)
        _authenticate(connection, request)
    except Fault as fault:
        _refuse(connection, fault)


def on_disconnect(connection: Connection, flags: int, reader: Reader) -> None:
    """Let a client go; without its will if it says so (MQTT 5.0 section 3.14)."""
    session = connection.session
    assert session is not None
    if flags:
        raise malformed("the flags of a DISCONNECT are wrong")
    reason = 0
    if connection.is_v5 and not reader.is_done:
        reason = reader.byte()
        if not reader.is_done:
            expiry = read_properties(reader, IN_DISCONNECT).get(Property.SESSION_EXPIRY)
            if expiry and not session.expiry:
                raise forbidden("a session that was to end now cannot be kept after all")
            session.expiry = session.expiry if expiry is None else expiry
    reader.expect_end()
    if reason == Reason.SUCCESS:
        session.will = None
    connection.close()


def _read_request(connection: Connection, reader: Reader) -> Request:
    name, level = reader.text(), reader.byte()
    version = _VERSIONS.get((name, level))
    if version is None:
        connection.is_v5 = level > 4
        if name != "MQTT":
            raise forbidden("the protocol must be MQTT")
        raise Fault(Reason.UNSUPPORTED_PROTOCOL_VERSION, "the version must be 3.1.1 or 5")
    connection.is_v5 = level == 5
    flags, keep_alive = reader.byte(), reader.number16()
    _check_flags(flags, is_v5=connection.is_v5)
    properties = read_properties(reader, IN_CONNECT) if connection.is_v5 else NO_PROPERTIES
    client_id = reader.text()
    will = _read_will(connection, reader, flags) if flags & 4 else None
    user = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.expect_end()
    return Request(version, client_id, flags & 2 != 0, keep_alive, properties, will, user, password)


def _check_flags(flags: int, *, is_v5: bool) -> None:
    if flags & 1:
        raise malformed("the reserved flag of a CONNECT must be 0")
    if flags & 0x18 == 0x18:
        raise malformed("a will must not have QoS 3")
    if not flags & 4 and flags & 0x38:
        raise malformed("a CONNECT without a will has the flags of one")
    if flags & 0x40 and not flags & 0x80 and not is_v5:
        raise malformed("a password needs a user name")


def _read_will(connection: Connection, reader: Reader, flags: int) -> Will:
    properties = read_properties(reader, IN_WILL) if connection.is_v5 else NO_PROPERTIES
    topic = reader.text()
    payload = reader.binary()
    connection.hub.subscriptions.route(topic.encode())
    if topic.startswith("$SYS/"):
        raise Fault(Reason.NOT_AUTHORIZED, "only the broker publishes below $SYS")
    message = Message(
        topic.encode(),
        payload,
        flags >> 3 & 3,
        flags & 0x20 != 0,
        properties.forwarded,
        properties.get(Property.MESSAGE_EXPIRY),
    )
    return Will(message, properties.get(Property.WILL_DELAY, 0))


def _authenticate(connection: Connection, request: Request) -> None:
    """Accept the client, at once or after its password was checked in a thread (MQTT 5.0 section 3.1.3.6)."""
    passwords = connection.hub.passwords
    if request.properties.get(Property.AUTHENTICATION_METHOD) is not None:
        raise Fault(Reason.BAD_AUTHENTICATION_METHOD, "only user names and passwords are supported")
    if passwords is None:
        _accept(connection, request)
    elif request.user is None:
        raise Fault(Reason.NOT_AUTHORIZED, "a user name and a password are needed")
    else:
        connection.wait()
        check = partial(passwords.accepts, request.user, request.password or b"")
        answer = connection.hub.loop.run_in_executor(None, check)
        answer.add_done_callback(partial(_on_checked, connection, request))


def _on_checked(connection: Connection, request: Request, answer: "Future[bool]") -> None:
    if connection.is_closing or answer.cancelled():
        return
    if not answer.result():
        _refuse(connection, Fault(Reason.BAD_USER_NAME_OR_PASSWORD, "the user name or the password is wrong"))
        return
    try:
        _accept(connection, request)
    except Fault as fault:
        _refuse(connection, fault)
        return
    connection.proceed()


def _accept(connection: Connection, request: Request) -> None:
    hub = connection.hub
    if not request.client_id and not connection.is_v5 and not request.is_clean:
        raise Fault(Reason.CLIENT_ID_NOT_VALID, "a session that is kept needs a client id")
    client_id = request.client_id or f"auto-{secrets.token_hex(10)}"
    access = None if hub.access is None else hub.access.of_client(request.user, client_id)
    if request.will is not None and access is not None and not access.may_write(request.will.message.topic.decode()):
        raise Fault(Reason.NOT_AUTHORIZED, "this user may not publish to the topic of the will")
    session, is_present = _enter(hub, client_id, request)
    session.user, session.access = request.user, access
    session.will = request.will
    if session.will is not None:
        session.will.message.publisher = client_id
    session.expiry = 0 if request.is_clean else FOR_EVER
    largest, receive_maximum = sys.maxsize, 65_535
    if connection.is_v5:
        session.expiry = request.properties.get(Property.SESSION_EXPIRY, 0)
        largest = request.properties.get(Property.MAXIMUM_PACKET_SIZE, sys.maxsize)
        receive_maximum = request.properties.get(Property.RECEIVE_MAXIMUM, 65_535)
        connection.explains = request.properties.get(Property.REQUEST_PROBLEM_INFORMATION, 1) == 1
    connection.largest_packet = largest
    connection.keep_alive = _keep_alive(connection, request)
    connection.session = session
    connection.watch_keep_alive()
    connection.send(_connack(connection, request, client_id, is_present=is_present))
    session.attach(connection, receive_maximum)
    log.info("%s connected from %s with MQTT %s", client_id, connection.peer, request.version)
    session.resume()


def _enter(hub: Hub, client_id: str, request: Request) -> tuple[Session, bool]:
    """Return the client's session, and whether it was there already (MQTT 5.0 sections 3.1.2.4 and 3.1.4)."""
    known = hub.sessions.get(client_id)
    if known is not None and hub.passwords is not None and known.user != request.user:
        raise Fault(Reason.CLIENT_ID_NOT_VALID, "another user has this client id")
    if known is not None and known.connection is not None:
        known.connection.close(Reason.SESSION_TAKEN_OVER, "another client connected with this client id")
        known = hub.sessions.get(client_id)
    if known is not None and request.is_clean:
        hub.end(known)
        known = None
    if known is not None:
        known.cancel_timers()
        hub.subscriptions.routes.clear()
        return known, True
    if len(hub.sessions) >= hub.limits.sessions:
        raise Fault(Reason.QUOTA_EXCEEDED, "the broker has too many clients")
    session = hub.sessions[client_id] = Session(client_id, hub.limits, hub.counters)
    return session, False


def _keep_alive(connection: Connection, request: Request) -> int:
    """Return the seconds that count: the client's, unless the broker wants fewer (MQTT 5.0 section 3.2.2.3.14)."""
    longest = connection.hub.limits.keep_alive
    if connection.is_v5 and longest and not 0 < request.keep_alive <= longest:
        return longest
    return request.keep_alive


def _connack(connection: Connection, request: Request, client_id: str, *, is_present: bool) -> bytes:
    has_flag = is_present and request.version != "3.1"
    if not connection.is_v5:
        return bytes((0x20, 2, has_flag, 0))
    limits = connection.hub.limits
    properties: list[tuple[Property, Any]] = [
        (Property.RECEIVE_MAXIMUM, limits.receive_maximum),
        (Property.TOPIC_ALIAS_MAXIMUM, limits.topic_aliases),
        (Property.MAXIMUM_PACKET_SIZE, limits.packet_size),
    ]
    if not request.client_id:
        properties.append((Property.ASSIGNED_CLIENT_ID, client_id))
    if connection.keep_alive != request.keep_alive:
        properties.append((Property.SERVER_KEEP_ALIVE, connection.keep_alive))
    return frame(0x20, bytes((has_flag, 0)) + encode_properties(properties))


def _refuse(connection: Connection, fault: Fault) -> None:
    """Answer a CONNECT with a refusal and close (MQTT 5.0 section 3.2, MQTT 3.1.1 section 3.2.2.3)."""
    log.info("%s was refused: %s", connection.peer, fault.text)
    if connection.is_v5:
        explanation = encode_properties([(Property.REASON_STRING, fault.text)])
        connection.send(frame(0x20, bytes((0, fault.reason)) + explanation))
    elif fault.reason in OLD_RETURN_CODES:
        connection.send(bytes((0x20, 2, 0, OLD_RETURN_CODES[fault.reason])))
    connection.close()
