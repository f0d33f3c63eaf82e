"""Turns publishes into the bytes that are sent at once when a batch of messages has been handled."""

from collections.abc import Callable
from struct import Struct

from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.link import Hold, Terms, Trouble, Watch
from flowrunner.run.outbox import Outbox, Outgoing, Pieces
from flowrunner.run.packets import (
    PUBLISH,
    check_size,
    header_table,
    pack_publish,
    pack_topic,
    require_topic,
)
from flowrunner.run.property_codec import pack_properties
from flowrunner.run.window import FIRST, MASK, Window

#: Topics that are remembered in the form in which they are sent.
MOST_TOPICS = 10_000

_QOS_1 = PUBLISH | 0x02
_AROUND = 8  # bytes of a small PUBLISH besides topic and payload, at most
_NO_TABLE: tuple[bytes, ...] = ()
_NUMBER = (Struct(">H").pack, Struct(">Hx").pack)  # a packet identifier, and what follows it


class Outlet:
    """The way out of one connection.

    A publish is four pieces of bytes in `pieces`, so that it costs a call, a look into a table and a tuple, no more.
    That way is open to topics that are known, with fixed headers from a table; everything else goes the long way, also
    while somebody watches or the network does not keep up: then no topic is known. `wake` is called when there is
    something to send, once before each `collect`. `hold` holds back the acknowledgement of the delivery that is being
    handled, if that has one, for a publish that does not go out in `light`.
    """

    def __init__(self, outbox: Outbox, trouble: Trouble) -> None:
        self.wake: Callable[[], object] = _nothing
        self.is_due = False
        self.dropped = 0
        self.pieces: list[bytes] = []
        self.answers: list[bytes] = []
        self.window = Window(outbox, trouble, self._put, self.answer)
        self.hold: Callable[[], Hold | None] = _nothing
        self._extend = self.pieces.extend
        self._light = outbox.light
        self._in_flight = outbox.in_flight
        self._topics: dict[str, bytes] = {}
        self._headers_0 = self._headers_1 = _NO_TABLE
        self._gap = b""
        self._between = _NUMBER[0]
        self._trouble = trouble
        self._terms: Terms | None = None
        self._watch: Watch | None = None
        self._is_jammed = False
        self._published = 0

    @property
    def published(self) -> int:
        """Publishes so far."""
        return self._published + len(self.pieces) // 4

    @property
    def watch(self) -> Watch | None:
        """Is shown every publish."""
        return self._watch

    @watch.setter
    def watch(self, watch: Watch | None) -> None:
        self._watch = watch
        self._topics.clear()

    def open(self, terms: Terms) -> None:
        """Learn what the broker allows."""
        self._terms = terms
        self._is_jammed = False
        gap = 1 if terms.version == 5 else 0  # the length of no properties
        most = None if terms.maximum_packet is None else max(0, terms.maximum_packet - _AROUND)
        self._gap = bytes(gap)
        self._between = _NUMBER[gap]
        self._headers_0 = header_table(PUBLISH, gap)[:most]
        self._headers_1 = header_table(_QOS_1, gap + 2)[:most]

    def close(self) -> None:
        """Learn that there is no broker any more."""
        self.collect()
        self._terms = None
        self._topics.clear()

    def jam(self, *, is_jammed: bool) -> None:
        """Learn whether more waits for a slow network than is good: then publishes at QoS 0 are dropped."""
        if is_jammed != self._is_jammed:
            self._is_jammed = is_jammed
            self._topics.clear()

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Link`
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """See `Link.publish`."""
        try:
            name = self._topics[topic]
            if retain or properties:
                pass
            elif qos == 0:
                self._extend((self._headers_0[len(name) + len(payload)], name, self._gap, payload))
                if not self.is_due:
                    self._wake()
                return
            elif qos == 1:
                window, light = self.window, self._light
                if len(light) < window.room:
                    header = self._headers_1[len(name) + len(payload)]
                    window.count = count = window.count + 1
                    number = count & MASK | FIRST
                    if number in light or number in self._in_flight:
                        number = window.next_number()
                    light[number] = pieces = (header, name, self._between(number), payload)
                    self._extend(pieces)
                    if not self.is_due:
                        self._wake()
                    return
        except LookupError:  # the topic is not known, or there is no header for so many bytes
            pass
        self._publish(topic, payload, qos, retain, properties)

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
        """See `Link.promise`."""
        try:
            name = self._topics[topic]
            window = self.window
            is_usual = qos == 1 and not retain and not properties
            if is_usual and len(window.light) < window.room:
                header = self._headers_1[len(name) + len(payload)]
                number = window.next_number()
                window.light[number] = pieces = (header, name, self._between(number), payload)
                window.promised[number] = done
                self._extend(pieces)
                if not self.is_due:
                    self._wake()
                return
        except LookupError:  # as above
            pass
        self._publish(topic, payload, qos, retain, properties, done=done)

    def answer(self, packet: bytes) -> None:
        """Send a packet that is no publish, after them."""
        self.answers.append(packet)
        if not self.is_due:
            self._wake()

    def collect(self) -> bytes:
        """Take everything that is to be sent."""
        self.is_due = False
        pieces = self.pieces
        self._published += len(pieces) // 4
        pieces += self.answers
        collected = b"".join(pieces)
        pieces.clear()
        self.answers.clear()
        return collected

    def _publish(
        self, *message: *tuple[str, bytes, int, bool, Properties], done: Callable[[], object] | None = None
    ) -> None:
        """The long way."""
        topic, payload, qos, retain, properties = message
        require_topic(topic)
        if properties:
            pack_properties(properties)
        outgoing = Outgoing(topic, payload, qos, retain, properties, done=done)
        if self._terms is not None:
            check_size(outgoing, self._terms)
        if qos:
            self._queue(outgoing)
            self.window.pump()
        elif not self._send_now(outgoing):
            self.dropped += 1
            return
        self._published += 1
        if self._watch is not None:
            self._watch(topic, payload, qos, retain)
        elif self._terms is not None and not self._is_jammed:
            self._learn(topic)

    def _queue(self, outgoing: Outgoing) -> None:
        """Queue a publish at QoS 1 or 2; the delivery that is being handled waits for it."""
        outbox = self.window.outbox
        if not outbox.add(outgoing):
            words = f"{len(outbox)} publishes wait for the broker already: there is no room for more"
            raise StepError(words, code="queue-full")
        if outgoing.done is None and (holder := self.hold()) is not None:
            outgoing.done = holder.release

    def _send_now(self, outgoing: Outgoing) -> bool:
        """Send a publish at QoS 0, which waits for nothing."""
        if self._terms is None:
            return False
        if self._is_jammed:
            self._trouble(outgoing.topic, "the network does not keep up")
            return False
        self._put(pack_publish(outgoing, 0, self._terms))
        return True

    def _learn(self, topic: str) -> None:
        if len(self._topics) >= MOST_TOPICS:
            self._topics.clear()
        self._topics[topic] = pack_topic(topic)

    def _put(self, pieces: Pieces) -> None:
        """Send a publish that is counted already."""
        self._published -= 1
        self._extend(pieces)
        if not self.is_due:
            self._wake()

    def _wake(self) -> None:
        self.is_due = True
        self.wake()


def _nothing() -> None:
    """Nobody sends anything yet."""
