"""Acknowledges what arrives at QoS 1 and 2 late, in order, and hands it on once (MQTT 5.0 sections 4.3 to 4.6)."""

from collections import deque
from collections.abc import Callable


class Receipt:
    """The acknowledgement of one delivery, which is due when everything that holds it has released it."""

    __slots__ = ("_count", "_inbound", "number", "qos")

    def __init__(self, inbound: "Inbound", number: int = 0, qos: int = 0) -> None:
        self._inbound: Inbound | None = inbound
        self._count = 0
        self.number = number
        self.qos = qos

    @property
    def is_due(self) -> bool:
        """Whether nothing holds it any more."""
        return self._count == 0

    def hold(self) -> None:
        """Keep it back until `release` is called once more."""
        self._count += 1

    def release(self) -> None:
        """Let go of it."""
        self._count -= 1
        if self._count == 0 and self._inbound is not None:
            self._inbound.advance()

    def void(self) -> None:
        """Belong to no session any more."""
        self._inbound = None


class Inbound:
    """What one session knows of deliveries at QoS 1 and 2, over all its network connections.

    A delivery is acknowledged when its handlers have returned, unless one of them has called `hold`: then it is when
    all has been released, and the acknowledgements of later ones queue up behind it. `acknowledge` is called for each
    in the order of arrival, with packet identifier and QoS. While `is_waiting` is false there is nothing to queue
    behind, and whoever hands deliveries on may acknowledge them without asking.
    """

    def __init__(self, acknowledge: Callable[[int, int], object]) -> None:
        self.is_waiting = False
        self._acknowledge = acknowledge
        self._held: Receipt | None = None  # of the delivery that is being handled
        self._queue: deque[Receipt | int] = deque()  # a number: of a delivery at QoS 1 that only waits for its turn
        self._lost: dict[int, Receipt] = {}  # QoS 1: not finished when the network connection broke
        self._exact: dict[int, Receipt | None] = {}  # QoS 2: until PUBREL; None when it was acknowledged

    def hold(self) -> Receipt:
        """Keep back the acknowledgement of the delivery at QoS 1 or 2 that is being handled, until `release`."""
        receipt = self._held
        if receipt is None:
            receipt = self._held = Receipt(self)
            self.is_waiting = True
        receipt.hold()
        return receipt

    def is_known(self, number: int, qos: int, *, is_repeated: bool) -> bool:
        """Whether a delivery was handed to the flows before; its acknowledgement is sent again, or when it is due."""
        if qos == 1:
            receipt = self._lost.pop(number, None)
            if receipt is None or not is_repeated:
                return False
        elif number not in self._exact:
            return False
        else:
            receipt = self._exact[number] or Receipt(self, number, qos)
        if receipt not in self._queue:
            self._queue.append(receipt)
            self.advance()
        return True

    def finish(self, number: int, qos: int) -> None:
        """Learn that the handlers of a delivery have returned."""
        receipt, self._held = self._held, None
        if qos == 2:
            receipt = self._exact[number] = receipt or Receipt(self)
        elif self._lost:
            self._lost.pop(number, None)
        if receipt is not None:
            receipt.number, receipt.qos = number, qos
        self._queue.append(number if receipt is None else receipt)
        if len(self._queue) == 1:  # else what is before it is not due
            self.advance()

    def advance(self) -> None:
        """Acknowledge what is due."""
        queue, acknowledge = self._queue, self._acknowledge
        while queue:
            receipt = queue[0]
            if isinstance(receipt, int):
                queue.popleft()
                acknowledge(receipt, 1)
                continue
            if not receipt.is_due:
                self.is_waiting = True
                return
            queue.popleft()
            if receipt.qos == 2:
                self._exact[receipt.number] = None
            acknowledge(receipt.number, receipt.qos)
        self._look()

    def complete(self, number: int) -> None:
        """Learn that the broker has released a delivery at QoS 2: its packet identifier is free again."""
        self._exact.pop(number, None)

    def lose(self) -> None:
        """Learn that the network connection is gone: the broker sends again what was not acknowledged."""
        waiting = [Receipt(self, one, 1) if isinstance(one, int) else one for one in self._queue]
        self._lost |= {receipt.number: receipt for receipt in waiting if receipt.qos == 1}
        self._queue.clear()
        self._look()

    def forget(self) -> None:
        """Learn that the broker knows nothing of the session."""
        for receipt in (*self._lost.values(), *self._exact.values()):
            if receipt is not None:
                receipt.void()
        self._lost.clear()
        self._exact.clear()
        self._look()

    def _look(self) -> None:
        self.is_waiting = bool(self._queue or self._lost or self._held)
