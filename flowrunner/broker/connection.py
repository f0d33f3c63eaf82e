"""Cuts the byte stream of one client into packets, and sends what the broker has for it in batches."""
# ruff: noqa: D102 (asyncio says what the methods of its protocols do)

import logging
import sys
from asyncio import Protocol, TimerHandle, Transport
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from flowrunner.broker.answers import disconnect
from flowrunner.broker.codec import Reader, long_length
from flowrunner.broker.reasons import Fault, Reason, forbidden

if TYPE_CHECKING:  # the hub knows its connections, and they know it
    from flowrunner.broker.hub import Hub
    from flowrunner.broker.session import Session

_LINGER = 1.0
_BURST_BYTES = 256 * 1024
_FIRST_PACKET_BYTES = 1024 * 1024

log = logging.getLogger("flowrunner.broker")

Handler = Callable[["Connection", int, Reader], None]
"""Handles one packet: the connection, the low four bits of its first byte, its body."""

PublishHandler = Callable[["Connection", int, bytes, int, int], None]
"""Handles a PUBLISH: the connection, its first byte, the bytes, where the body starts and ends."""


class Connection(Protocol):
    """One network connection (MQTT 5.0 section 4.2); `session` is None until its CONNECT was accepted."""

    def __init__(self, hub: "Hub", handlers: dict[int, Handler], on_publish: PublishHandler) -> None:
        self.hub = hub
        self.session: Session | None = None
        self.is_v5 = False
        self.is_congested = self._is_paused = False
        self.is_closing = False
        self.is_waiting = False
        self.explains = True
        self.keep_alive = 0
        self.largest_packet = sys.maxsize
        self.aliases: dict[int, bytes] = {}
        self.outbox: list[bytes] = []
        self.peer = ""
        self.now = hub.loop.time
        self._handlers = handlers
        self._on_publish = on_publish
        self._transport: Transport
        self._buffer = bytearray()
        self._needed = self._outbox_bytes = 0
        self._last_heard = self.now()
        self._timer: TimerHandle

    def connection_made(self, transport: Any) -> None:
        self._transport = cast(Transport, transport)
        self._transport.set_write_buffer_limits(high=self.hub.limits.buffered_bytes)
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or "?")
        self.hub.join(self)
        self._timer = self.hub.loop.call_later(self.hub.limits.connect_timeout, self._give_up_waiting)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self.is_closing = True
        self._timer.cancel()
        self.hub.part(self)
        if self.session is not None:
            log.info("%s (%s) has gone", self.session.client_id, self.peer)
            self.hub.leave(self.session, self)
        self.hub.flush()

    def data_received(self, data: bytes) -> None:
        self._last_heard = self.now()
        if self.is_closing:
            return
        self.hub.counters.bytes_received += len(data)
        buffer = self._buffer
        if buffer or self.is_waiting:
            buffer += data
            if len(buffer) < self._needed or self.is_waiting:
                return
            data = bytes(buffer)
            buffer.clear()
        self._take(data)

    def proceed(self) -> None:
        """Go on with what arrived while the connection was waiting."""
        self.is_waiting = False
        self._transport.resume_reading()
        data = bytes(self._buffer)
        self._buffer.clear()
        self._take(data)

    def wait(self) -> None:
        """Handle no more packets until `proceed`."""
        self.is_waiting = True
        self._transport.pause_reading()

    def pause_writing(self) -> None:
        self.is_congested = self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        # Later: asyncio calls this in the middle of writing, where closing the transport would break it.
        self.hub.loop.call_soon(self._resume)

    def send(self, packet: bytes) -> None:
        """Send a packet with the next flush of the hub."""
        outbox = self.outbox
        if not outbox:
            self.hub.unflushed.append(self)
        outbox.append(packet)
        self._outbox_bytes += len(packet)
        if self._outbox_bytes > _BURST_BYTES:
            self.flush()

    def send_publish(self, packet: bytes) -> bool:
        """Send a PUBLISH; false if it is larger than the client takes (MQTT 5.0 section 3.1.2.11.4)."""
        if len(packet) > self.largest_packet:
            return False
        counters = self.hub.counters
        counters.publishes_sent += 1
        counters.publish_bytes_sent += len(packet)
        self.send(packet)
        return True

    def flush(self) -> None:
        """Write what was sent since the last flush."""
        outbox = self.outbox
        if not outbox:
            return
        counters = self.hub.counters
        counters.messages_sent += len(outbox)
        counters.bytes_sent += self._outbox_bytes
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        self._outbox_bytes = 0
        if self._transport.is_closing():
            return
        if self.is_congested and self._transport.get_write_buffer_size() > self.hub.limits.most_unread_bytes:
            log.info("%s (%s) asks for more and more and reads nothing", self._name(), self.peer)
            self._transport.abort()
            return
        self._transport.write(data)

    def fail(self, fault: Fault) -> None:
        """Tell the client what is wrong, as far as its version can, and close."""
        log.info("%s (%s): %s", self._name(), self.peer, fault.text)
        self.close(fault.reason if self.session is not None else None, fault.text)

    def close(self, reason: Reason | None = None, text: str = "") -> None:
        """Close after what was sent; a client with MQTT 5 is told the reason first (section 3.14)."""
        if self.is_closing:
            return
        self._timer.cancel()
        if reason is not None and self.is_v5:
            self.send(disconnect(reason, text if self.explains else "", largest=self.largest_packet))
        self.flush()
        self.is_closing = True
        if self.is_waiting:
            self._transport.resume_reading()
        if self.session is not None:
            self.hub.leave(self.session, self)
        # Closing a socket with unread data resets it, and the client would never see why.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
        self._timer = self.hub.loop.call_later(_LINGER, self._transport.abort)

    def abort(self) -> None:
        """Close at once, whatever was sent."""
        self.is_closing = True
        self._transport.abort()

    def watch_keep_alive(self) -> None:
        """Close unless a packet arrives in time, from now on (MQTT 5.0 section 3.1.2.10)."""
        self._timer.cancel()
        if self.keep_alive:
            self._timer = self.hub.loop.call_at(self._last_heard + self.keep_alive * 1.5, self._check_keep_alive)

    def _take(self, data: bytes) -> None:
        try:
            place = self._handle_packets(data)
        except Fault as fault:
            self.fail(fault)
        else:
            if place < len(data):
                self._buffer += memoryview(data)[place:]
        finally:
            self.hub.flush()

    def _handle_packets(self, data: bytes) -> int:
        """Handle every complete packet; return where the first incomplete one starts."""
        place, size, received = 0, len(data), 0
        self._needed = 0
        largest = self.hub.limits.packet_size if self.session is not None else _FIRST_PACKET_BYTES
        while size - place > 1 and not self.is_waiting and not self.is_closing:
            header, length, start = data[place], data[place + 1], place + 2
            if header != 0x10 and self.session is None:
                raise forbidden("the first packet must be CONNECT")
            if length > 127:
                length, start = long_length(data, start, length)
                if not start:
                    break
            if length > largest:
                raise Fault(Reason.PACKET_TOO_LARGE, f"a packet of {length} bytes is larger than {largest}")
            end = start + length
            if end > size:
                self._needed = end - place
                break
            if header & 0xF0 == 0x30 and self.session is not None:
                self._on_publish(self, header, data, start, end)
            else:
                self._handle(header, Reader(data, start, end))
                largest = self.hub.limits.packet_size if self.session is not None else _FIRST_PACKET_BYTES
            received += 1
            place = end
        self.hub.counters.messages_received += received
        return place

    def _resume(self) -> None:
        self.is_congested = self._is_paused
        if self.session is not None and self.session.connection is self:
            self.session.resume()
            self.hub.flush()

    def _handle(self, header: int, reader: Reader) -> None:
        kind = header >> 4
        handler = self._handlers.get(kind)
        if handler is None or (kind == 1 and self.session is not None):
            what = "a second CONNECT" if handler else f"a packet of type {kind}"
            raise forbidden(f"a client must not send {what}")
        handler(self, header & 15, reader)

    def _give_up_waiting(self) -> None:
        log.info("%s sent no CONNECT in time", self.peer)
        self.close()

    def _check_keep_alive(self) -> None:
        if self.now() < self._last_heard + self.keep_alive * 1.5:
            self.watch_keep_alive()
            return
        log.info("%s (%s) was silent for too long", self._name(), self.peer)
        self.close(Reason.KEEP_ALIVE_TIMEOUT, "no packet within one and a half keep-alives")
        self.hub.flush()

    def _name(self) -> str:
        return "a client" if self.session is None else self.session.client_id
