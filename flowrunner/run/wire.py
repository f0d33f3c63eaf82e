"""Carries messages by the batch: what one `recv` brings is handled, and one `send` takes what comes of it.

paho keeps connecting, TLS, authentication, keep-alive and subscriptions. Packets of a message's life are cut out before
it sees them: PUBLISH, PUBACK, PUBREC, PUBREL and PUBCOMP.
"""

from collections.abc import Callable, Container, Sequence
from struct import Struct
from time import monotonic, sleep

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.code import Publish
from flowrunner.run.inbound import Inbound, Receipt
from flowrunner.run.link import SocketLike, Terms, Trouble, Watch
from flowrunner.run.moderation import Moderation
from flowrunner.run.outbox import Outbox
from flowrunner.run.outlet import Outlet
from flowrunner.run.packets import PUBACK, PUBREC
from flowrunner.run.reader import Reader
from flowrunner.run.router import Router
from flowrunner.run.window import NUMBERS
from flowrunner.run.wire_socket import WireSocket, keep_memory

#: Bytes that may wait for a slow network before nothing more is read, and before publishes at QoS 0 are dropped.
MUCH_UNSENT = 1024 * 1024
MOST_UNSENT = 16 * 1024 * 1024

_PUBACK = bytes((PUBACK, 2))
_pack_answer = Struct(">BBH").pack


