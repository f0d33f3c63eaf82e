"""Runs the flows of one worker, as its supervisor has read them."""

import asyncio
import gc
from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from flowrunner.clock import Clock
from flowrunner.compile import Program, compile_to_run
from flowrunner.compile.outline import texts_of
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library
from flowrunner.run.live import Flow as AnyFlow
from flowrunner.run.live import LiveFlow
from flowrunner.run.live import Program as AnyProgram
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.sharing import Sharing
from flowrunner.workers.asking import Tap
from flowrunner.workers.forwarding import Forwarding
from flowrunner.workers.once import Once
from flowrunner.workers.onlooker import Onlooker
from flowrunner.workers.orders import Begin, Part, Running
from flowrunner.workers.snapshot import Delta, GivenSettings, Snapshot

if TYPE_CHECKING:
    from flowrunner.run.explaining import Explaining
    from flowrunner.run.reload import Reloader


class Crew:
    """A runner, and the library of its flows."""

    def __init__(self, number: int, order: Begin, report: Forwarding) -> None:
        self._snapshot = Snapshot()
        self._settings = GivenSettings()
        self._time = 0.0
        self._library: Library[Program] = Library(
            order.paths,
            compile_to_run,
            allow=order.allow,
            now=lambda: self._time,
            files=self._snapshot,
            settings=self._settings,
        )
        self._report = report
        self._number = number
        self._family = order.family
        self._part = order.part
        self._latest: list[AnyProgram] = []
        self._explaining = _explaining(report) if order.is_explained else None
        self.runner = Runner(
            order.connections,
            report,
            folder=order.folder,
            explaining=self._explaining,
            sharing=self._sharing(),
            state=order.state,
        )
        self.onlooker = Onlooker(self.runner)
        self._applying = asyncio.Lock()
        self._digests = Once(digest_of)

    @property
    def flows(self) -> Mapping[str, LiveFlow]:
        """What runs here, by name."""
        return self.runner.flows

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""
        return self.runner.clock

    async def apply_programs(self, programs: Iterable[AnyProgram]) -> None:
        """Run those of all programs that are ours."""
        self._latest = list(programs)
        self.runner.share(self._sharing())
        elsewhere = self._part.elsewhere
        await self.runner.apply(one for one in self._latest if one.flow.name not in elsewhere)
        await self.onlooker.settle()

    async def begin(self, past: Iterable[Delta], tap: Tap) -> Running:
        """Become what the flows are now, by way of what they were."""
        async with self._applying:
            self.onlooker.expect(tap)
            gc.disable()  # as the command `run` does: what is read now stays
            for delta in past:
                self._take(delta)
                for _ in self._library.refreshing():
                    await asyncio.sleep(0)
            versions = self._library.contents.versions.values()
            gc.freeze()
            gc.enable()
            await self.apply_programs(version.program for version in versions if version.flow.is_enabled)
            if self._explaining is not None:
                self._explaining.watch(self.runner, lambda: self.runner.connections)
            return self._running()

    async def apply(self, delta: Delta | None, part: Part, tap: Tap) -> Running:
        """Go on to what the flows are after a delta, and to another part of them; `tap` says which are looked into."""
        async with self._applying:
            self.onlooker.expect(tap)
            self._part = part
            is_taken = False
            if delta is not None:
                self._take(delta)
                is_taken = await self._reloader.reload() is not None
            if not is_taken:
                await self.apply_programs(self._latest)
            return self._running()

    async def close(self) -> None:
        """Finish what is in work, and say the last lines."""
        if self._explaining is not None:
            self._explaining.stop()
        self.onlooker.stop()
        # of several that end the first one leaves nothing: for its session the broker keeps what comes for the group
        await self.runner.close(is_last=self._number == 1 and not self._part.has_strangers)
        self._report.flush()

    @cached_property
    def _reloader(self) -> "Reloader":
        from flowrunner.run.reload import Reloader

        return Reloader(self._library, _Chosen(self), Report(lambda _: None))

    def _take(self, delta: Delta) -> None:
        self._time = delta.at
        self._snapshot.take(delta)
        self._settings.take(delta)

    def _sharing(self) -> Sharing:
        alone = self._part.alone

        def is_shared(flow: AnyFlow) -> bool:
            return flow.name not in alone

        return Sharing(
            self._part.group,
            is_shared,
            takes_retained=self._number == 1,
            member=str(self._number),
            family=self._family,
            members=self._part.members,
        )

    def _running(self) -> Running:
        flows = {name: live.program.flow for name, live in self.runner.flows.items()}
        checked = {name: flow for name, flow in flows.items() if isinstance(flow, Flow)}
        self._digests.keep(checked.values())
        return {name: self._digests.of(flow) for name, flow in checked.items()}


class _Chosen:
    """What a reload asks of a runner; it gets only the flows that are ours."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    @property
    def flows(self) -> Mapping[str, LiveFlow]:
        """What runs here, by name."""
        return self._crew.flows

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""
        return self._crew.clock

    async def apply(self, programs: Iterable[AnyProgram]) -> None:
        """Run those of these programs that are ours."""
        await self._crew.apply_programs(programs)


def digest_of(flow: Flow) -> bytes:
    """A digest of the texts that a flow was made of."""
    return blake2b(repr(sorted(texts_of(flow).items())).encode("utf-8", "backslashreplace"), digest_size=16).digest()


def _explaining(report: Report) -> "Explaining":
    from flowrunner.run.explaining import Explaining

    return Explaining(report)
