"""Workers that are no processes, and one who looks at them: what goes between them goes through pickles all the same."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowrunner.clock import Clock
from flowrunner.compile import Program, compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Message
from flowrunner.read.library import Library
from flowrunner.run.clock import LoopClock
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.workers.channel import Gone
from flowrunner.workers.looking import Looking
from flowrunner.workers.onlooker import Onlooker
from tests.run.fakes import Told, quick_backoff
from tests.run.workshop import plain, settings_file

NOWHERE = ConnectionSettings(host="127.0.0.1", port=1)


def copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@dataclass
class Hand:
    """A worker: a runner with a library of its own, who answers what it is asked."""

    number: int
    process: int
    library: Library[Program]
    runner: Runner
    onlooker: Onlooker
    told: Told
    is_there: bool = True
    is_slow: asyncio.Event | None = None
    asked: list[Any] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process

    async def ask(self, request: Any) -> Any:
        if not self.is_there:
            raise Gone("it is gone")
        asked = copied(request)
        self.asked.append(asked)
        await asyncio.sleep(0)
        if self.is_slow is not None:
            await self.is_slow.wait()
        answer = await self.onlooker.answer(asked)
        if not self.is_there:
            raise Gone("it is gone")
        return copied(answer)

    def deliver(self, flow: str, *payloads: bytes, topic: str = "sensors/attic") -> None:
        """Give a flow messages as its connection would."""
        for payload in payloads:
            live = self.runner.flows[flow]
            live.received += 1
            try:
                live.handler(topic, payload, 0, False, NO_PROPERTIES, 0)
            except Exception as error:  # noqa: BLE001 - as a router does
                self.runner.failures.failed(live, error, Message(topic, payload))


@dataclass
class Company:
    """Some workers, and who looks at them. `owners` says which flows run in one worker only."""

    folder: Path
    library: Library[Program]
    looking: Looking
    make: Callable[[], Runner]
    hands: dict[int, Hand] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    processes: int = 1000

    async def hire(self, number: int) -> Hand:
        """Start a worker, perhaps again."""
        self.processes += 1
        library: Library[Program] = Library([self.folder], compile_flow, environment={})
        library.refresh()
        runner = self.make()
        told = Told()
        hand = Hand(number, self.processes, library, runner, Onlooker(runner), told)
        self.hands[number] = hand
        async with self.looking.changing:
            await self._exchange(hand)
            self.looking.began(number, hand.process)
        return hand

    async def kill(self, number: int) -> Hand:
        """End a worker as a kill would: what it has not told is lost."""
        hand = self.hands.pop(number)
        hand.is_there = False
        self.looking.ended(number)
        await hand.runner.close()
        return hand

    async def reload(self) -> None:
        """Have everybody run what stands in the files now."""
        self.library.refresh()
        async with self.looking.changing:
            programs = self.programs
            self.looking.prepare(programs)
            for hand in self.hands.values():
                hand.library.refresh()
                await self._exchange(hand)
            self.looking.show(programs)
            self.own()

    def own(self) -> None:
        self.looking.own(
            {number: [name for name, owner in self.owners.items() if owner == number] for number in self.hands}
        )

    @property
    def programs(self) -> list[Program]:
        return _programs(self.library)

    async def _exchange(self, hand: Hand) -> None:
        hand.onlooker.expect(copied(self.looking.tap_of(hand.number)))
        programs = _programs(hand.library)
        await hand.runner.apply(one for one in programs if self.owners.get(one.flow.name, hand.number) == hand.number)
        await hand.onlooker.settle()

    def save(self, name: str, text: str) -> None:
        (self.folder / name).write_text(plain(text))


def _programs(library: Library[Program]) -> list[Program]:
    return [one.program for one in library.contents.versions.values() if one.flow.is_enabled]


@asynccontextmanager
async def company(
    folder: Path,
    files: Mapping[str, str],
    *,
    settings: ConnectionSettings = NOWHERE,
    clock: Clock | None = None,
    workers: int = 2,
    owners: Mapping[str, int] | None = None,
) -> AsyncIterator[Company]:
    """Two workers that run these files."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(plain(text))
    (folder / "flowrunner.yaml").write_text(settings_file(settings))
    library: Library[Program] = Library([folder], compile_flow, environment={})
    connections = library.refresh().settings.connections
    time = clock or LoopClock()
    report = Report(Told().lines.append)

    def make() -> Runner:
        return Runner(connections, report, clock=time, backoff=quick_backoff)

    found: Company
    looking = Looking(time, lambda name: connections[name], lambda: list(found.hands.values()))
    found = Company(folder, library, looking, make, owners=dict(owners or {}))
    try:
        looking.show(found.programs)
        for number in range(1, workers + 1):
            await found.hire(number)
        found.own()
        await looking.refresh()
        yield found
    finally:
        await looking.close()
        for hand in found.hands.values():
            hand.onlooker.stop()
            await hand.runner.close()
