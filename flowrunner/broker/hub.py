"""Holds what all connections of a broker share, and hands each message to those who want it."""

import logging
from asyncio import AbstractEventLoop, Event
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowrunner.broker.access import AccessList
from flowrunner.broker.counters import Counters
from flowrunner.broker.limits import Limits
from flowrunner.broker.message import Message
from flowrunner.broker.passwords import Passwords
from flowrunner.broker.reasons import Reason
from flowrunner.broker.retained import Retained
from flowrunner.broker.session import FOR_EVER, Session
from flowrunner.broker.subscriptions import Delivery, Route, Subscriptions

if TYPE_CHECKING:  # a connection knows its hub, and the hub its connections
    from flowrunner.broker.connection import Connection

log = logging.getLogger("flowrunner.broker")


class Hub:
    """Sessions, subscriptions, retained messages and counters of one broker, on one event loop."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        *,
        limits: Limits,
        passwords: Passwords | None = None,
        access: AccessList | None = None,
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.passwords = passwords
        self.access = access
        self.counters = Counters()
        self.connections: set[Connection] = set()
        self.sessions: dict[str, Session] = {}
        self.subscriptions = Subscriptions(limits)
        self.retained = Retained(limits)
        self.unflushed: list[Connection] = []
        self.is_empty = Event()
        self._is_full = False

    def join(self, connection: "Connection") -> None:
        """Take in a new connection."""
        self.connections.add(connection)
        self.counters.sockets += 1
        self.is_empty.clear()

    def part(self, connection: "Connection") -> None:
        """Let go of a connection that is closed."""
        self.connections.discard(connection)
        if not self.connections:
            self.is_empty.set()

    def shut_down(self) -> None:
        """Say goodbye to all clients; no will is sent, since nobody is left to get it."""
        for session in self.sessions.values():
            session.will = None
        for connection in list(self.connections):
            connection.close(Reason.SERVER_SHUTTING_DOWN, "the broker stops")
        for session in self.sessions.values():
            session.cancel_timers()
        if not self.connections:
            self.is_empty.set()

    def flush(self) -> None:
        """Write what was sent to any connection since the last time."""
        while self.unflushed:
            unflushed, self.unflushed = self.unflushed, []
            for connection in unflushed:
                connection.flush()

    def publish(self, message: Message, route: Route, publisher: Session | None = None) -> None:
        """Hand a message to everybody on its route."""
        if message.is_retained:
            self._retain(message, route.topic)
        for delivery in route.deliveries:
            chosen = delivery if delivery.session is not publisher else delivery.own
            if chosen is not None:
                self._hand(message, chosen)
        for group in route.groups:
            member = group.next_member(route.topic)
            if member is not None:
                identifiers = member.encoded_identifier
                self._hand(message, Delivery(member.session, member.qos, member.retain_as_published, identifiers))

    def _hand(self, message: Message, delivery: Delivery) -> None:
        session = delivery.session
        keeps_retain = message.is_retained and delivery.retain_as_published
        qos = message.qos if message.qos < delivery.qos else delivery.qos  # noqa: FURB136 (`min` takes longer)
        if qos:
            session.deliver(message, qos, is_retained=keeps_retain, identifiers=delivery.identifiers)
            return
        connection = session.connection
        if connection is None:
            return
        if connection.is_congested:
            session.hold(message, is_retained=keeps_retain, identifiers=delivery.identifiers)
            return
        packet, _ = message.parts(
            is_v5=connection.is_v5,
            flags=keeps_retain,
            identifiers=delivery.identifiers,
            now=message.arrived,
        )
        connection.send_publish(packet)

    def leave(self, session: Session, connection: "Connection") -> None:
        """Note that a session's connection has gone: its will is due, and its end draws near."""
        if session.connection is not connection:
            return
        session.detach()
        delay = 0 if session.will is None else min(session.will.delay, session.expiry)
        if delay:
            session.will_timer = self.loop.call_later(delay, self._on_time, self.send_will, session)
        else:
            self.send_will(session)
        if session.expiry == 0:
            self.end(session)
        elif session.expiry != FOR_EVER:
            session.expiry_timer = self.loop.call_later(session.expiry, self._on_time, self._expire, session)

    def end(self, session: Session) -> None:
        """Forget a session; a will that still waited is sent (MQTT 5.0 section 3.1.3.2.2)."""
        session.cancel_timers()
        self.send_will(session)
        for text in list(session.subscriptions):
            self.subscriptions.remove(session, text)
        self.sessions.pop(session.client_id, None)

    def send_will(self, session: Session) -> None:
        """Publish a session's will, once."""
        will, session.will = session.will, None
        if will is not None:
            will.message.arrived = self.loop.time()
            self.publish(will.message, self.subscriptions.route(will.message.topic), session)

    def _retain(self, message: Message, topic: str) -> None:
        is_full = not self.retained.keep(topic, message)
        if is_full and not self._is_full:
            log.warning("there are too many retained messages: new ones are passed on but not kept")
        self._is_full = is_full

    def _expire(self, session: Session) -> None:
        self.counters.clients_expired += 1
        self.end(session)

    def _on_time(self, action: Callable[[Session], None], session: Session) -> None:
        action(session)
        self.flush()
