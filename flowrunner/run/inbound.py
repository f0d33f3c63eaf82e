"""Acknowledges what arrives at QoS 1 and 2 late, in order, and hands it on once (MQTT 5.0 sections 4.3 to 4.6)."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence


class Row:
    """Deliveries at QoS 1, one behind the other, that wait for nothing but publishes on the same connection.

    `numbers` are their packet identifiers, in two bytes; `marks` say for each which publish it waits for, and with that
    for those before it (see `Window.count`), whatever they came of: a broker acknowledges in order (MQTT 5.0 section
    4.6). The `last` mark is that of deliveries that publish nothing.
    """

    __slots__ = ("last", "marks", "numbers")

    def __init__(self) -> None:
        self.last = 0
        self.numbers: list[bytes] = []
        self.marks: list[int] = []


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

    def let_go(self) -> None:
        """Let go of it while the delivery is being handled, after which it is looked at in any case."""
        self._count -= 1

    def void(self) -> None:
        """Belong to no session any more."""
        self._inbound = None


class Inbound:
    """What one session knows of deliveries at QoS 1 and 2, over all its network connections.

    A delivery is acknowledged when its handlers have returned, unless one of them has called `hold`: then it is when
    all has been released, and the acknowledgements of later ones queue up behind it. `acknowledge` is called for each
    in the order of arrival, with packet identifier and QoS; `acknowledge_row` for several in a row at QoS 1.

    Whoever hands on a stream of deliveries may keep a `row` of them instead, as long as none is `held` by something
    else than publishes: the row is acknowledged as far as those before `oldest()` are. While `is_open`, a delivery at
    QoS 1 or 2 is being handled.
    """

    def __init__(
        self,
        acknowledge: Callable[[int, int], object],
        acknowledge_row: Callable[[Sequence[bytes]], object] = lambda _: None,
        oldest: Callable[[], int] = lambda: 0,
    ) -> None:
        self.is_open = False
        self.held: Receipt | None = None  # of the delivery that is being handled
        self._acknowledge = acknowledge
        self._acknowledge_row = acknowledge_row
        self._oldest = oldest
        self._queue: deque[Receipt | Row | int] = deque()  # a number: of one at QoS 1 that only waits for its turn
        self._lost: dict[int, Receipt] = {}  # QoS 1: not finished when the network connection broke
        self._exact: dict[int, Receipt | None] = {}  # QoS 2: until PUBREL; None when it was acknowledged

    @property
    def unfinished(self) -> int:
        """Deliveries that are not acknowledged."""
        return sum(len(entry.numbers) if isinstance(entry, Row) else 1 for entry in self._queue)

    def hold(self) -> Receipt:
        """Keep back the acknowledgement of the delivery at QoS 1 or 2 that is being handled, until `release`."""
        receipt = self.held
        if receipt is None:
            receipt = self.held = Receipt(self)
        receipt.hold()
        return receipt

    def hold_open(self) -> Receipt | None:
        """The same; None if no such delivery is being handled."""
        return self.hold() if self.is_open else None

    def row(self) -> Row | None:
        """The row to which the next deliveries belong; None while some of an earlier connection are not finished."""
        queue = self._queue
        if self._lost:
            return None
        if queue and isinstance(queue[-1], Row):
            return queue[-1]
        row = Row()
        queue.append(row)
        return row

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
        receipt, self.held = self.held, None
        if qos == 2:
            receipt = self._exact[number] = receipt or Receipt(self)
        elif self._lost:
            self._lost.pop(number, None)
        if receipt is not None:
            receipt.number, receipt.qos = number, qos
        self._queue.append(number if receipt is None else receipt)
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
            if isinstance(receipt, Row):
                if not self._advance_row(receipt) or len(queue) == 1:  # more may be put into the last one
                    return
                queue.popleft()
                continue
            if not receipt.is_due:
                return
            queue.popleft()
            if receipt.qos == 2:
                self._exact[receipt.number] = None
            acknowledge(receipt.number, receipt.qos)

    def _advance_row(self, row: Row) -> bool:
        """Acknowledge what is due of a row; true if that is all of it."""
        numbers, marks = row.numbers, row.marks
        if not numbers:
            return True
        oldest = self._oldest()
        if marks[-1] < oldest:
            self._acknowledge_row(numbers)
            numbers.clear()
            marks.clear()
            return True
        count = bisect_left(marks, oldest)
        if count:
            self._acknowledge_row(numbers[:count])
            del numbers[:count], marks[:count]
        return False

    def unroll(self, wait_for: Callable[[Receipt, int, int], object]) -> None:
        """Make of each row the receipts that it stands for; `wait_for` has one wait for publishes from mark to mark."""
        queue = self._queue
        for _ in range(len(queue)):
            entry = queue.popleft()
            if not isinstance(entry, Row):
                queue.append(entry)
                continue
            before = self._oldest() - 1
            for number, mark in zip(entry.numbers, entry.marks, strict=True):
                receipt = Receipt(self, int.from_bytes(number, "big"), 1)
                wait_for(receipt, before, mark)
                before = max(before, mark)
                queue.append(receipt)

    def complete(self, number: int) -> None:
        """Learn that the broker has released a delivery at QoS 2: its packet identifier is free again."""
        self._exact.pop(number, None)

    def lose(self) -> None:
        """Learn that the network connection is gone: the broker sends again what was not acknowledged.

        Of rows nothing is left to know, see `unroll`.
        """
        left = [one for one in self._queue if not isinstance(one, Row)]
        waiting = [Receipt(self, one, 1) if isinstance(one, int) else one for one in left]
        self._lost |= {receipt.number: receipt for receipt in waiting if receipt.qos == 1}
        self._queue.clear()

    def forget(self) -> None:
        """Learn that the broker knows nothing of the session."""
        for receipt in (*self._lost.values(), *self._exact.values()):
            if receipt is not None:
                receipt.void()
        self._lost.clear()
        self._exact.clear()
