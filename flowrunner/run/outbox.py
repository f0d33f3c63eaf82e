"""Keeps publishes at QoS 1 and 2 in order until the broker has acknowledged them."""

from collections import deque
from dataclasses import dataclass

from flowrunner.message import Properties

MOST_MESSAGES = 10_000
MOST_BYTES = 64 * 1024 * 1024

#: Network connections in a row that broke without one acknowledgement, before messages are sent one at a time to
#: find the one that the broker cannot bear; and how often that one may break the connection before it is given up.
SUSPICIOUS_LOSSES = 3
MOST_LOSSES = 2


@dataclass(slots=True)
class Outgoing:
    """A publish on its way. `losses` counts network connections that broke while it alone was in flight."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties
    losses: int = 0

    @property
    def size(self) -> int:
        """Bytes that it holds, roughly."""
        return len(self.topic) + len(self.payload)


class Outbox:
    """A bounded queue of what waits, and of what is in flight by its packet identifier, both in order."""

    def __init__(self, *, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self.waiting: deque[Outgoing] = deque()
        self.in_flight: dict[int, Outgoing] = {}
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._bytes = 0
        self._losses = 0

    def __len__(self) -> int:
        return len(self.waiting) + len(self.in_flight)

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

    def acknowledge(self, identifier: int) -> Outgoing | None:
        """Forget a publish that the broker has acknowledged; None if it is not in flight."""
        outgoing = self.in_flight.pop(identifier, None)
        if outgoing is not None:
            self._bytes -= outgoing.size
            self._losses = 0
        return outgoing

    def count_loss(self) -> Outgoing | None:
        """Learn that the broker broke a fresh connection; returns a publish that is given up as the reason."""
        if not self.in_flight:
            return None
        self._losses += 1
        identifier, first = next(iter(self.in_flight.items()))
        if len(self.in_flight) > 1 or not self.is_suspicious:
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
