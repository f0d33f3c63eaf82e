"""Carries MQTT inside websocket frames (RFC 6455, MQTT 5.0 section 6)."""
# ruff: noqa: D102 (asyncio says what the methods of its transports and protocols do)

from asyncio import Protocol, Transport
from typing import Any, cast

from flowrunner.broker.connection import Connection
from flowrunner.broker.handshake import Refused, accept_upgrade

_LARGEST_HEADER = 16 * 1024
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_PROTOCOL_ERROR, _UNSUPPORTED = 1002, 1003


class FramedTransport(Transport):
    """What a Connection writes to: every write becomes one binary frame."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport
        self._is_closed = False

    def write(self, data: Any) -> None:
        self._transport.write(encode_frame(_BINARY, data))

    def write_eof(self) -> None:
        self._say_goodbye()
        self._transport.write_eof()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def close(self) -> None:
        self._say_goodbye()
        self._transport.close()

    def _say_goodbye(self) -> None:
        if not self._is_closed and not self._transport.is_closing():
            self._transport.write(encode_frame(_CLOSE, (1000).to_bytes(2, "big")))
        self._is_closed = True

    def end(self, code: bytes) -> None:
        """Close with a code that answers or reports something."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.write(encode_frame(_CLOSE, code))
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._is_closed or self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


class WebSocket(Protocol):
    """One websocket connection around one MQTT connection.

    With `checks_origin` only pages of this machine may connect: any page in the user's browser could otherwise
    reach a broker that asks for no password.
    """

    def __init__(self, connection: Connection, *, checks_origin: bool) -> None:
        self._connection = connection
        self._checks_origin = checks_origin
        self._transport: Transport
        self._framed: FramedTransport
        self._buffer = bytearray()
        self._is_open = False
        self._is_in_message = False
        self._mask = b""
        self._left = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = cast(Transport, transport)
        self._framed = FramedTransport(self._transport)
        self._connection.connection_made(self._framed)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            self._shake_hands()
        while self._is_open and not self._framed.is_closing() and (self._take_payload() or self._take_header()):
            pass

    def _shake_hands(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= _LARGEST_HEADER:
            return
        try:
            answer = accept_upgrade(bytes(self._buffer[: max(end, 0)]), checks_origin=self._checks_origin)
        except Refused as refusal:
            self._transport.write(refusal.answer)
            self._transport.close()
            return
        del self._buffer[: end + 4]
        self._is_open = True
        self._transport.write(answer)

    def _take_payload(self) -> bool:
        """Pass on what is there of the data frame that is being read."""
        if not self._left or not self._buffer:
            return False
        chunk = bytes(self._buffer[: self._left])
        del self._buffer[: len(chunk)]
        self._left -= len(chunk)
        turn = len(chunk) % 4
        plain = unmask(chunk, self._mask)
        self._mask = self._mask[turn:] + self._mask[:turn]
        self._connection.data_received(plain)
        return True

    def _take_header(self) -> bool:
        """Read the header of the next frame, or a whole control frame (RFC 6455 section 5.2)."""
        buffer = self._buffer
        if self._left or len(buffer) < 2:
            return False
        opcode, length, place = buffer[0] & 15, buffer[1] & 127, 2
        if buffer[0] & 0x70 or not buffer[1] & 0x80 or (opcode > 7 and (length > 125 or not buffer[0] & 0x80)):
            self._framed.end(_PROTOCOL_ERROR.to_bytes(2, "big"))
            return False
        if length > 125:
            place = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:place], "big")
        is_control = opcode > 7
        if len(buffer) < place + 4 + (length if is_control else 0):
            return False
        self._mask = bytes(buffer[place : place + 4])
        has_end = buffer[0] & 0x80 != 0
        del buffer[: place + 4]
        if is_control:
            payload = unmask(bytes(buffer[:length]), self._mask)
            del buffer[:length]
            return self._take_control(opcode, payload)
        return self._begin_data(opcode, length, has_end=has_end)

    def _begin_data(self, opcode: int, length: int, *, has_end: bool) -> bool:
        if opcode == _TEXT:
            self._framed.end(_UNSUPPORTED.to_bytes(2, "big"))
            return False
        if opcode != (_CONTINUATION if self._is_in_message else _BINARY):
            self._framed.end(_PROTOCOL_ERROR.to_bytes(2, "big"))
            return False
        self._is_in_message = not has_end
        self._left = length
        return True

    def _take_control(self, opcode: int, payload: bytes) -> bool:
        if opcode == _PING:
            self._transport.write(encode_frame(_PONG, payload))
        elif opcode == _CLOSE:
            self._framed.end(payload[:2])
        elif opcode != _PONG:
            self._framed.end(_PROTOCOL_ERROR.to_bytes(2, "big"))
        return True


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Write an unmasked frame, as servers send it (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        header = bytes((0x80 | opcode, length))
    elif length < 65_536:
        header = bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")
    return header + payload


def unmask(data: bytes, mask: bytes) -> bytes:
    """Take a client's mask off (or put it on), which starts with the first byte (RFC 6455 section 5.3)."""
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
