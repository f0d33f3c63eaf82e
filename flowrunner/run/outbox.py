"""Keeps publishes at QoS 1 and 2 in order until the broker has acknowledged them."""

from collections import deque
from collections.abc import Callable, Container

from flowrunner.message import Properties
from flowrunner.records import dataclass

MOST_MESSAGES = 10_000
MOST_BYTES = 64 * 1024 * 1024

#: Network connections in a row that broke without one acknowledgement, before messages are sent one at a time to
#: find the one that the broker cannot bear; and how often that one may break the connection before it is given up.
SUSPICIOUS_LOSSES = 3
MOST_LOSSES = 2


@dataclass(slots=True)
class Outgoing:
    """A publish on its way. `losses` counts network connections that broke while it alone was in flight.

    `done` is called once, when the broker has acknowledged it, or when it was given up.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties
    losses: int = 0
    done: Callable[[], object] | None = None

    def finish(self) -> None:
        """Say that nothing more becomes of it."""
        done, self.done = self.done, None
        if done is not None:
            done()

    @property
    def size(self) -> int:
        """Bytes that it holds, roughly."""
        return len(self.topic) + len(self.payload)


Pieces = tuple[bytes, bytes, bytes, bytes]
"""A PUBLISH as it is sent: fixed header, topic with its length, what stands between, payload."""


class Outbox:
    """A bounded queue of what waits, and of what is in flight by its packet identifier, both in order.

    What is in flight and `light` is counted as messages, but not in bytes.
    """

    def __init__(self, *, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self.waiting: deque[Outgoing] = deque()
        self.in_flight: dict[int, Outgoing] = {}
        self.light: dict[int, Pieces] = {}
        self.promised: dict[int, Callable[[], object]] = {}  # what `done` is of those that are light
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._bytes = 0
        self._losses = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.in_flight) + len(self.light)

    @property
    def is_suspicious(self) -> bool:
        """Whether one message at a time should be sent, to find out which one breaks the connection."""
        return self._losses >= SUSPICIOUS_LOSSES

    def add(self, outgoing: Outgoing) -> bool:
        """Queue a publish; false if there is no room for it."""
        if len(self) >= self._most_messages or self._bytes + outgoing.size > self._most_bytes:
            return False
        self.waiting.append(outgoing)
        self._bytes += outgoing.size
        return True

    def take(self) -> Outgoing:
        """Take the next publish out of the queue for good."""
        outgoing = self.waiting.popleft()
        self._bytes -= outgoing.size
        return outgoing

    def send(self, identifier: int) -> None:
        """Learn that the next publish went out under this packet identifier."""
        self.in_flight[identifier] = self.waiting.popleft()

    def send_light(self, identifier: int, pieces: Pieces) -> None:
        """Learn that the next publish went out in these pieces, which are few bytes."""
        outgoing = self.take()
        self.light[identifier] = pieces
        if outgoing.done is not None:
            self.promised[identifier] = outgoing.done

    def acknowledge(self, identifier: int) -> Outgoing | None:
        """Forget a publish that the broker has acknowledged; None if it is not in flight."""
        outgoing = self.in_flight.pop(identifier, None)
        if outgoing is not None:
            self._bytes -= outgoing.size
            self._losses = 0
        return outgoing

    def trust(self) -> None:
        """Learn that the broker has acknowledged something."""
        self._losses = 0

    def settle(self, restore: Callable[[Pieces], Outgoing], place: Callable[[int], int]) -> None:
        """Make of what is light the publishes that it was; `place` says which identifiers were sent before others."""
        for identifier, pieces in self.light.items():
            self.in_flight[identifier] = outgoing = restore(pieces)
            outgoing.done = self.promised.pop(identifier, None)
            self._bytes += outgoing.size
        self.light.clear()
        ordered = {number: self.in_flight[number] for number in sorted(self.in_flight, key=place)}
        self.in_flight.clear()
        self.in_flight |= ordered

    def count_loss(self, unsent: Container[int] = ()) -> Outgoing | None:
        """Learn that the broker broke a fresh connection; returns a publish that is given up as the reason.

        What is `unsent` was in flight before, and has not been sent on this connection.
        """
        blamed = [identifier for identifier in self.in_flight if identifier not in unsent]
        if not blamed:
            return None
        self._losses += 1
        identifier = blamed[0]
        first = self.in_flight[identifier]
        if len(blamed) > 1 or not self.is_suspicious:
            return None
        first.losses += 1
        if first.losses < MOST_LOSSES:
            return None
        self._losses = 0
        del self.in_flight[identifier]
        self._bytes -= first.size
        return first

    def rewind(self) -> None:
        """Put what is in flight back to the head of the queue, for a session that knows nothing of it."""
        self.waiting.extendleft(reversed(self.in_flight.values()))
        self.in_flight.clear()
