"""Runs flows in several processes that share the messages, and looks like a runner to whoever asks."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from flowrunner.clock import Clock
from flowrunner.compile import Program
from flowrunner.compile.owners import owner_reasons, ties_of
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import name_list
from flowrunner.errors import FlowrunnerError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library
from flowrunner.records import dataclass
from flowrunner.remote.address import StateSettings
from flowrunner.run.clock import LoopClock
from flowrunner.run.identity import client_id
from flowrunner.run.live import Program as AnyProgram
from flowrunner.run.report import Report
from flowrunner.run.runner import FIRST_TRY
from flowrunner.run.sharing import group_of, spoken_whole
from flowrunner.run.shown import Connected, Remembers, ShownFlow, Tallies, Worker
from flowrunner.run.tapping import Watcher
from flowrunner.sources import Subscribe
from flowrunner.workers.chorus import Chorus
from flowrunner.workers.crew import digest_of
from flowrunner.workers.looking import Looking
from flowrunner.workers.orders import Apply, Begin, Heard, Part, Reconnect, Running, Tell, Tried
from flowrunner.workers.ownership import Present, Unit, assign, units_of
from flowrunner.workers.post import EARLY, Post
from flowrunner.workers.snapshot import Copies, Delta, History


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet is to run: `count` workers, the flows of a library, and whose files are copied for them.

    `folder` is where `.flowrunner/` keeps client ids and values. Without a `group` the workers form one of their own.
    `state` is the Redis in which steps remember, None if they do so in the workers.
    """

    count: int
    library: Library[Program]
    copies: Copies
    paths: Sequence[Path]
    folder: Path | None
    allow: frozenset[str] = frozenset()
    group: str = ""
    is_explained: bool = False
    state: StateSettings | None = None


