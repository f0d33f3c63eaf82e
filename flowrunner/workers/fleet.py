"""Runs flows in several processes that share the messages, and looks like a runner to whoever asks."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from typing import Any

from flowrunner.clock import Clock
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import name_list
from flowrunner.errors import FlowrunnerError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.read.flow import Flow
from flowrunner.run.clock import LoopClock
from flowrunner.run.connections import FIRST_TRY
from flowrunner.run.live import Program as AnyProgram
from flowrunner.run.report import Report
from flowrunner.run.shown import Connected, Remembers, ShownFlow, Tallies, Worker
from flowrunner.run.tapping import Watcher
from flowrunner.workers.alike import Alike
from flowrunner.workers.briefing import Briefing
from flowrunner.workers.chorus import Chorus
from flowrunner.workers.looking import Looking
from flowrunner.workers.orders import Heard, Reconnect, Running, Tell, Tried
from flowrunner.workers.ownership import Present
from flowrunner.workers.owning import Owning
from flowrunner.workers.plan import Plan
from flowrunner.workers.post import EARLY, SILENCE, Post


class Fleet:
    """Several runners in processes of their own, as one; see `Runner`."""

    def __init__(self, connections: Mapping[str, ConnectionSettings], report: Report, plan: Plan) -> None:
        self.report = report
        self.clock: Clock = LoopClock()
        self._owning = Owning(report)
        self._said: dict[str, bytes] = {}
        self._looking = Looking(self.clock, lambda name: self._briefing.settings[name], self._colleagues)
        self._briefing = Briefing(plan, connections, self._owning, self._looking.tap_of)
        self._changing = self._looking.changing
        self._alike = Alike(self._looking, report)
        self._chorus = Chorus(
            report, self.clock, lambda: frozenset(post.number for post in self.posts if post.process is not None)
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False
        self.posts = tuple(
            Post(
                number,
                report,
                self.clock,
                begin=self._briefing.begin,
                hear=self._chorus.hear,
                question=self._looking.question,
                answered=self._looking.take,
                born=lambda post: self._looking.began(post.number, post.pid),
                began=self._began,
                ended=self._ended,
            )
            for number in range(1, plan.count + 1)
        )

    async def apply(self, programs: Iterable[AnyProgram]) -> None:
        """Run exactly these programs, which are those of the library, in all workers; return when all have them."""
        async with self._changing:
            enabled = {one.flow.name: one for one in programs if one.flow.is_enabled}
            is_first = self._briefing.is_empty
            delta = self._briefing.take(self.clock.now())
            self._own(enabled)
            self._looking.prepare(enabled.values())
            if is_first:
                for post in self.posts:
                    post.fill()
                await asyncio.gather(*(post.tried.wait() for post in self.posts))
                self._alike.show(enabled, {})
                self._say_how()
                return
            answers = await self._ask_all(lambda post: self._briefing.apply(delta, post.number))
            self._alike.show(enabled, answers)

    def regroup(self, group: str | None) -> None:
        """See `Runner.regroup`; without a name the workers form a group of their own."""
        self._briefing.group = group or ""

    async def reconnect(
        self, connections: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """See `Runner.reconnect`; the names of the connections that any worker connects anew."""
        async with self._changing:
            self._briefing.use(connections)
            order = Reconnect(self._briefing.settings, tuple(names))
            answers = await self._ask_all(lambda _: order)
            return tuple(sorted({name for found in answers.values() for name in found}))

    def tell(self, name: str, payload: bytes) -> None:
        """Say something of the fleet itself, through the first worker; see `Runner.tell`."""
        self._said[name] = payload
        self._send(self.posts[0], Tell(name, payload))

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
        """Have one worker publish. Raises StepError if the message can never be sent, or nobody is there to do it."""
        await self._looking.publish(connection, topic, payload, qos, retain, properties)

    async def heard(self) -> None:
        """Wait until every broker has answered what the flows want of it, in every worker."""
        for post in self.posts:
            while True:
                await post.there.wait()
                with suppress(FlowrunnerError):
                    await post.ask(Heard())
                    break
                await asyncio.sleep(0)

    async def tried(self) -> None:
        """Wait until every broker has answered, or cannot be reached; a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY):
                await self._ask_all(lambda _: Tried())

    async def refresh(self, states: Collection[str] | None = ()) -> None:
        """See `flowrunner.run.shown.Shows`."""
        await self._looking.refresh(states)

    @property
    def owners(self) -> Mapping[str, int]:
        """The worker that a flow runs in, for those that need one owner."""
        return self._owning.owners

    @property
    def flows(self) -> Mapping[str, ShownFlow]:
        """What runs, by name."""
        return self._looking.flows

    @property
    def connections(self) -> Mapping[str, Connected]:
        """The connections in use, by name."""
        return self._looking.connections

    @property
    def stores(self) -> Mapping[tuple[str, str], Sized]:
        """See `Runner.stores`."""
        return self._looking.stores

    @property
    def failures(self) -> Tallies:
        """What failed."""
        return self._looking.failures

    @property
    def workers(self) -> Sequence[Worker]:
        """The processes, also those that are not there at the moment."""
        return self._looking.workers

    async def tap(self, watchers: Mapping[str, Watcher], by: str = "page") -> frozenset[str]:
        """See `Runner.tap`."""
        return await self._looking.tap(watchers, by)

    def remember(self) -> Remembers:
        """See `Runner.remember`."""
        return self._looking.remember()

    async def close(self) -> None:
        """Have all workers finish what is in work, at the same time."""
        self._is_closing = True
        for task in list(self._tasks):
            task.cancel()
        saying = asyncio.get_running_loop().call_later(SILENCE, self._say_who_is_awaited)
        await asyncio.gather(*(post.close() for post in self.posts))
        saying.cancel()
        self._chorus.stop()
        await self._looking.close()

    def abandon(self) -> None:
        """End all workers at once."""
        for post in self.posts:
            post.kill()

    def _say_who_is_awaited(self) -> None:
        late = [post for post in self.posts if post.process is not None]
        if late:
            names = ", ".join(f"{post.number} (process {post.pid})" for post in late)
            words = f"waiting for worker{'' if len(late) == 1 else 's'} {names} to finish: Ctrl-C once more ends it all"
            self.report.say("waiting-for-workers", words, workers=[post.number for post in late])

    def _colleagues(self) -> list[Post]:
        return [post for post in self.posts if post.is_there]

    def _own(self, programs: Mapping[str, AnyProgram]) -> None:
        """Find out which flows need one owner, and give them one."""
        flows = {name: one.flow for name, one in programs.items() if isinstance(one.flow, Flow)}
        self._owning.take(flows, self._briefing.group, self._briefing.is_kept)
        self._assign()

    def _assign(self) -> None:
        there = frozenset(post.number for post in self.posts if post.is_there)
        if not self.owners and not there:
            there = frozenset(post.number for post in self.posts)
        away = frozenset(post.number for post in self.posts if not post.is_there and not post.is_early)
        self._owning.assign(Present(there, away))
        self._looking.own(self._owning.owned)

    def _began(self, post: Post, running: Running) -> None:
        """A worker is there."""
        self._alike.compare(post.number, running)
        if post is self.posts[0]:
            for name, payload in self._said.items():
                self._send(post, Tell(name, payload))
        self._begin(self._rearrange())

    def _ended(self, post: Post) -> None:
        """A worker is gone: what only it ran may have to go elsewhere."""
        self._looking.ended(post.number)
        if not self._is_closing:
            self._begin(self._rearrange())
            asyncio.get_running_loop().call_later(EARLY, self._look_after, post)

    def _look_after(self, post: Post) -> None:
        """Flows that waited for a worker wait no longer if it did not come."""
        if not post.is_there and not self._is_closing:
            post.is_early = True
            self._begin(self._rearrange())

    async def _rearrange(self) -> None:
        """Have flows without an owner run somewhere, and tell the workers whom that concerns."""
        async with self._changing:
            before = {post.number: self._briefing.part(post.number) for post in self.posts}
            owners = self.owners
            self._assign()
            moved = {name: owner for name, owner in self.owners.items() if owners.get(name) != owner}
            if not moved:
                return
            concerned = [post for post in self.posts if self._briefing.part(post.number) != before[post.number]]
            answers = await self._ask_all(lambda post: self._briefing.apply(None, post.number), concerned)
            for number in sorted(set(moved.values()) & answers.keys()):
                names = sorted(name for name, owner in moved.items() if owner == number)
                words = f"{name_list(names)} run{'s' if len(names) == 1 else ''} in worker {number} now"
                self.report.say("moved", words, worker=number, flows=names)

    async def _ask_all(self, order: Any, posts: Sequence[Post] | None = None) -> dict[int, Any]:
        """The answers of all workers that live to give one, by their numbers."""
        asked = {post.number: post.asking(order(post)) for post in (self.posts if posts is None else posts)}
        waiting = {number: answer for number, answer in asked.items() if answer is not None}
        found = await asyncio.gather(*waiting.values(), return_exceptions=True)
        answers = {}
        for number, answer in zip(waiting, found, strict=True):
            if isinstance(answer, FlowrunnerError):
                continue
            if isinstance(answer, BaseException):
                raise answer
            answers[number] = answer
        return answers

    def _say_how(self) -> None:
        """Say who runs what."""
        flows = {name: live.program.flow for name, live in self.flows.items()}
        self._owning.say({name: flow for name, flow in flows.items() if isinstance(flow, Flow)}, len(self.posts))

    def _send(self, post: Post, order: object) -> None:
        """Have something done, of which nobody waits for the answer."""

        async def send() -> None:
            with suppress(FlowrunnerError):
                await post.ask(order)

        self._begin(send())

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
