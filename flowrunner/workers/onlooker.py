"""Turns what happens in the flows of a worker into answers for its supervisor, to whom everybody looks."""

from typing import Any, Protocol

from flowrunner.errors import StepError
from flowrunner.read.flow import Flow
from flowrunner.run.shown import Published, Remembers
from flowrunner.run.tapping import Watcher
from flowrunner.workers.asking import Answer, Ask, Publish, Recall, Refused, Request, Tap
from flowrunner.workers.glance import Glanced, Glancer
from flowrunner.workers.sheet import Sheet, Spectator
from flowrunner.workers.values import pack_all


class Onlooked(Glanced, Published, Protocol):
    """The same, as far as others look into it."""

    def remember(self) -> Remembers:
        """What remembers the last messages of each flow from now on."""


class Onlooker:
    """Looks at the runner of a worker for its supervisor: `answer` its requests.

    When flows are exchanged, `expect` says before which taps those that come are to have, and `settle` is called then.
    """

    def __init__(self, runner: Onlooked) -> None:
        self.sheet = Sheet(runner.clock)
        self._runner = runner
        self._glancer = Glancer(runner)
        self._expected = Tap({}, {}, {})
        self._spectators: dict[str, Spectator] = {}
        self._recent: Remembers | None = None

    async def answer(self, request: Request) -> Any:
        """The answer to a request."""
        match request:
            case Ask():
                if request.has_glance:
                    await self._runner.refresh(request.states)
                return self.look(request)
            case Tap():
                return await self._tap(request)
            case Recall(flow):
                last = await self._recent.last(flow) if self._recent is not None else ()
                return pack_all([tuple(arrived) for arrived in last])
            case Publish():
                return await self._publish(request)

    def look(self, ask: Ask) -> Answer:
        """How everything is now, and what was seen; all of it of one moment."""
        self._remember(ask)
        known = {one.number: one for one in self._spectators.values()}
        for number, room in (ask.rooms or {}).items():
            if number in known:
                known[number].left += room
        for number, steps in (ask.closely or {}).items():
            if number in known:
                known[number].steps = steps
        glance = None
        if ask.has_glance:
            timings = self._recent.timings if self._recent is not None else None
            glance = self._glancer.glance(ask.states, timings)
        seen, looks = self.sheet.take(self._spectators.values())
        return Answer(self._runner.clock.time(), glance, seen, looks)

    def expect(self, tap: Tap) -> None:
        """Learn which flows are to be looked into from the next exchange on."""
        self._expected = tap

    async def settle(self) -> None:
        """Take up which flows run now."""
        if self._expected.taps or self._spectators:
            await self._tap(self._expected)
        elif self._recent is not None:
            self._recent.follow()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._recent is not None:
            self._recent.stop()

    def heir(self, flow: Flow) -> Spectator | None:
        """What looks into a flow that is about to run; None if nobody wants to."""
        number = self._expected.taps.get(flow.name)
        if number is None:
            self._spectators.pop(flow.name, None)
            return None
        known = self._spectators.get(flow.name)
        if known is None or known.number != number or known.flow is not flow:
            left, steps = self._expected.rooms.get(number, 0), self._expected.closely.get(number)
            known = self._spectators[flow.name] = Spectator(flow, number, left, steps, self.sheet, self.heir)
        return known

    async def _tap(self, tap: Tap) -> frozenset[str]:
        self._expected = tap
        found: dict[str, Watcher] = {}
        for name, live in self._runner.flows.items():
            flow = live.program.flow
            if name in tap.taps and isinstance(flow, Flow) and (spectator := self.heir(flow)) is not None:
                found[name] = spectator
        tapped = await self._runner.tap(found, "supervisor")
        self._spectators = {name: one for name, one in self._spectators.items() if name in found}
        if self._recent is not None:
            self._recent.follow()
        return tapped

    async def _publish(self, asked: Publish) -> Refused | None:
        if asked.connection not in self._runner.connections:
            return Refused(f"there is no connection `{asked.connection}` in use", "unknown-connection", "")
        try:
            await self._runner.publish(
                asked.connection, asked.topic, asked.payload, asked.qos, asked.retain, asked.properties
            )
        except StepError as error:
            return Refused(error.message, error.code, error.help)
        return None

    def _remember(self, ask: Ask) -> None:
        if ask.is_remembering and self._recent is None:
            self._recent = self._runner.remember()
        if ask.is_measuring and self._recent is not None:
            self._recent.measure()
