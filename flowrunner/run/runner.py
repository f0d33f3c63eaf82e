"""Runs programs: opens the connections they use, subscribes, starts their ticks, and ends it all in good order."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.connections import ConnectionSettings
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.run.backoff import Backoff
from flowrunner.run.binding import Binding
from flowrunner.run.clock import LoopClock
from flowrunner.run.connection import Connection
from flowrunner.run.connections import Connections
from flowrunner.run.departures import Departures
from flowrunner.run.exchange import Exchange
from flowrunner.run.failures import Failures
from flowrunner.run.identity import FOLDER
from flowrunner.run.live import LiveFlow, Program
from flowrunner.run.loop_guard import LoopGuard
from flowrunner.run.membership import Membership
from flowrunner.run.promises import Promises
from flowrunner.run.report import Report
from flowrunner.run.sharing import Sharing, alone, group_of
from flowrunner.run.state_file import KeptStores, StateFile
from flowrunner.run.tapping import Watcher
from flowrunner.run.traffic import Traffic
from flowrunner.run.work import Work
from flowrunner.stores import Store

if TYPE_CHECKING:
    from flowrunner.remote.address import StateSettings
    from flowrunner.run.explaining import Explaining
    from flowrunner.run.redis_state import RedisState
    from flowrunner.run.shown import Remembers

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
        self.report = report
        self.clock: Clock = clock or LoopClock()
        self.failures = Failures(report, self.clock)
        self.traffic = Traffic(report, self.clock)
        self._promises = Promises()
        self._membership = Membership(sharing, report, is_read_only=is_read_only)
        self._connections = Connections(
            connections,
            report,
            self.failures,
            self._promises,
            self._membership,
            folder=folder,
            backoff=backoff,
            explaining=explaining,
            is_read_only=is_read_only,
        )
        self._work = Work()
        if state is not None:
            self._work.offer("state", partial(self._redis, state, backoff))
        self._remote: RedisState | None = None  # until a flow needs it
        self._stores = KeptStores(self.clock, self._state_file(folder))
        self._binding = Binding(
            report,
            self._connections.publisher_of,
            lambda name: self._connections.open[name].link,
            clock=self.clock,
            failures=self.failures,
            traffic=self.traffic,
            work=self._work,
            stores=self._stores,
            promises=self._promises,
            is_read_only=is_read_only,
        )
        self._binding.is_owned = self._membership.is_owned
        self._departures = Departures(report, self._stores.forget_unused, self._sweep)
        self._exchange = Exchange(
            self._connections,
            self._departures,
            self._membership,
            clock=self.clock,
            failures=self.failures,
            traffic=self.traffic,
        )
        self._changing = asyncio.Lock()
        self._guard: LoopGuard | None = None

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
        self._membership.say_what_is_whole(self.flows.values())

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

    async def _apply(self, programs: Iterable[Program]) -> None:
        await self._exchange.change(self._binding.bind_all(programs, self.flows))
        self._stores.forget_unused()
        if self._membership.family:
            await self._stores.flush()  # who owns a flow from now on reads it
        await self._connections.close_unused(self.flows.values())
        self._exchange.watch()

    async def reconnect(
        self, connections: Mapping[str, ConnectionSettings], names: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Use other settings from now on, and connect anew those of these names that are in use; returns which.

        A connection that is not among the settings any more goes on as long as a flow uses it.
        """
        async with self._changing:
            return await self._connections.reconnect(connections, names)

    def regroup(self, group: str | None, *, is_state_shared: bool | None = None) -> None:
        """Share messages with other machines, or with nobody, from the next `apply` on."""
        self.share(None if group is None else alone(group, is_state_shared=is_state_shared))

    def share(self, sharing: Sharing | None) -> None:
        """Be another part of a group, or of another one, or of none, from the next `apply` on; `member` stays."""
        self._membership.share(sharing)

    def tell(self, name: str, payload: bytes) -> None:
        """Say something of the runner itself, retained, on `flowrunner/<client id>/<name>`, where the broker allows it.

        That is on the connection `default`, or on the first one if no flow uses that.
        """
        self._connections.tell(name, payload)

    async def close(self, *, is_last: bool = False) -> None:
        """Take no more messages, finish what is in work, and leave the brokers.

        The last of a group does not leave it where a broker keeps its session: what comes waits there for the next.
        """
        if self._guard is not None:
            self._guard.stop()
        self._exchange.stop()
        is_without_state = self._is_without_state
        patience = LAST_WORK_WITHOUT_STATE if is_without_state else LAST_WORK
        with suppress(TimeoutError):
            async with asyncio.timeout(patience if is_without_state else None):
                await self._leave_groups(is_last=is_last)
        self._promises.is_ending = True
        self._connections.stop()
        flows = [*self.flows.values(), *self._departures.flows]
        for flow in flows:
            flow.end()
        self._departures.give_up()
        await asyncio.gather(*(self._departures.finish(flow, patience) for flow in flows))
        await self._work.close()
        await self._stores.close()
        await self._connections.close()
        self.traffic.stop()
        self.failures.stop()

    def abandon(self) -> None:
        """See `flowrunner.run.runs.Runs`: there is nothing outside of this process."""

    @property
    def flows(self) -> dict[str, LiveFlow]:
        """What runs, by name."""
        return self._exchange.flows

    @property
    def connections(self) -> dict[str, Connection]:
        """The connections that are open, by name."""
        return self._connections.open

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
        is_ours = self._membership.sharing is not None
        stays = [one for one in self.connections.values() if is_last and one.settings.keep is not None]
        sharing = [one for one in self.connections.values() if is_ours or one.subscriptions.is_grouped]
        sharing = [one for one in sharing if one not in stays]
        leaving = (one.leave(is_all=is_ours and one.settings.keep is None) for one in sharing)
        if sharing:
            await asyncio.gather(*leaving, self._departures.all_parted())

    async def heard(self) -> None:
        """Wait until every broker has answered what the flows want of it."""
        await self._connections.heard()

    async def tried(self) -> None:
        """Wait until every broker has answered, or cannot be reached; a few seconds at most."""
        await self._connections.tried()

    #: It is one process, and does all itself; see `flowrunner.run.shown.Shows`.
    workers: tuple[()] = ()

    async def refresh(self, states: Collection[str] | None = ()) -> None:
        """See `flowrunner.run.shown.Shows`: what is shown is what there is, here and in Redis."""
        names = self.flows.keys() if states is None else self.flows.keys() & set(states)
        if self._remote is None or self._remote.is_away or not names:
            return
        from flowrunner.remote.looking import look

        await look(state for name in names for _, state in self.flows[name].states.values())

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
        return self._connections.publisher(connection)

    def _state_file(self, folder: Path | None) -> StateFile | None:
        if folder is None:
            return None
        tell = lambda event, text: self.report.say(event, text, level="info" if event == "state-kept" else "error")  # noqa: E731
        return StateFile(folder / FOLDER / "state.db", tell, family=self._membership.family)

    def _redis(self, settings: "StateSettings", backoff: Callable[[], Backoff]) -> "RedisState":
        """Where the steps of all flows keep what they remember."""
        from flowrunner.run.redis_state import RedisState

        sharing = self._membership.sharing
        group = sharing.group if sharing is not None else group_of(self._connections.client_id("default"))
        project = settings.name or group
        found = self._remote = RedisState(settings, project, self.report, backoff=backoff())
        found.open()
        return found

    async def _sweep(self) -> None:
        async with self._changing:
            await self._connections.close_unused(self.flows.values())
