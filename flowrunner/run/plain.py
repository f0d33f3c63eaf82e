"""Carries deliveries and publishes through paho's own packets, one at a time."""

from collections.abc import Callable, Container
from typing import Any

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode

from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.buffered_socket import BufferedSocket
from flowrunner.run.inbound import Inbound, Receipt
from flowrunner.run.link import Deliver, SocketLike, Terms, Trouble, Watch
from flowrunner.run.outbox import Outbox, Outgoing
from flowrunner.run.packets import check_size, require_topic
from flowrunner.run.properties import from_paho, to_paho

#: Bytes that may wait for a slow network before publishes at QoS 0 are dropped.
MOST_UNSENT = 16 * 1024 * 1024


class PlainLink:
    """A `Link` on paho's public interface.

    A delivery at QoS 1 is acknowledged when the flows have finished with it; one at QoS 2 by paho itself, on
    arrival. What is in flight survives the network connection in the outbox: it is published again, or
    retransmitted by paho where the session is kept.
    """

    holds_for_publishes = False

    def __init__(self, deliver: Deliver, trouble: Trouble, *, outbox: Outbox | None = None) -> None:
        self.watch: Watch | None = None
        self.wake: Callable[[], object] = lambda: None  # paho asks by itself
        self.has_room = True
        self.published = 0
        self.dropped = 0
        self.unreadable = 0
        self.arrived = 0
        self._deliver = deliver
        self._trouble = trouble
        self._outbox = Outbox() if outbox is None else outbox
        self._inbound = Inbound(self._acknowledge)
        self._client: Client | None = None
        self._socket: BufferedSocket | None = None
        self._terms: Terms | None = None
        self._is_released = False
        self._is_stopped = False
        self._unsent = 0
        self.can_resume = True

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""
        return len(self._outbox)

    @property
    def unfinished(self) -> int:
        """Deliveries at QoS 1 that are not acknowledged."""
        return self._inbound.unfinished

    @property
    def taken(self) -> Container[int]:
        """Packet identifiers that are in use."""
        return self._outbox.in_flight

    def prepare(self, client: Client) -> None:
        """Take a client that is about to connect."""
        if client is not self._client:
            self._outbox.rewind()
            client.manual_ack_set(True)
        self._client = client
        self.can_resume = True
        client.on_message = self._on_message

    def wrap(self, socket: SocketLike) -> SocketLike:
        """Put a buffer before the socket."""
        self._socket = BufferedSocket(socket)
        return self._socket

    def open(self, terms: Terms) -> None:
        """Learn that the broker has accepted."""
        self._terms = terms
        self._unsent = 0

    def release(self) -> None:
        """Send what waits."""
        self._is_released = self._terms is not None
        self._pump()

    def read(self) -> bool:
        """Let paho handle what can be read without waiting."""
        client, socket = self._client, self._socket
        if client is None:
            return False
        if socket is None:
            return _read_bare(client)
        socket.fill()
        while socket.has_news and client.socket() is socket:
            if client.loop_read() != MQTT_ERR_SUCCESS:
                return False
        return socket.has_more and client.socket() is socket

    def write(self) -> bool:
        """Let paho send what can be sent without waiting."""
        client = self._client
        if client is None or client.socket() is None:
            return False
        client.loop_write()
        is_left = client.want_write()
        if not is_left:
            self._unsent = 0
        return is_left

    def close(self, *, is_early: bool) -> bool:
        """Learn that the network connection is gone."""
        self._terms = self._socket = None
        self._is_released = False
        self._inbound.lose()
        was_sending = bool(self._outbox.in_flight)
        given_up = self._outbox.count_loss() if is_early else None
        # paho would send everything again at once
        self.can_resume = given_up is None and not self._outbox.is_suspicious
        if given_up is not None:
            reason = "the broker closes the connection whenever it is sent: is it too large, or not allowed?"
            self._trouble(given_up.topic, reason)
            given_up.finish()
        return was_sending

    def stop(self) -> None:
        """Deliver nothing more."""
        self._is_stopped = True

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - positions cost less than names on this path
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """Send or queue a message."""
        self._publish(Outgoing(topic, payload, qos, retain, properties))

    def promise(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001 - the signature of `Link`
        properties: Properties,
        done: Callable[[], object],
        /,
    ) -> None:
        """Send or queue a message, and say when the broker has it."""
        self._publish(Outgoing(topic, payload, qos, retain, properties, done=done))

    def _publish(self, outgoing: Outgoing) -> None:
        topic, qos = outgoing.topic, outgoing.qos
        require_topic(topic)
        if outgoing.properties:
            to_paho(outgoing.properties)
        terms = self._terms
        if terms is not None:
            check_size(outgoing, terms)
        if qos:
            if not self._outbox.add(outgoing):
                message = f"{len(self._outbox)} publishes wait for the broker already: there is no room for more"
                raise StepError(message, code="queue-full")
            self._pump()
        elif terms is None or not self._send_now(outgoing, terms):
            self.dropped += 1
            return
        self.published += 1
        if self.watch is not None:
            self.watch(topic, outgoing.payload, qos, outgoing.retain)

    def _send_now(self, outgoing: Outgoing, terms: Terms) -> bool:
        """Send a publish at QoS 0, which does not wait for a slow network."""
        if self._unsent > MOST_UNSENT:
            self._trouble(outgoing.topic, "the network does not keep up")
            return False
        return self._send(outgoing, 0, terms) is not None

    def _pump(self) -> None:
        """Hand over what waits, as far as the broker's window goes (MQTT 5.0 section 4.9)."""
        terms, outbox = self._terms, self._outbox
        if terms is None or self._client is None or not self._is_released:
            return
        window = 1 if outbox.is_suspicious else terms.receive_maximum
        while outbox.waiting and len(outbox.in_flight) < window:
            outgoing = outbox.waiting[0]
            qos = min(outgoing.qos, terms.maximum_qos)
            try:
                check_size(outgoing, terms)
                number = self._send(outgoing, qos, terms)
            except StepError as error:
                outbox.take().finish()
                self._trouble(outgoing.topic, error.message)
                continue
            if number is None:
                break
            if qos:
                outbox.send(number)
            else:
                outbox.take().finish()
        # paho builds two objects per packet for this callback, at QoS 0 too: only while somebody waits for it
        self._client.on_publish = self._on_publish if outbox.in_flight else None

    def _send(self, outgoing: Outgoing, qos: int, terms: Terms) -> int | None:
        """Hand a publish to paho; returns its packet identifier, None if it cannot be sent now."""
        client = self._client
        if client is None or client.socket() is None:
            return None
        retain = outgoing.retain and terms.has_retain
        properties = to_paho(outgoing.properties) if terms.version == 5 else None
        info = client.publish(outgoing.topic, outgoing.payload, qos, retain, properties)
        self._unsent += outgoing.size
        return info.mid if info.rc == MQTT_ERR_SUCCESS else None

    def _on_publish(self, _client: Client, _data: Any, number: int, reason: ReasonCode, _properties: Any) -> None:
        outgoing = self._outbox.acknowledge(number)
        if outgoing is None:
            return
        if reason.is_failure:
            self._trouble(outgoing.topic, str(reason).lower())
        outgoing.finish()
        self._pump()

    def hold(self) -> Receipt:
        """Keep the delivery that is being handled from being acknowledged."""
        return self._inbound.hold()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if self._is_stopped:
            return
        self.arrived += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self.unreadable += 1
        else:
            properties, identifiers = from_paho(message.properties)
            payload = bytes(message.payload)
            self._deliver(topic, payload, message.qos, message.retain, properties, identifiers)
        if message.qos:
            self._inbound.finish(message.mid, message.qos)

    def _acknowledge(self, number: int, qos: int) -> None:
        if self._client is not None:
            self._client.ack(number, qos)
        if qos == 2:
            self._inbound.complete(number)  # paho keeps the rest of this book


def _read_bare(client: Client) -> bool:
    """The same where paho reads from a socket of its own making."""
    while True:
        if client.loop_read() != MQTT_ERR_SUCCESS or client.socket() is None:
            return False
        pending = getattr(client.socket(), "pending", None)
        if pending is None or not pending():
            return False