class Fleet:
    """Several runners in processes of their own, as one; see `Runner`."""

    def __init__(self, connections: Mapping[str, ConnectionSettings], report: Report, plan: Plan) -> None:
        self.report = report
        self.clock: Clock = LoopClock()
        self.owners: dict[str, int] = {}
        self._plan = plan
        self._ids: dict[str, str] = {}
        self._settings = self._named(connections)
        self._history = History()
        self._units: tuple[Unit, ...] = ()
        self._said: dict[str, bytes] = {}
        self._expected: dict[str, bytes] = {}
        self._family = token_hex(8)
        self._whole = ""
        self._looking = Looking(self.clock, lambda name: self._settings[name], self._colleagues)
        self._changing = self._looking.changing
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
                begin=self._beginning,
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
            is_first = not self._history.deltas
            contents = self._plan.library.contents
            delta = self._plan.copies.take(contents.settings, self.clock.now())
            self._history.add(delta, contents)
            self._own(enabled)
            self._expected = {name: digest_of(one.flow) for name, one in enabled.items() if isinstance(one.flow, Flow)}
            self._looking.prepare(enabled.values())
            if is_first:
                for post in self.posts:
                    post.fill()
                await asyncio.gather(*(post.tried.wait() for post in self.posts))
                self._mirror(enabled, {})
                self._say_how()
                return
            answers = await self._ask_all(lambda post: self._applying(delta, post.number))
            self._mirror(enabled, answers)

    def regroup(self, group: str | None) -> None:
        """See `Runner.regroup`; without a name the workers form a group of their own."""
        self._plan = replace(self._plan, group=group or "")

    async def reconnect(
        self, connections: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """See `Runner.reconnect`; the names of the connections that any worker connects anew."""
        async with self._changing:
            self._settings = self._named(connections)
            order = Reconnect(self._settings, tuple(names))
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
        await asyncio.gather(*(post.close() for post in self.posts))
        self._chorus.stop()
        await self._looking.close()

    def abandon(self) -> None:
        """End all workers at once."""
        for post in self.posts:
            post.kill()

    def _colleagues(self) -> list[Post]:
        return [post for post in self.posts if post.is_there]

    def _named(self, connections: Mapping[str, ConnectionSettings]) -> dict[str, ConnectionSettings]:
        """Connections with their client ids, which are made here: once for all workers."""
        found = {}
        for name, settings in {"default": ConnectionSettings(), **connections}.items():
            if settings.client_id is None and name not in self._ids:
                self._ids[name] = client_id(name, self._plan.folder)
            found[name] = replace(settings, client_id=settings.client_id or self._ids[name])
        return found

    def _own(self, programs: Mapping[str, AnyProgram]) -> None:
        """Find out which flows need one owner, and give them one."""
        flows = {name: one.flow for name, one in programs.items() if isinstance(one.flow, Flow)}
        alone = {name: flow for name, flow in flows.items() if owner_reasons(flow)}
        self._say_what_is_whole(list(alone.values()))
        ties: dict[str, list[str]] = {}
        for name, flow in alone.items():
            for tie in ties_of(flow):
                ties.setdefault(tie, []).append(name)
        units = units_of(alone, ties.values())
        self._units = tuple(
            replace(unit, can_wait=any(self._is_kept(flows[name]) for name in unit.flows)) for unit in units
        )
        self._assign()

    def _say_what_is_whole(self, flows: Sequence[Flow]) -> None:
        """Name the flows that every machine of a group runs by itself, whenever they are other ones."""
        words = spoken_whole(self._plan.group, flows) if self._plan.group else ""
        if words and words != self._whole:
            self.report.say("not-shared", words, level="warning", flows=[flow.name for flow in flows])
        self._whole = words

    def _assign(self) -> None:
        there = frozenset(post.number for post in self.posts if post.is_there)
        if not self.owners and not there:
            there = frozenset(post.number for post in self.posts)
        away = frozenset(post.number for post in self.posts if not post.is_there and not post.is_early)
        self.owners = assign(self._units, Present(there, away), self.owners)
        owned: dict[int, list[str]] = {}
        for name, owner in self.owners.items():
            owned.setdefault(owner, []).append(name)
        self._looking.own(owned)

    def _is_kept(self, flow: Flow) -> bool:
        """Whether a broker keeps for a flow what comes while its owner is away."""
        sources = [source for source in flow.sources if isinstance(source, Subscribe)]
        return any(self._settings[source.connection].keep is not None for source in sources)

    def _part(self, number: int) -> Part:
        elsewhere = frozenset(name for name, owner in self.owners.items() if owner != number)
        alone = frozenset(name for unit in self._units for name in unit.flows)
        nobody = alone - self.owners.keys()
        is_wide = bool(self._plan.group)
        return Part(self._group, alone, elsewhere | nobody, has_strangers=is_wide, members=len(self.posts))

    @property
    def _group(self) -> str:
        return self._plan.group or group_of(self._settings["default"].client_id or "")

    def _beginning(self, number: int) -> Begin:
        plan = self._plan
        return Begin(
            tuple(plan.paths),
            plan.folder,
            plan.allow,
            self._settings,
            self._history.deltas,
            self._part(number),
            self._looking.tap_of(number),
            self._family,
            plan.is_explained,
            plan.state,
        )

    def _applying(self, delta: Delta | None, number: int) -> Apply:
        return Apply(delta, self._part(number), self._looking.tap_of(number))

    def _began(self, post: Post, running: Running) -> None:
        """A worker is there."""
        self._compare(post.number, running)
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
            before = {post.number: self._part(post.number) for post in self.posts}
            owners = dict(self.owners)
            self._assign()
            moved = {name: owner for name, owner in self.owners.items() if owners.get(name) != owner}
            if not moved:
                return
            concerned = [post for post in self.posts if self._part(post.number) != before[post.number]]
            answers = await self._ask_all(lambda post: self._applying(None, post.number), concerned)
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

    def _mirror(self, programs: Mapping[str, AnyProgram], answers: Mapping[int, Running]) -> None:
        """Stand for what runs now; a flow that could begin nowhere is the one it was."""
        before, shown = self.flows, dict(programs)
        for name, program in programs.items():
            old = before.get(name)
            found = [running[name] for running in answers.values() if name in running]
            is_old = bool(found) and self._expected.get(name) not in found
            if is_old and old is not None and old.program is not program:
                shown[name] = old.program
        self._looking.show(shown.values())
        for number, running in answers.items():
            self._compare(number, running)

    def _compare(self, number: int, running: Running) -> None:
        """Say where a worker runs another version of a flow than the others."""
        for name, digest in running.items():
            live = self.flows.get(name)
            if live is not None and isinstance(live.program.flow, Flow) and digest_of(live.program.flow) != digest:
                words = f"worker {number} runs another version of `{name}` than the others"
                self.report.say("not-alike", words, level="warning", flow=name, worker=number)

    def _say_how(self) -> None:
        """Say who runs what."""
        shared = sorted(name for name in self.flows if name not in self.owners)
        parts = [f"{len(self.posts)} workers"]
        if shared:
            parts.append(f"shared: {_few(shared)}")
        owned = []
        for name, owner in sorted(self.owners.items()):
            flow = self.flows[name].program.flow if name in self.flows else None
            reason = owner_reasons(flow)[0] if isinstance(flow, Flow) else ""
            owned.append(f"{name} ({reason}) on {owner}")
        if owned:
            parts.append(f"one owner each: {_few(owned)}")
        self.report.say(
            "workers",
            "; ".join(parts),
            workers=len(self.posts),
            shared=shared,
            owners=dict(sorted(self.owners.items())),
        )

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


def _few(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
