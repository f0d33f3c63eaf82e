"""Turns messages that come at any time into turns, one after the other: bounded lines, and who still waits in them."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol, TypeVar, cast

from flowrunner.errors import StepError
from flowrunner.memory import Held
from flowrunner.records import dataclass

Policy = Literal["drop_oldest", "drop_new", "block"]

#: Messages of QoS 1 and 2 that a line with the policy `block` holds at most: the largest receive maximum of MQTT 5
#: (section 3.2.2.3.3), so that a broker whose messages are not acknowledged stops before.
MOST_BLOCKED = 65_535


@dataclass(frozen=True, slots=True)
class Queue:
    """How many messages of a flow may wait at one place, and which go when there are more."""

    size: int = 1_000
    policy: Policy = "block"


class Outside(Protocol):
    """Whoever surrounds a message that waits: a version of a flow, or a step whose inner steps wait."""

    def enter(self) -> None:
        """A turn has begun to wait."""

    def leave(self) -> None:
        """It is over, with all that followed at once."""


class Told(Protocol):
    """Is told what lines have to drop."""

    def queue_dropped(self, flow: str, place: str) -> None:
        """A message was dropped, because too many waited before `place` (the name of a step, empty for the flow)."""

    def queue_drained(self, flow: str, place: str) -> None:
        """There is room again where messages were dropped."""


class Promise(Protocol):
    """The acknowledgement of a message to its broker, which is due when everything that holds it has released it."""

    def hold(self) -> None:
        """Keep it back until `release` is called once more."""

    def release(self) -> None:
        """Let go of it."""


class Promises(Protocol):
    """Knows which message is being handled, so that what takes longer can hold back its acknowledgement."""

    def take(self) -> Promise | None:
        """Hold back the acknowledgement of the message that is being handled; None if it needs none."""

    def keep(self, promise: Promise | None, call: Callable[[], object]) -> None:
        """Make a call that goes on with the message of a promise."""

    def settle(self, promise: Promise | None, *, is_given_up: bool) -> None:
        """Learn that what a promise was taken for is done, or given up."""


class NoPromises:
    """Where nobody waits for an acknowledgement: in tests, and for messages on the side."""

    def take(self) -> Promise | None:
        """See `Promises`."""
        return None

    def keep(self, promise: Promise | None, call: Callable[[], object]) -> None:  # noqa: ARG002 - see `Promises`
        """See `Promises`."""
        call()

    def settle(self, promise: Promise | None, *, is_given_up: bool) -> None:
        """See `Promises`."""


class Closing(Protocol):
    """Something that is closed at the end."""

    def close(self) -> None:
        """Let go of it."""


Closed = TypeVar("Closed", bound=Closing)


class Waits:
    """All that waits in one version of a flow, and how it ends.

    `on_idle` is called whenever nothing waits any more; `promises` belong to whoever runs the flow.
    """

    def __init__(self, told: Told, flow: str, queue: Queue) -> None:
        self.told = told
        self.flow = flow
        self.queue = queue
        self.workers: list[Worker] = []
        self.count = 0
        self.is_given_up = False
        self.on_idle: Callable[[], object] = _nothing
        self.common: dict[str, Closing] = {}
        self.promises: Promises = NoPromises()

    @property
    def is_busy(self) -> bool:
        """Whether a message waits, or is being worked on."""
        return self.count > 0

    def enter(self) -> None:
        """See `Outside`."""
        self.count += 1

    def leave(self) -> None:
        """See `Outside`."""
        self.count -= 1
        if self.count == 0:
            self.on_idle()

    def give_up(self) -> int:
        """Let everything that waits fail, now and from now on; returns how many messages that were.

        The workers know each other's order: the one that a message meets last comes first.
        """
        given_up, self.is_given_up = self.count, True
        for worker in self.workers:
            worker.give_up()
            worker.line.abandon(worker)
        return given_up

    def once(self, name: str, make: Callable[[], Closed]) -> Closed:
        """What the workers of this version use together, made when it is first asked for."""
        common = self.common.get(name)
        if common is None:
            common = self.common[name] = make()
        return cast("Closed", common)

    def close(self) -> None:
        """Let go of what the workers hold; nothing waits any more."""
        for worker in self.workers:
            worker.close()
        for common in self.common.values():
            common.close()
        self.common.clear()


def given_up() -> StepError:
    """The error for a message that a step had not finished when its flow ended."""
    return StepError("the flow ended before this step was done", code="given-up")


@dataclass(slots=True, eq=False)
class Turn:
    """A message (`held`) that waits for a worker, with what there is to do for it.

    With an `error` the step has failed on it already; with `is_passing` there is nothing to do. Until it is over it has
    the acknowledgement of its message held back, by its `promise`.
    """

    worker: "Worker"
    held: Held
    job: Any = None
    error: Exception | None = None
    is_passing: bool = False
    is_over: bool = False
    promise: Promise | None = None

    @property
    def is_work(self) -> bool:
        """Whether the worker has something to do."""
        return self.error is None and not self.is_passing

    @property
    def qos(self) -> int:
        """The QoS with which the message arrived."""
        qos: int = self.held["_origin"][2]
        return qos


class Worker:
    """Does what there is to do when it is a message's turn. `batch` is how many turns it can do at once."""

    batch = 1
    waits: Waits
    outside: Outside
    line: "Line"
    place = ""

    def begin(self, turns: Sequence[Turn], done: Callable[[], object]) -> None:
        """Do the work of these turns, end each of them, and call `done`, now or later."""
        raise NotImplementedError

    def refuse(self, turn: Turn, error: Exception) -> None:
        """Let the message of a turn fail, which is over with that."""
        raise NotImplementedError

    def give_up(self) -> None:
        """End what is being worked on: its messages fail."""

    def close(self) -> None:
        """Let go of threads and files."""

    def end(self, turn: Turn, conclude: Callable[[], object]) -> None:
        """End a turn with what follows at once; nothing happens if it is over already."""
        if turn.is_over:
            return
        turn.is_over = True
        promises = self.waits.promises
        try:
            promises.keep(turn.promise, conclude)
        finally:
            self.outside.leave()
            promises.settle(turn.promise, is_given_up=self.waits.is_given_up)


