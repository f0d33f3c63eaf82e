"""Turns several workers into one runner for all who look: status, tap, page, metrics and previews."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from flowrunner.clock import Clock
from flowrunner.connections import ConnectionSettings
from flowrunner.errors import FlowrunnerError, StepError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.live import Program
from flowrunner.run.recent import MOST, Arrived
from flowrunner.run.tapping import Watcher
from flowrunner.run.timings import Counts
from flowrunner.workers.asking import Answer, Ask, Colleague, Publish, Recall, Refused, Tap
from flowrunner.workers.mirror import Mirror
from flowrunner.workers.relay import Relay
from flowrunner.workers.values import unpack

#: Seconds for which a worker that does not answer is waited for, and between two looks while somebody sees messages.
PATIENCE = 1.0
TICK = 0.1

#: Seconds that a worker may take to have flows compiled anew and exchanged for tapped ones.
LONGEST_TAP = 10.0

#: Questions that a worker may leave without an answer before it is asked no more.
_MOST_WAITING = 3

_log = logging.getLogger("flowrunner.workers")


class Looking(Mirror):
    """A mirror that asks the workers what they have to tell, for those who look; see `flowrunner.run.shown.Published`.

    When flows are exchanged, `prepare` comes first, and `tap_of` is what each worker is to know then; whoever does that
    holds `changing`, so that nobody has other ones tapped meanwhile.
    """

    def __init__(
        self, clock: Clock, settings: Callable[[str], ConnectionSettings], colleagues: Callable[[], Sequence[Colleague]]
    ) -> None:
        super().__init__(clock, settings)
        self._relay = Relay(clock)
        self._colleagues = colleagues
        self._waiting: dict[int, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._memory: Memories | None = None
        self.changing = asyncio.Lock()

    def began(self, number: int, process: int) -> None:
        """See `Mirror`: from now on the worker answers, and owes nobody an answer."""
        self._waiting.pop(number, None)
        super().began(number, process)

    def ended(self, number: int) -> None:
        """See `Mirror`; what the worker saw is shown."""
        self._relay.end(number)
        super().ended(number)

    def take(self, number: int, answer: Answer) -> None:
        """Take what a worker tells of itself, also unasked, such as at its end."""
        if answer.glance is not None:
            self.take_glance(number, answer.glance)
        self._relay.take(number, answer)

    def prepare(self, programs: Iterable[Program]) -> None:
        """These programs are about to run: those who look into the flows that run now may have heirs."""
        self._relay.prepare(programs)

    def tap_of(self, number: int) -> Tap:
        """What a worker is to know of taps before it runs what was prepared."""
        return self._relay.tap(number, max(len(self._colleagues()), 1))

    async def close(self) -> None:
        """Look at nothing any more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refresh(self, states: Collection[str] | None = ()) -> None:
        """See `flowrunner.run.shown.Shows`."""
        await self._ask(has_glance=True, states=None if states is None else tuple(states))

    async def tap(self, watchers: Mapping[str, Watcher], by: str = "page") -> frozenset[str]:
        """See `flowrunner.run.shown.Looked`."""
        async with self.changing:
            self._relay.want(by, watchers)
            self._relay.prepare(flow.program for flow in self.flows.values())
            asked = [(one, self._begin(one.ask(self.tap_of(one.number)))) for one in self._colleagues()]
            tapped: set[str] = set()
            for one, task in asked:
                tapped.update(await self._answer(one, task, LONGEST_TAP) or ())
            if self._relay.is_wanted and (self._ticking is None or self._ticking.done()):
                self._ticking = self._begin(self._look_often())
            return self._relay.names(by, tapped)

    async def publish(
        self,
        connection: str,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """Have one worker publish. Raises StepError if the message can never be sent."""
        there = {one.number: one for one in self._colleagues()}
        known = self.connections.get(connection)
        numbers = [number for number in (known.workers if known is not None else ()) if number in there]
        for one in [there[number] for number in numbers] or list(there.values()):
            asked = Publish(connection, topic, payload, qos, retain, properties)
            try:
                refused: Refused | None = await one.ask(asked)
            except FlowrunnerError:
                continue
            if refused is not None:
                raise StepError(refused.message, code=refused.code, help=refused.help)
            return
        raise StepError("no worker is there to publish it", help="wait until one was started again")

    def remember(self) -> "Memories":
        """What knows the last messages of each flow, in whatever worker they came."""
        if self._memory is None:
            self._memory = Memories(self)
            self._begin(self._ask())
        return self._memory

    async def recall(self, flow: str) -> tuple[Arrived, ...]:
        """The last messages of a flow, the oldest first."""
        found: list[Arrived] = []
        asked = [(one, self._begin(one.ask(Recall(flow)))) for one in self._colleagues()]
        for one, task in asked:
            if packed := await self._answer(one, task):
                found += (Arrived(*row) for row in unpack(packed))
        return tuple(sorted(found, key=lambda arrived: arrived.time)[-MOST:])

    def question(self, number: int, *, has_glance: bool = True, states: tuple[str, ...] | None = ()) -> Ask:
        """What a worker is asked, of which `take` takes the answer; now and then also when nobody looks.

        What a worker has counted since it answered last is lost when it is killed.
        """
        rooms, closely = self._relay.ask(number)
        memory = self._memory
        is_remembering = memory is not None and memory.is_going_on
        is_measuring = memory is not None and memory.is_measuring
        return Ask(has_glance, states, rooms, closely, is_remembering, is_measuring)

    async def _ask(self, *, has_glance: bool = False, states: tuple[str, ...] | None = ()) -> None:
        """Ask all workers how they are, and wait for a moment; who answers later is understood then."""
        asked = [
            self._begin(self._hear(one, self.question(one.number, has_glance=has_glance, states=states)))
            for one in self._colleagues()
            if self._waiting.get(one.number, 0) < _MOST_WAITING
        ]
        if asked:
            await asyncio.wait(asked, timeout=PATIENCE)
        self._relay.tell()

    async def _hear(self, one: Colleague, ask: Ask) -> None:
        number, process = one.number, one.pid
        self._waiting[number] = self._waiting.get(number, 0) + 1
        try:
            answer: Answer = await one.ask(ask)
        except FlowrunnerError:  # it has ended, or is about to
            return
        finally:
            self._waiting[number] = max(self._waiting.get(number, 0) - 1, 0)
        if self.process_of(number) == process:
            self.take(number, answer)

    async def _answer(self, one: Colleague, task: "asyncio.Task[Any]", patience: float = PATIENCE) -> Any:
        """What a worker answers; None if it does not, or not in time."""
        done, _ = await asyncio.wait([task], timeout=patience)
        if not done:
            _log.warning("worker %d is slow to answer", one.number)
            return None
        error = task.exception()
        if error is not None and not isinstance(error, FlowrunnerError):
            raise error
        return task.result() if error is None else None

    async def _look_often(self) -> None:
        """Have those who look into flows see what passes."""
        while self._relay.is_wanted:
            await asyncio.sleep(TICK)
            await self._try(self._ask())

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - the flows go on, and the next look gets its chance
            _log.exception("the workers could not be looked at")

    def _begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it is looked at where it is waited for, if that is still the case


class Memories:
    """The last messages of each flow, which the workers remember; see `flowrunner.run.recent.Recent`."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self.is_going_on = True
        self.is_measuring = False

    async def last(self, flow: str) -> tuple[Arrived, ...]:
        """The last messages of a flow, the oldest first."""
        return await self._looking.recall(flow)

    def follow(self) -> None:
        """The workers know themselves which flows run."""

    def measure(self) -> None:
        """Measure from now on how long flows take."""
        self.is_measuring = True

    def stop(self) -> None:
        """Ask nobody any more."""
        self.is_going_on = False

    @property
    def timings(self) -> Mapping[str, Counts]:
        """What was measured, by flow."""
        return self._looking.timings
