"""Turns the bytes of a network connection into sentences about the protocol, as it happens (MQTT 5.0, 3.1.1)."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from flowrunner.run import refusals
from flowrunner.run.link import SocketLike
from flowrunner.run.property_codec import Malformed, read_length

#: Packets of messages that are told in a second; bytes of one packet that are looked at; topics that are remembered.
MOST_IN_A_SECOND = 10
MOST_BYTES = 65_536
MOST_TOPICS = 10_000

_CONNECT, _CONNACK, _PUBLISH, _SUBSCRIBE, _SUBACK = 1, 2, 3, 8, 9
_UNSUBSCRIBE, _UNSUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 10, 11, 12, 13, 14
_OF_A_MESSAGE = {3, 4, 5, 6, 7}
_NAMES = {4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP"}
_FAILURE = 0x80
_DUP, _RETAIN = 0x08, 0x01

_log = logging.getLogger("flowrunner.run")


class Narrator:
    """Tells what one connection says and hears; `topics` are those of the messages that came."""

    def __init__(self, say: Callable[[str], object], *, now: Callable[[], float] = monotonic) -> None:
        self.topics: set[str] = set()
        self._say = say
        self._now = now
        self._is_v5 = True
        self._asked: dict[int, str] = {}  # filters by packet identifier
        self._ours: dict[int, str] = {}  # topics of publishes
        self._theirs: dict[int, str] = {}
        self._pings = 0
        self._second = 0.0
        self._told = 0
        self._folded = 0

    def tap(self, socket: SocketLike) -> SocketLike:
        """Stand before a socket and listen to both sides."""
        return _Tapped(socket, _Stream(self._out), _Stream(self._in))

    def stop(self) -> None:
        """Tell what was counted and not told."""
        self._unfold()
        if self._pings > 1:
            self._say(f"the line was quiet {self._pings} times: PINGREQ, and PINGRESP from the broker")
            self._pings = 0

    def _out(self, first: int, body: bytes) -> None:
        match first >> 4:
            case 1:
                self._say(f"→ CONNECT: {self._connect(body)}")
            case 3:
                self._publish(first, body, "→", self._ours)
            case 4 | 5 | 6 | 7 as kind:
                self._acknowledge(kind, body, "→", self._ours if kind == 6 else self._theirs)
            case 8:
                self._say(f"→ SUBSCRIBE: {self._subscribe(body)}")
            case 10:
                self._say(f"→ UNSUBSCRIBE: we want no more of {_quoted(self._filters(body)[0])}")
            case 12:
                self._pings += 1
            case 14:
                self._say("→ DISCONNECT: we leave; the broker forgets the will")

    def _in(self, first: int, body: bytes) -> None:
        match first >> 4:
            case 2:
                self._say(f"← CONNACK: {self._connack(body)}")
            case 3:
                self._publish(first, body, "←", self._theirs)
            case 4 | 5 | 6 | 7 as kind:
                self._acknowledge(kind, body, "←", self._theirs if kind == 6 else self._ours)
            case 9:
                self._say(f"← SUBACK: {self._suback(body)}")
            case 13:
                if self._pings == 1:
                    self._say("the line was quiet, so we asked (PINGREQ); the broker is there (PINGRESP)")
            case 14:
                reason = refusals.ended(body[0]) if body else "the broker ended it"
                self._say(f"← DISCONNECT: {reason}")

    def _connect(self, body: bytes) -> str:
        name_end = 2 + int.from_bytes(body[:2], "big")
        level, flags = body[name_end], body[name_end + 1]
        keepalive = int.from_bytes(body[name_end + 2 : name_end + 4], "big")
        place = name_end + 4
        self._is_v5 = level == 5
        self._asked.clear()
        if self._is_v5:
            place = _behind_properties(body, place)
        client_id, place = _text(body, place)
        words = [f"let us in as {_quoted(client_id)}", f"MQTT {'5' if self._is_v5 else '3.1.1'}"]
        words.append("begin a new session" if flags & 2 else "go on with our session")
        words.append(f"a sign of life every {keepalive} s" if keepalive else "no signs of life")
        if flags & 4:
            if self._is_v5:
                place = _behind_properties(body, place)
            words.append(f"if we vanish, publish our will on {_quoted(_text(body, place)[0])}")
        if flags & 0x80:
            words.append("a user name" + (" and a password" if flags & 0x40 else ""))
        return ", ".join(words)

    def _connack(self, body: bytes) -> str:
        if body[1]:
            return f"no (reason code {body[1]:#04x})"
        kept = "our session was kept, with its subscriptions" if body[0] & 1 else "the session is new"
        return f"we are in; {kept}"

    def _subscribe(self, body: bytes) -> str:
        topic_filter, number, options = self._filters(body)
        self._asked[number] = topic_filter
        words = [f"we want {_quoted(topic_filter)} at QoS {options & 3}"]
        if self._is_v5:
            words.append("with what the broker kept" if options >> 4 & 3 == 0 else "without what the broker kept")
        if options & 4:
            words.append("but not what we publish ourselves")
        return ", ".join(words)

    def _filters(self, body: bytes) -> tuple[str, int, int]:
        """The first filter of a SUBSCRIBE or UNSUBSCRIBE, its packet identifier, and the options of the filter."""
        number = int.from_bytes(body[:2], "big")
        place = _behind_properties(body, 2) if self._is_v5 else 2
        topic_filter, place = _text(body, place)
        return topic_filter, number, body[place] if place < len(body) else 0

    def _suback(self, body: bytes) -> str:
        asked = self._asked.pop(int.from_bytes(body[:2], "big"), "")
        code = body[-1]
        if code >= _FAILURE:
            return f"{_quoted(asked)} refused: {refusals.not_subscribed(code)}"
        return f"{_quoted(asked)} granted at QoS {code}"

    def _publish(self, first: int, body: bytes, arrow: str, topics: dict[int, str]) -> None:
        topic, place = _text(body, 0)
        qos = first >> 1 & 3
        words = [f"QoS {qos}"]
        if qos:
            number = int.from_bytes(body[place : place + 2], "big")
            words.append(f"number {number}")
            if len(topics) < MOST_TOPICS:
                topics[number] = topic
        if arrow == "←":
            words.append("retained: the broker had kept it" if first & _RETAIN else "live")
            if len(self.topics) < MOST_TOPICS:
                self.topics.add(topic)
        elif first & _RETAIN:
            words.append("to be kept (retain)")
        if first & _DUP:
            words.append("sent once more (DUP)")
        self._tell(f"{arrow} PUBLISH {_quoted(topic)}: {', '.join(words)}")

    def _acknowledge(self, kind: int, body: bytes, arrow: str, topics: dict[int, str]) -> None:
        number = int.from_bytes(body[:2], "big")
        topic = topics.get(number, "")
        if kind in (4, 7):
            topics.pop(number, None)
        who = "the broker" if arrow == "←" else "we"
        code = body[2] if len(body) > 2 else 0
        said = {
            4: f"{who} {'has' if arrow == '←' else 'have'} it",
            5: f"{who} {'has' if arrow == '←' else 'have'} it, exactly once",
            6: "forget its number",
            7: "its number is free again",
        }[kind]
        if code >= _FAILURE:
            said = f"{who} did not take it (reason code {code:#04x})"
        name = f" of {_quoted(topic)}" if topic else ""
        self._tell(f"{arrow} {_NAMES[kind]} {number}{name}: {said}")

    def _tell(self, text: str) -> None:
        """Say something of a message, unless much was said in this second."""
        now = self._now()
        if now - self._second >= 1.0:
            self._unfold()
            self._second, self._told = now, 0
        self._told += 1
        if self._told <= MOST_IN_A_SECOND:
            self._say(text)
        else:
            self._folded += 1

    def _unfold(self) -> None:
        if self._folded:
            self._say(f"... and {self._folded:,} more packets of messages".replace(",", " "))
            self._folded = 0


class _Stream:
    """Cuts one direction into packets; of a large one the beginning is enough."""

    def __init__(self, take: Callable[[int, bytes], None]) -> None:
        self._take = take
        self._buffer = b""
        self._skip = 0
        self._is_over = False

    def feed(self, data: bytes) -> None:
        """Look at some bytes; what cannot be read ends the story, and nothing else."""
        if self._is_over:
            return
        try:
            self._feed(data)
        except (Malformed, IndexError, ValueError):
            self._is_over = True
        except Exception:  # noqa: BLE001 - nobody depends on what is told
            _log.exception("a packet could not be told")
            self._is_over = True

    def _feed(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while len(self._buffer) >= 2:
            try:
                length, start = read_length(self._buffer, 1)
            except IndexError:
                return
            most = min(length, MOST_BYTES)
            if len(self._buffer) < start + most:
                return
            packet = self._buffer[start : start + most]
            first = self._buffer[0]
            self._skip = max(0, start + length - len(self._buffer))
            self._buffer = self._buffer[start + length :]
            self._take(first, packet)


class _Tapped:
    """A socket whose traffic is also given to two streams; everything else is the socket's."""

    def __init__(self, socket: SocketLike, out: _Stream, back: _Stream) -> None:
        self._socket = socket
        self._out = out
        self._back = back

    def recv(self, buffer_size: int) -> bytes:
        """See `SocketLike`."""
        data = self._socket.recv(buffer_size)
        self._back.feed(data)
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        """See `SocketLike`."""
        sent = self._socket.send(buffer)
        if sent:
            self._out.feed(bytes(buffer[:sent]))
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _behind_properties(body: bytes, place: int) -> int:
    length, start = read_length(body, place)
    return start + length


def _text(body: bytes, place: int) -> tuple[str, int]:
    end = place + 2 + int.from_bytes(body[place : place + 2], "big")
    return body[place + 2 : end].decode("utf-8", "replace"), end


def _quoted(text: str) -> str:
    return f"`{text if len(text) <= 80 else text[:79] + '…'}`"