@dataclass(slots=True, eq=False)
class Line:
    """Turns in the order in which they came. It is the state of a step: the next version of the flow queues behind."""

    waiting: deque[Turn] = field(default_factory=deque)
    working: Sequence[Turn] = ()
    is_advancing: bool = False
    is_dropping: bool = False

    def put(self, turn: Turn) -> None:
        """Take a turn in, if there is room."""
        waits = turn.worker.waits
        turn.worker.outside.enter()
        turn.promise = waits.promises.take()
        if waits.is_given_up:
            turn.worker.refuse(turn, given_up())
            return
        self.waiting.append(turn)
        if len(self.waiting) > waits.queue.size:
            self.make_room(turn, waits.queue)
        self.advance()

    def make_room(self, newest: Turn, queue: Queue) -> None:
        """Drop a turn, as the policy says."""
        if queue.policy == "block" and newest.qos and len(self.waiting) <= MOST_BLOCKED:
            return
        is_oldest = queue.policy == "drop_oldest" or (queue.policy == "block" and not self.waiting[0].qos)
        dropped = self.waiting.popleft() if is_oldest else self.waiting.pop()
        self.is_dropping = True
        worker = dropped.worker
        worker.waits.told.queue_dropped(worker.waits.flow, worker.place)
        worker.end(dropped, _nothing)

    def advance(self) -> None:
        """Begin with the next turns, unless some are being worked on."""
        if self.is_advancing:
            return
        self.is_advancing = True
        try:
            while self.waiting and not self.working:
                turns = self.next_turns()
                worker = turns[0].worker
                self.tell_drained(worker)
                if worker.waits.is_given_up:
                    self.refuse(turns)
                else:
                    self.working = turns
                    self.begin(worker, turns)
        finally:
            self.is_advancing = False

    def begin(self, worker: Worker, turns: Sequence[Turn]) -> None:
        """Have the work for these turns begun, on behalf of the message of the first."""
        worker.waits.promises.keep(turns[0].promise, lambda: worker.begin(turns, lambda: self.done(turns)))

    def next_turns(self) -> Sequence[Turn]:
        """The next turn, and those right behind it that can be done with it at once."""
        turns = [self.waiting.popleft()]
        first = turns[0]
        while first.is_work and len(turns) < first.worker.batch and self.waiting:
            if self.waiting[0].worker is not first.worker or not self.waiting[0].is_work:
                break
            turns.append(self.waiting.popleft())
        return turns

    def done(self, turns: Sequence[Turn]) -> None:
        """These turns are over: it is the next ones' turn."""
        if self.working is turns:
            self.working = ()
            self.advance()

    def tell_drained(self, worker: Worker) -> None:
        """Say that there is room again, once half of it is empty."""
        if self.is_dropping and len(self.waiting) <= worker.waits.queue.size // 2:
            self.is_dropping = False
            worker.waits.told.queue_drained(worker.waits.flow, worker.place)

    def abandon(self, worker: Worker) -> None:
        """Let everything fail that waits for a worker."""
        mine = [turn for turn in self.waiting if turn.worker is worker]
        self.waiting = deque(turn for turn in self.waiting if turn.worker is not worker)
        self.refuse(mine)

    def refuse(self, turns: Sequence[Turn]) -> None:
        """Let the messages of these turns fail."""
        for turn in turns:
            turn.worker.refuse(turn, given_up())


def _nothing() -> None:
    """Do nothing."""
