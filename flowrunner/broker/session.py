"""Keeps what the broker owes one client: its subscriptions and the QoS 1 and 2 messages on their way."""

import logging
from asyncio import TimerHandle
from collections import deque
from typing import TYPE_CHECKING

from flowrunner.broker.access import ClientAccess
from flowrunner.broker.counters import Counters
from flowrunner.broker.limits import Limits
from flowrunner.broker.message import Message, Pending, Will
from flowrunner.broker.reasons import forbidden

if TYPE_CHECKING:  # a session and its connection know each other
    from flowrunner.broker.connection import Connection
    from flowrunner.broker.subscriptions import Subscription

log = logging.getLogger("flowrunner.broker")

FOR_EVER = 0xFFFF_FFFF
"""A session expiry interval that never ends (MQTT 5.0 section 3.1.2.11.2)."""


class Session:
    """The state of one client id (MQTT 5.0 section 4.1); it outlives its connection for `expiry` seconds."""

    def __init__(self, client_id: str, limits: Limits, counters: Counters) -> None:
        self.client_id = client_id
        self.user: str | None = None
        self.access: ClientAccess | None = None
        self.expiry = 0
        self.connection: Connection | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.will: Will | None = None
        self.will_timer: TimerHandle | None = None
        self.expiry_timer: TimerHandle | None = None
        self.received: set[int] = set()
        self._limits = limits
        self._counters = counters
        self._is_dropping = False
        self._queue: deque[Pending] = deque()
        self._queued_bytes = 0
        self._backlog: deque[Pending] = deque()
        self._in_flight: dict[int, Pending] = {}
        self._unsent: deque[int] = deque()
        self._last_id = 0
        self._window = 0
        self._outstanding = 0

    @property
    def waiting(self) -> int:
        """How many QoS 1 and 2 messages are queued or not acknowledged yet."""
        return len(self._queue) + len(self._in_flight)

    def may_read(self, topic: str) -> bool:
        """Whether the access list lets this client have the messages of a topic."""
        return self.access is None or self.access.may_read(topic)

    def attach(self, connection: "Connection", receive_maximum: int) -> None:
        """Take a connection; what was in flight is sent again by `resume` (MQTT 5.0 section 4.4)."""
        self.connection = connection
        self._window = min(receive_maximum, self._limits.in_flight)
        self._outstanding = 0
        self._unsent = deque(self._in_flight)
        self._counters.connections += 1
        self._counters.clients_connected += 1
        self._counters.clients_maximum = max(self._counters.clients_maximum, self._counters.clients_connected)

    def detach(self) -> None:
        """Let the connection go; QoS 0 messages that still waited for it are gone."""
        self.connection = None
        self._backlog.clear()
        self._counters.clients_connected -= 1

    def cancel_timers(self) -> None:
        """Let neither its will nor its end come by itself."""
        for timer in (self.will_timer, self.expiry_timer):
            if timer is not None:
                timer.cancel()
        self.will_timer = self.expiry_timer = None

    def hold(self, message: Message, *, is_retained: bool, identifiers: bytes) -> None:
        """Take a QoS 0 message for a connection that cannot have it right now: behind others, or not at all."""
        if self._backlog and len(self._backlog) < self._limits.queued_messages:
            self._backlog.append(Pending(message, 0, is_retained, identifiers))
        else:
            self._drop()

    def queue_retained(self, message: Message, qos: int, *, identifiers: bytes, count: int) -> None:
        """Queue one of `count` retained messages for a new subscription; `resume` sends them."""
        pending = Pending(message, qos, is_retained=True, identifiers=identifiers)
        queue = self._queue if qos else self._backlog
        if len(queue) >= self._limits.queued_messages + count:
            self._drop()
            return
        queue.append(pending)
        if qos:
            self._queued_bytes += len(message.payload)

    def deliver(self, message: Message, qos: int, *, is_retained: bool, identifiers: bytes) -> None:
        """Send a QoS 1 or 2 message, or queue it; beyond the limits it is dropped."""
        pending = Pending(message, qos, is_retained, identifiers)
        size = len(message.payload)
        connection = self.connection
        if connection is not None and not self._queue and self._can_send(connection):
            self._send_new(connection, pending)
        elif len(self._queue) < self._limits.queued_messages and self._queued_bytes + size <= self._limits.queued_bytes:
            self._queue.append(pending)
            self._queued_bytes += size
        else:
            self._drop()

    def resume(self) -> None:
        """Send what waits, as far as the client's window and its socket allow."""
        connection = self.connection
        while connection is not None and not connection.is_congested:
            if not self._send_next(connection):
                self._is_dropping = False
                return

    def acknowledge(self, packet_id: int, qos: int) -> bool:
        """End a QoS 1 message at its PUBACK, a QoS 2 message at its PUBCOMP; false if there is none."""
        pending = self._in_flight.get(packet_id)
        if pending is None:
            return False
        if pending.qos != qos or (qos == 2 and pending.message is not None):
            raise forbidden("an acknowledgement does not fit the message it is for")
        self._forget(packet_id)
        return True

    def release(self, packet_id: int) -> bool:
        """Let go of a QoS 2 message at its PUBREC, keeping its identifier; false if there is none."""
        pending = self._in_flight.get(packet_id)
        if pending is None:
            return False
        if pending.qos != 2:
            raise forbidden("a PUBREC does not fit a QoS 1 message")
        pending.message = None
        return True

    def refuse(self, packet_id: int) -> None:
        """Forget a QoS 2 message that the client's PUBREC refused (MQTT 5.0 section 4.3.3)."""
        if packet_id in self._in_flight:
            self._forget(packet_id)

    def _drop(self) -> None:
        self._counters.publishes_dropped += 1
        if not self._is_dropping:
            self._is_dropping = True
            log.warning("%s takes messages too slowly: those over the limit are dropped", self.client_id)

    def _forget(self, packet_id: int) -> None:
        del self._in_flight[packet_id]
        self._outstanding = max(0, self._outstanding - 1)
        if self._queue or self._unsent:
            self.resume()

    def _can_send(self, connection: "Connection") -> bool:
        return self._outstanding < self._window and not self._unsent and not connection.is_congested

    def _send_next(self, connection: "Connection") -> bool:
        """Send one message that waits; false if none may be sent now."""
        if self._backlog:
            self._send_plain(connection, self._backlog.popleft())
            return True
        if self._outstanding >= self._window:
            return False
        while self._unsent:
            packet_id = self._unsent.popleft()
            known = self._in_flight.get(packet_id)
            if known is not None:
                self._send_again(connection, packet_id, known)
                return True
        if not self._queue:
            return False
        pending = self._queue.popleft()
        if pending.message is not None:
            self._queued_bytes -= len(pending.message.payload)
        self._send_new(connection, pending)
        return True

    def _send_plain(self, connection: "Connection", pending: Pending) -> None:
        message = pending.message
        if message is not None and not message.is_expired(connection.now()):
            packet, _ = message.parts(
                is_v5=connection.is_v5,
                flags=pending.is_retained,
                identifiers=pending.identifiers,
                now=connection.now(),
            )
            connection.send_publish(packet)

    def _send_new(self, connection: "Connection", pending: Pending) -> None:
        message = pending.message
        if message is None or message.is_expired(connection.now()):
            return
        packet_id = self._next_id()
        if self._send_publish(connection, packet_id, pending, message, is_again=False):
            self._in_flight[packet_id] = pending
            self._outstanding += 1

    def _send_again(self, connection: "Connection", packet_id: int, pending: Pending) -> None:
        self._outstanding += 1
        if pending.message is None:
            connection.send(b"\x62\x02" + packet_id.to_bytes(2, "big"))
        elif not self._send_publish(connection, packet_id, pending, pending.message, is_again=True):
            self._outstanding -= 1
            del self._in_flight[packet_id]

    def _send_publish(
        self, connection: "Connection", packet_id: int, pending: Pending, message: Message, *, is_again: bool
    ) -> bool:
        """Send a PUBLISH; false if the client takes none of this size (MQTT 5.0 [MQTT-3.1.2-24])."""
        flags = pending.qos << 1 | pending.is_retained | (8 if is_again else 0)
        head, tail = message.parts(
            is_v5=connection.is_v5, flags=flags, identifiers=pending.identifiers, now=connection.now()
        )
        return connection.send_publish(b"".join((head, packet_id.to_bytes(2, "big"), tail)))

    def _next_id(self) -> int:
        packet_id = self._last_id % 65_535 + 1
        while packet_id in self._in_flight:
            packet_id = packet_id % 65_535 + 1
        self._last_id = packet_id
        return packet_id
