"""Keeps deliveries at QoS 1 and 2 back while too many publishes wait, so that what comes of them is not dropped."""

from collections import deque

from flowrunner.records import dataclass
from flowrunner.run.packets import Received

#: As many as a broker sends before it waits: the largest receive maximum (MQTT 5.0 section 3.1.2.11.3); and bytes.
MOST_PARKED = 65_535
MOST_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Delivery:
    """A PUBLISH: its first byte, what it says, and what follows its fixed header.

    One that `is_answered` is acknowledged.
    """

    first: int
    packet: Received
    body: bytes
    is_answered: bool = True


class Parking:
    """Deliveries in the order in which they came.

    They are not acknowledged, so that a broker stops sending by itself, and its acknowledgements, which come behind
    them, can be read meanwhile (MQTT 5.0 section 4.9).
    """

    def __init__(self, *, most_deliveries: int = MOST_PARKED, most_bytes: int = MOST_BYTES) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._most_deliveries = most_deliveries
        self._most_bytes = most_bytes
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def is_over(self) -> bool:
        """Whether there are more than there should be: then the first must go, wherever that leads."""
        return len(self._deliveries) > self._most_deliveries or self._bytes > self._most_bytes

    def put(self, delivery: Delivery) -> None:
        """Take one in."""
        self._deliveries.append(delivery)
        self._bytes += len(delivery.body)

    def take(self) -> Delivery:
        """Take the first one out."""
        delivery = self._deliveries.popleft()
        self._bytes -= len(delivery.body)
        return delivery

    def open(self, *, session_present: bool) -> None:
        """Learn of another network connection: its broker sends them all again, or has never heard of them."""
        if session_present:
            self._deliveries.clear()
            self._bytes = 0
        for delivery in self._deliveries:
            delivery.is_answered = False
