"""Keeps as many publishes at QoS 1 and 2 in flight as the broker bears, and sends them again (MQTT 5.0 section 4.9)."""

from collections import deque
from collections.abc import Callable

from flowrunner.errors import StepError
from flowrunner.run.link import Hold, Terms, Trouble
from flowrunner.run.outbox import MOST_MESSAGES, Outbox, Outgoing, Pieces
from flowrunner.run.packets import (
    PUBREC,
    PUBREL,
    check_size,
    is_small,
    pack_answer,
    pack_publish,
    repeat,
    restore,
    words_of,
)

#: Packet identifiers of publishes; those below are for paho's subscriptions.
NUMBERS = range(0x8000, 0x1_0000)
FIRST, MASK = 0x8000, 0x7FFF

#: Publishes in the outbox with which no more deliveries are begun that may publish: half of what it bears.
CROWDED = MOST_MESSAGES // 2

_FAILURE = 0x80


class Window:
    """Publishes at QoS 1 and 2, on one network connection after the other.

    `send` takes the pieces of a publish, `answer` another packet. There is room for another small
    publish at QoS 1 as long as fewer than `room` are in flight in `light`. `count` numbers what was sent.
    """

    def __init__(
        self, outbox: Outbox, trouble: Trouble, send: Callable[[Pieces], object], answer: Callable[[bytes], object]
    ) -> None:
        self.outbox = outbox
        self.light = outbox.light
        self.promised = outbox.promised
        self.waiting = outbox.waiting
        self.room = 0
        self.count = 0
        self._trouble = trouble
        self._send = send
        self._answer = answer
        self._terms: Terms | None = None
        self._opened = self._resent = 0
        self._released: set[int] = set()  # QoS 2: PUBREC has come
        self._unsent: deque[int] = deque()  # in flight since another network connection

    @property
    def is_crowded(self) -> bool:
        """Whether so many publishes are under way that more would soon be dropped."""
        return len(self.outbox) >= CROWDED

    def next_number(self) -> int:
        """A packet identifier that is not in use."""
        while True:
            self.count += 1
            number = self.count & MASK | FIRST
            if number not in self.light and number not in self.outbox.in_flight:
                return number

    def oldest(self) -> int:
        """The count of the oldest publish in `light`; beyond them all if there is none."""
        for number in self.light:
            return self.count - (self.count - number & MASK)
        return self.count + 1

    def have_wait(self, holder: Hold, before: int, last: int) -> None:
        """Have what holds back an acknowledgement wait for publishes in `light`: those after `before`, up to `last`."""
        for count in range(before + 1, last + 1):
            number = count & MASK | FIRST
            if number in self.light and number not in self.promised:
                holder.hold()
                self.promised[number] = holder.release

    def open(self, terms: Terms) -> None:
        """Send again what was in flight, where the broker has kept the session (MQTT 5.0 section 4.4)."""
        self._terms = terms
        if not terms.session_present or terms.maximum_qos == 0:
            self.outbox.rewind()
            self._released.clear()
        self._opened, self._resent = self.count, 0
        for number in self.outbox.in_flight:
            if number in self._released:
                self._resent += 1
                self._answer(pack_answer(PUBREL, number))
            else:
                self._unsent.append(number)
        self.pump()

    def close(self, *, is_early: bool) -> bool:
        """Learn that the network connection is gone; true if publishes were in flight."""
        outbox, unsent = self.outbox, frozenset(self._unsent)
        outbox.settle(restore, lambda number: -((self.count - number) & MASK))
        left = len(outbox.in_flight) - len(unsent)
        if left < self.count - self._opened + self._resent:  # the short way does not tell what it takes out
            outbox.trust()
        given_up = outbox.count_loss(unsent) if is_early else None
        self._terms = None
        self._unsent.clear()
        self.room = 0
        if given_up is not None:
            reason = "the broker closes the connection whenever it is sent: is it too large, or not allowed?"
            self._trouble(given_up.topic, reason)
            given_up.finish()
        return left > 0

    def acknowledge(self, kind: int, number: int, code: int) -> None:
        """Take a PUBACK, PUBREC or PUBCOMP, and send what there is room for now."""
        if kind == PUBREC and code < _FAILURE:
            if number in self.outbox.in_flight:
                self._released.add(number)
            self._answer(pack_answer(PUBREL, number))
            return
        pieces = self.light.pop(number, None)
        if pieces is None:
            outgoing = self.outbox.acknowledge(number)
        else:
            outgoing = restore(pieces)
            outgoing.done = self.outbox.promised.pop(number, None)
        self._released.discard(number)
        self.outbox.trust()
        if code >= _FAILURE and outgoing is not None:
            self._trouble(outgoing.topic, words_of(code))
        if outgoing is not None:
            outgoing.finish()
        self.pump()

    def refresh(self) -> None:
        """Send what there is room for, after a batch in which things were taken out of `light`."""
        if self.waiting:
            self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the broker's window goes; what was in flight before comes first."""
        terms, outbox = self._terms, self.outbox
        if terms is None:
            return
        most = 1 if outbox.is_suspicious else min(terms.receive_maximum, MOST_MESSAGES)
        while self._unsent and self._in_flight < most:
            self._send_again(self._unsent.popleft(), terms)
        while self.waiting and self._in_flight < most and not self._unsent:
            self._send_next(self.waiting[0], terms)
        is_free = not (outbox.is_suspicious or self._unsent or self.waiting or terms.maximum_qos == 0)
        self.room = most - len(outbox.in_flight) if is_free else 0

    @property
    def _in_flight(self) -> int:
        return len(self.outbox.in_flight) + len(self.light) - len(self._unsent)

    def _send_again(self, number: int, terms: Terms) -> None:
        self._resent += 1
        outgoing = self.outbox.in_flight[number]
        self._send(repeat(pack_publish(outgoing, number, terms)))

    def _send_next(self, outgoing: Outgoing, terms: Terms) -> None:
        try:
            check_size(outgoing, terms)
        except StepError as error:
            self.outbox.take()
            self._trouble(outgoing.topic, error.message)
            outgoing.finish()
            return
        qos = min(outgoing.qos, terms.maximum_qos)
        number = self.next_number() if qos else 0
        pieces = pack_publish(outgoing, number, terms)
        self._send(pieces)
        if qos == 0:
            self.outbox.take().finish()
        elif qos == 1 and self._is_light(outgoing, pieces):
            self.outbox.send_light(number, pieces)
        else:
            self.outbox.send(number)

    def _is_light(self, outgoing: Outgoing, pieces: Pieces) -> bool:
        """Whether nothing need be known of a publish in flight but its bytes."""
        return not outgoing.properties and is_small(pieces) and not self.outbox.is_suspicious