class WireLink:
    """A `Link` that takes the place of paho for messages; its reads wait as `moderation` has them."""

    can_resume = True
    holds_for_publishes = True

    def __init__(
        self, router: Router, trouble: Trouble, *, outbox: Outbox | None = None, moderation: Moderation | None = None
    ) -> None:
        keep_memory()
        self._moderation = moderation
        self._outlet = Outlet(Outbox() if outbox is None else outbox, trouble)
        self._inbound = Inbound(self._acknowledge, self._acknowledge_row, self._outlet.window.oldest)
        self._outlet.hold = self._inbound.hold_open
        self._reader = Reader(router, self._outlet, self._inbound, self._give_to_paho)
        self._client: Client | None = None
        self._socket: WireSocket | None = None
        self._terms: Terms | None = None
        self._parts: list[bytes] = []  # what was read and not handled
        self._missing = 0
        self.arrived = 0  # bytes
        self.publish: Publish = self._outlet.publish
        self.promise = self._outlet.promise
        self.hold: Callable[[], Receipt] = self._inbound.hold

    @property
    def watch(self) -> Watch | None:
        """Is shown every publish while somebody looks."""
        return self._outlet.watch

    @watch.setter
    def watch(self, watch: Watch | None) -> None:
        self._outlet.watch = watch

    @property
    def wake(self) -> Callable[[], object]:
        """Is called when there is something to write."""
        return self._outlet.wake

    @wake.setter
    def wake(self, wake: Callable[[], object]) -> None:
        self._outlet.wake = wake

    @property
    def published(self) -> int:
        """Publishes so far."""
        return self._outlet.published

    @property
    def dropped(self) -> int:
        """Publishes at QoS 0 that nobody was there to take."""
        return self._outlet.dropped

    @property
    def unreadable(self) -> int:
        """Deliveries whose topic was not UTF-8."""
        return self._reader.unreadable

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""
        return len(self._outlet.window.outbox)

    @property
    def unfinished(self) -> int:
        """Deliveries at QoS 1 and 2 that are not acknowledged, and what was read and not handled."""
        return self._inbound.unfinished + len(self._reader.parking) + len(self._parts)

    @property
    def taken(self) -> Container[int]:
        """Packet identifiers that are in use, or may be at any time."""
        return NUMBERS

    @property
    def has_room(self) -> bool:
        """Whether there is room for what comes of reading on."""
        return self._socket is None or self._socket.unsent < MUCH_UNSENT

    def prepare(self, client: Client) -> None:
        """Take a client that is about to connect."""
        self._client, self._socket = client, None
        self._parts.clear()
        self._missing = 0
        self._reader.prepare(is_v5=client.protocol == MQTTProtocolVersion.MQTTv5)

    def wrap(self, socket: SocketLike) -> SocketLike:
        """Stand between the client and its socket."""
        self._socket = WireSocket(socket)
        return self._socket

    def open(self, terms: Terms) -> None:
        """Learn that the broker has accepted."""
        self._terms = terms
        if not terms.session_present:
            self._inbound.forget()
        self._reader.parking.open(session_present=terms.session_present)
        self._outlet.open(terms)

    def release(self) -> None:
        """Send what was in flight, and what waits."""
        if self._terms is not None:
            self._outlet.window.open(self._terms)

    def read(self) -> bool:
        """Read once, handle every packet that is complete, and send what comes of it."""
        client, socket = self._client, self._socket
        if client is None or socket is None or client.socket() is not socket:
            return False
        self._outlet.is_due = True  # it is written below
        buffer = self._next(socket)
        place = self._reader.handle(buffer)
        self._keep(buffer, place)
        self._reader.unpark()
        self._inbound.advance()
        self._outlet.window.refresh()
        self._send(socket)
        is_late = self._reader.is_late
        if socket.is_over and not is_late and client.socket() is socket:
            client.loop_read()
        return is_late or socket.has_more

    def write(self) -> bool:
        """Send what can be sent without waiting."""
        client, socket = self._client, self._socket
        if client is None or socket is None or client.socket() is not socket:
            return False
        self._send(socket)
        client.loop_write()
        socket.flush()
        self._outlet.jam(is_jammed=socket.unsent > MOST_UNSENT)
        return socket.is_blocked or client.want_write()

    def close(self, *, is_early: bool) -> bool:
        """Learn that the network connection is gone."""
        self._terms = self._socket = None
        self._inbound.unroll(self._outlet.window.have_wait)
        self._inbound.lose()
        self._outlet.close()
        return self._outlet.window.close(is_early=is_early)

    def stop(self) -> None:
        """Deliver nothing more."""
        self._reader.stop()

    def _next(self, socket: WireSocket) -> bytes:
        """What there is to handle: nothing while a packet is known to be longer."""
        parts = self._parts
        if not self._reader.is_late and (data := self._fill(socket)):
            self._missing -= len(data)
            self.arrived += len(data)
            parts.append(data)
        if self._missing > 0 or not parts:
            return b""
        buffer = b"".join(parts) if len(parts) > 1 else parts[0]
        parts.clear()
        return buffer

    def _fill(self, socket: WireSocket) -> bytes:
        """What there is to read, after the wait that the traffic asks for."""
        moderation = self._moderation
        if moderation is None:
            return socket.fill()
        if moderation.wait:
            sleep(moderation.wait)
        data = socket.fill()
        moderation.turn(monotonic(), len(data))
        return data

    def _keep(self, buffer: bytes, place: int) -> None:
        """Keep what was not handled."""
        if place < len(buffer):
            self._parts.append(buffer[place:])
            self._missing = self._reader.missing

    def _send(self, socket: WireSocket) -> None:
        socket.put(self._outlet.collect())
        self._outlet.jam(is_jammed=socket.unsent > MOST_UNSENT)
        if socket.is_blocked:
            self._outlet.wake()

    def _acknowledge(self, number: int, qos: int) -> None:
        self._outlet.answer(_pack_answer(PUBACK if qos == 1 else PUBREC, 2, number))

    def _acknowledge_row(self, numbers: Sequence[bytes]) -> None:
        self._outlet.answer(_PUBACK + _PUBACK.join(numbers))

    def _give_to_paho(self, packet: bytes) -> bool:
        client, socket = self._client, self._socket
        assert client is not None
        assert socket is not None
        self.arrived -= len(packet)
        socket.give(packet)
        while socket.has_control and client.socket() is socket:
            if client.loop_read() != MQTT_ERR_SUCCESS:
                break
        return client.socket() is socket
