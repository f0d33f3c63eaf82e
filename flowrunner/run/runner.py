"""Runs programs: opens the connections they use, subscribes, starts their ticks, and ends it all in good order."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.backoff import Backoff
from flowrunner.run.binding import Binding
from flowrunner.run.clients import Clients
from flowrunner.run.clock import LoopClock
from flowrunner.run.connection import Connection
from flowrunner.run.departures import Departures
from flowrunner.run.failures import Failures
from flowrunner.run.identity import FOLDER
from flowrunner.run.live import Flow, LiveFlow, Program, base_name
from flowrunner.run.loop_guard import LoopGuard
from flowrunner.run.news import ConnectionNews
from flowrunner.run.permission import harmless, limited, showing, unshared
from flowrunner.run.promises import Promises
from flowrunner.run.report import Report
from flowrunner.run.routing import Want
from flowrunner.run.sharing import Sharing, WholeFlows, alone, group_of
from flowrunner.run.state_file import KeptStores, StateFile
from flowrunner.run.tapping import Watcher
from flowrunner.run.traffic import Traffic
from flowrunner.run.triggers import Triggers
from flowrunner.run.work import Work
from flowrunner.sources import Subscribe
from flowrunner.stores import Store

if TYPE_CHECKING:
    from flowrunner.remote.address import StateSettings
    from flowrunner.run.explaining import Explaining
    from flowrunner.run.redis_state import RedisState
    from flowrunner.run.shown import Remembers

#: Seconds that brokers have to answer before what is not about messages begins.
FIRST_TRY = 3.0

#: Seconds for messages in work at the end.
LAST_WORK = 5.0
LAST_WORK_WITHOUT_STATE = 1.0  # where it waits for a server that is away: it has been told for long


class Runner:
    """Flows that run, on connections by name.

    `connections` are those of the settings; `folder` is where `.flowrunner/` keeps the client ids. Use it inside
    a running loop: `await apply(programs)` as often as they change, `await close()` at the end. If it `is_read_only`,
    it only looks: nothing is published, and flows with steps that change something elsewhere do not run. With `sharing`
    it is one of a group: of the programs that it is given, others run those that are shared, too. `state` is the
    Redis in which programs that were compiled for it keep what their steps remember.
    """

    def __init__(
        self,
        connections: Mapping[str, ConnectionSettings],
        report: Report,
        *,
        folder: Path | None = None,
        clock: Clock | None = None,
        backoff: Callable[[], Backoff] = Backoff,
        explaining: "Explaining | None" = None,
        is_read_only: bool = False,
        sharing: Sharing | None = None,
        state: "StateSettings | None" = None,
    ) -> None:
        self._is_read_only = is_read_only
        self._sharing = None if is_read_only else sharing
        self._clients = Clients(self._meant(connections), folder, self._sharing)
        self._backoff = backoff
        self._explaining = explaining
        self.report = report
        self.clock: Clock = clock or LoopClock()
        self.failures = Failures(report, self.clock)
        self.traffic = Traffic(report, self.clock)
        self.flows: dict[str, LiveFlow] = {}
        self.connections: dict[str, Connection] = {}
        self._news = ConnectionNews(report, self.failures)
        self._triggers: dict[LiveFlow, Triggers] = {}
        self._work = Work()
        if state is not None:
            self._work.offer("state", partial(self._redis, state))
        self._remote: RedisState | None = None  # until a flow needs it
        self._promises = Promises()
        self._stores = KeptStores(self.clock, self._state_file(folder))
        self._binding = Binding(
            report,
            self._publisher,
            lambda name: self.connections[name].link,
            clock=self.clock,
            failures=self.failures,
            traffic=self.traffic,
            work=self._work,
            stores=self._stores,
            promises=self._promises,
            is_read_only=is_read_only,
        )
        self._binding.is_owned = self._is_owned
        self._departures = Departures(report, self._stores.forget_unused, self._sweep)
        self._changing = asyncio.Lock()
        self._guard: LoopGuard | None = None
        self._whole = WholeFlows(report)

    async def apply(self, programs: Iterable[Program]) -> None:
        """Run exactly these programs; those that run already go on as they are.

        So does a version that is replaced by one that cannot begin.
        All of them are exchanged in one turn of the loop, once every broker that is there has answered what is new.
        """
        if self._guard is None:
            self._guard = LoopGuard(self.traffic, self.clock, self.report, lambda: self.flows)
        async with self._changing:
            enabled = [program for program in programs if program.flow.is_enabled]
            await self._binding.tapping.prepare(enabled)
            await self._apply(enabled)
        self._say_what_is_whole()

    async def tap(self, watchers: Mapping[str, Watcher], by: str = "page") -> frozenset[str]:
        """Have these flows looked into, by name, and no others `by` the same one; returns those that are.

        Each flow goes on where it was, as after an edit. One that was made for another version of its flow, and has no
        heir for this one, is left out.
        """
        tapping = self._binding.tapping
        async with self._changing:
            tapping.want(by, watchers)
            programs = [flow.program for flow in self.flows.values()]
            await tapping.prepare(programs)
            if any(flow.tapped is not tapping.of(flow.program.flow) for flow in self.flows.values()):
                await self._apply(programs)
            return tapping.names(by)

    async def _apply(self, programs: Sequence[Program]) -> None:
        before = dict(self.flows)
        after = self._binding.bind_all(programs, before)
        fresh = [flow for flow in after.values() if before.get(flow.name) is not flow]
        try:
            self._open(fresh)
            self._watch([*after.values(), *before.values()])
            if any(_moves(old, after.get(name)) for name, old in before.items()):
                await self.tried()  # a broker is asked only where there is one, and the old role ends with the answer
            await self._ask(after, frozenset(flow for flow in fresh if flow.name in before))
        except BaseException:
            for flow in fresh:
                flow.end()
            raise
        self._stores.forget_unused()
        if self._sharing is not None and self._sharing.family:
            await self._stores.flush()  # who owns a flow from now on reads it
        await self._close_unused()
        self._watch(self.flows.values())

    async def _ask(self, after: dict[str, LiveFlow], waiting: frozenset[LiveFlow]) -> None:
        """Have the brokers asked for what is new, and exchange the flows in the very turn of the last answer."""
        swapped = asyncio.get_running_loop().create_future()
        asked = dict(self.connections)
        unanswered = set(asked)
        moving = frozenset(old for name, old in self.flows.items() if _moves(old, after.get(name)))

        def answered(name: str) -> None:
            unanswered.discard(name)
            if not unanswered and not swapped.done():
                try:
                    self._swap(after, asked.values())
                except BaseException as error:  # noqa: BLE001 - `apply` raises it
                    swapped.set_exception(error)
                else:
                    swapped.set_result(None)

        for name, connection in asked.items():
            wants, ready = self._wants(after, name), partial(answered, name)
            connection.subscriptions.prepare(wants, ready, waiting=waiting, moving=moving)
        if not asked:
            self._swap(after, ())
            return
        await swapped

    def _swap(self, after: dict[str, LiveFlow], connections: Iterable[Connection]) -> None:
        """Exchange the flows, with all that rings and ticks; nothing else runs meanwhile."""
        before, self.flows = self.flows, after
        for connection in connections:
            connection.subscriptions.settle()
        parting = self._departures.part(connections)
        for name, old in before.items():
            new = after.get(name)
            if new is old:
                continue
            if new is None:
                self._triggers.pop(old).stop()
            if new is not None or old not in parting:
                old.end()
            if new is not None:
                new.succeed(old)
            self._departures.retire(old, parting.get(old, ()))
        for name, new in after.items():
            old_flow = before.get(name)
            if old_flow is not new:
                new.begin()
                ready = [self.connections[name].subscriptions.complete for name in sorted(new.connections)]
                last = None if old_flow is None else self._triggers.pop(old_flow)
                self._triggers[new] = Triggers(new, self.clock, self.failures.failed, ready, before=last)

    async def reconnect(
        self, connections: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Use other settings from now on, and connect anew those of these names that are in use; returns which.

        A connection that is not among the settings any more goes on as long as a flow uses it.
        """
        async with self._changing:
            clients, before = self._clients, {name: self._clients.given(name) for name in self.connections}
            clients.replace(self._meant(connections), used=before)
            changed: list[str] = []
            for name in sorted(name for name in before if {name, base_name(name)} & set(names)):
                self._keep_client_id(name, before[name])
                settings = clients.settings(name)
                # a certificate may be another one
                if settings != self.connections[name].settings or settings.tls != TlsSettings():
                    changed.append(name)
            changes = (self.connections[name].change(clients.settings(name), clients.ledger(name)) for name in changed)
            await asyncio.gather(*changes)
            return tuple(changed)

    def regroup(self, group: str | None, *, is_state_shared: bool | None = None) -> None:
        """Share messages with other machines, or with nobody, from the next `apply` on."""
        self.share(None if group is None else alone(group, is_state_shared=is_state_shared))

    def share(self, sharing: Sharing | None) -> None:
        """Be another part of a group, or of another one, or of none, from the next `apply` on; `member` stays."""
        self._sharing = None if self._is_read_only else sharing

    def tell(self, name: str, payload: bytes) -> None:
        """Say something of the runner itself, retained, on `flowrunner/<client id>/<name>`, where the broker allows it.

        That is on the connection `default`, or on the first one if no flow uses that.
        """
        if self.connections:
            speaking = [name for name in self.connections if not self._clients.is_silent(name)]
            chosen = "default" if "default" in speaking else min(speaking)
            self.connections[chosen].presence.tell(name, payload)

    async def close(self, *, is_last: bool = False) -> None:
        """Take no more messages, finish what is in work, and leave the brokers.

        The last of a group does not leave it where a broker keeps its session: what comes waits there for the next.
        """
        if self._guard is not None:
            self._guard.stop()
        for triggers in self._triggers.values():
            triggers.stop()
        self._triggers.clear()
        is_without_state = self._is_without_state
        patience = LAST_WORK_WITHOUT_STATE if is_without_state else LAST_WORK
        with suppress(TimeoutError):
            async with asyncio.timeout(patience if is_without_state else None):
                await self._leave_groups(is_last=is_last)
        self._promises.is_ending = True
        for connection in self.connections.values():
            connection.link.stop()
        flows = [*self.flows.values(), *self._departures.flows]
        for flow in flows:
            flow.end()
        self._departures.give_up()
        await asyncio.gather(*(self._departures.finish(flow, patience) for flow in flows))
        await self._work.close()
        await self._stores.close()
        await asyncio.gather(*(connection.close() for connection in self.connections.values()))
        self.connections.clear()
        self.traffic.stop()
        self.failures.stop()

    def abandon(self) -> None:
        """See `flowrunner.run.runs.Runs`: there is nothing outside of this process."""

    @property
    def stores(self) -> Mapping[tuple[str, str], Store]:
        """The named values of `state` steps, by flow (empty for those that are shared) and name."""
        return self._stores.known

    @property
    def _is_without_state(self) -> bool:
        """Whether messages wait for a server that keeps the state of their steps, and is away."""
        return self._remote is not None and self._remote.is_away

    async def _leave_groups(self, *, is_last: bool) -> None:
        """Do what the brokers have chosen us for among the members of a group, and be chosen no more.

        A session that is kept keeps what nobody shares; of one that ends, everything is taken that has come for us.
        """
        is_ours = self._sharing is not None
        stays = [one for one in self.connections.values() if is_last and one.settings.keep is not None]
        sharing = [one for one in self.connections.values() if is_ours or one.subscriptions.is_grouped]
        sharing = [one for one in sharing if one not in stays]
        leaving = (one.leave(is_all=is_ours and one.settings.keep is None) for one in sharing)
        if sharing:
            await asyncio.gather(*leaving, self._departures.all_parted())

    async def heard(self) -> None:
        """Wait until every broker has answered what the flows want of it."""
        for connection in list(self.connections.values()):
            await connection.subscriptions.complete.wait()

    async def tried(self) -> None:
        """Wait until every broker has answered, or cannot be reached; a few seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY):
                for connection in list(self.connections.values()):
                    await connection.tried()

    #: It is one process, and does all itself; see `flowrunner.run.shown.Shows`.
    workers: tuple[()] = ()

    async def refresh(self, states: Collection[str] | None = ()) -> None:
        """See `flowrunner.run.shown.Shows`: what is shown is what there is."""

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
        """Publish for whoever asks, and no flow. Raises StepError if the message can never be sent."""
        self.publisher(connection)(topic, payload, qos, retain, properties)

    def remember(self) -> "Remembers":
        """What remembers the last messages of each flow from now on."""
        from flowrunner.run.recent import Recent

        recent = Recent(self.clock, lambda: self.flows.values())  # noqa: PLW0108 - `flows` is another one after each change
        recent.follow()
        return recent

    def publisher(self, connection: str) -> Publish:
        """The function that publishes on a connection, which is opened if it is not yet."""
        link = self._connection(connection).link
        return showing(link) if self._is_read_only else link.publish

    def _publisher(self, name: str, flow: LiveFlow) -> Publish:
        """What publishes for one flow."""
        link = self._connection(name).link
        publish = showing(link) if self._is_read_only else self._promises.publisher(link, flow, name)
        return limited(publish, getattr(flow.program.flow, "publish_only", ()))

    def _meant(self, connections: Mapping[str, ConnectionSettings]) -> Mapping[str, ConnectionSettings]:
        if not self._is_read_only:
            return connections
        return {name: harmless(settings) for name, settings in connections.items()}

    def _state_file(self, folder: Path | None) -> StateFile | None:
        if folder is None:
            return None
        tell = lambda event, text: self.report.say(event, text, level="info" if event == "state-kept" else "error")  # noqa: E731
        family = self._sharing.family if self._sharing is not None else ""
        return StateFile(folder / FOLDER / "state.db", tell, family=family)

    def _redis(self, settings: "StateSettings") -> "RedisState":
        """Where the steps of all flows keep what they remember."""
        from flowrunner.run.redis_state import RedisState

        group = self._sharing.group if self._sharing is not None else group_of(self._clients.client_id("default"))
        project = settings.name or group
        found = self._remote = RedisState(settings, project, self.report, backoff=self._backoff())
        found.open()
        return found

    async def _sweep(self) -> None:
        async with self._changing:
            await self._close_unused()

    def _open(self, flows: Iterable[LiveFlow]) -> None:
        for name in dict.fromkeys(name for flow in flows for name in sorted(flow.connections)):
            self._connection(name)

    def _connection(self, name: str) -> Connection:
        connection = self.connections.get(name)
        if connection is None:
            clients = self._clients
            if clients.is_silent(name):
                self._connection(base_name(name))  # which says that we are there
            connection = Connection(
                clients.settings(name),
                clients.client_id(name),
                self._news,
                self.failures.failed,
                backoff=self._backoff(),
                ledger=clients.ledger(name),
                tap=self._explaining.tap(name) if self._explaining is not None else None,
                members=1 if self._sharing is None or clients.is_silent(name) else self._sharing.members,
            )
            self.connections[name] = connection
            if self._is_read_only or clients.is_silent(name):
                connection.presence.stay_silent()
            connection.start()
        return connection

    def _keep_client_id(self, name: str, before: ConnectionSettings) -> None:
        """Go on with the client id there was: the session at the broker hangs on it."""
        if self._clients.keep_client_id(name, before.client_id):
            stays = f"it stays `{self.connections[name].client_id}` until the end"
            words = f"`client_id` of `{name}` cannot change while flows run: {stays}"
            self.report.say("not-reloadable", words, level="warning", connection=name, setting="client_id")

    def _say_what_is_whole(self) -> None:
        owned = [flow.program.flow for flow in self.flows.values() if flow.is_owned]
        words = self._sharing.spoken(owned) if self._sharing is not None and owned else ""
        self._whole.say(words, owned)

    def _is_owned(self, flow: Flow) -> bool:
        return self._sharing is not None and not self._sharing.is_shared(flow)

    def _wants(self, flows: Mapping[str, LiveFlow], connection: str) -> Sequence[Want]:
        return [
            self._want(flow, entry, source)
            for flow in flows.values()
            for entry, source in enumerate(flow.program.flow.sources)
            if isinstance(source, Subscribe) and flow.way(source.connection) == connection
        ]

    def _want(self, flow: LiveFlow, entry: int, source: Subscribe) -> Want:
        if self._is_read_only:
            return Want(flow, entry, unshared(source))
        if self._sharing is None or flow.is_owned:
            return Want(flow, entry, source)
        return Want(flow, entry, self._sharing.source(source), is_grouped=source.share is None)

    def _watch(self, flows: Iterable[LiveFlow]) -> None:
        self.traffic.watch(flows, [connection.link for connection in self.connections.values()])

    async def _close_unused(self) -> None:
        used = {name for flow in self.flows.values() for name in flow.connections}
        used |= {name for name, connection in self.connections.items() if connection.subscriptions.parting}
        unused = [name for name in self.connections if name not in used | {base_name(name) for name in used}]
        await asyncio.gather(*(self.connections.pop(name).close() for name in unused))


def _moves(old: LiveFlow, new: LiveFlow | None) -> bool:
    """Whether a flow goes on in another role, on other connections."""
    return new is not None and new.is_owned != old.is_owned
