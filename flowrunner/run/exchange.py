"""Turns the flows that run into those that are to run: brokers are asked first, then all are exchanged in one turn."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from flowrunner.clock import Clock
from flowrunner.run.connection import Connection
from flowrunner.run.connections import Connections
from flowrunner.run.departures import Departures
from flowrunner.run.failures import Failures
from flowrunner.run.live import LiveFlow
from flowrunner.run.membership import Membership
from flowrunner.run.routing import Want
from flowrunner.run.traffic import Traffic
from flowrunner.run.triggers import Triggers
from flowrunner.sources import Subscribe


class Exchange:
    """The `flows` that run, by name, with all that rings and ticks for them."""

    def __init__(
        self,
        connections: Connections,
        departures: Departures,
        membership: Membership,
        *,
        clock: Clock,
        failures: Failures,
        traffic: Traffic,
    ) -> None:
        self.flows: dict[str, LiveFlow] = {}
        self._connections = connections
        self._departures = departures
        self._membership = membership
        self._clock = clock
        self._failed = failures.failed
        self._traffic = traffic
        self._triggers: dict[LiveFlow, Triggers] = {}

    async def change(self, after: dict[str, LiveFlow]) -> None:
        """Run exactly these flows, once every broker that is there has answered what is new."""
        before = dict(self.flows)
        fresh = [flow for flow in after.values() if before.get(flow.name) is not flow]
        try:
            self._open(fresh)
            self._watch([*after.values(), *before.values()])
            if any(_moves(old, after.get(name)) for name, old in before.items()):
                # a broker is asked only where there is one, and the old role ends with the answer
                await self._connections.tried()
            await self._ask(after, frozenset(flow for flow in fresh if flow.name in before))
        except BaseException:
            for flow in fresh:
                flow.end()
            raise

    def watch(self) -> None:
        """Have the traffic of the flows watched, on the connections that are open."""
        self._watch(self.flows.values())

    def stop(self) -> None:
        """Let nothing ring and tick any more."""
        for triggers in self._triggers.values():
            triggers.stop()
        self._triggers.clear()

    async def _ask(self, after: dict[str, LiveFlow], waiting: frozenset[LiveFlow]) -> None:
        """Have the brokers asked for what is new, and exchange the flows in the very turn of the last answer."""
        swapped = asyncio.get_running_loop().create_future()
        asked = dict(self._connections.open)
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
            if new is not old:
                self._replace(old, new, parting.get(old, ()))
        for name, new in after.items():
            old_flow = before.get(name)
            if old_flow is not new:
                self._begin(new, old_flow)

    def _replace(self, old: LiveFlow, new: LiveFlow | None, parting: Sequence["asyncio.Task[None]"]) -> None:
        """Let a flow go, at once or with what still comes for it."""
        if new is None:
            self._triggers.pop(old).stop()
        if new is not None or not parting:
            old.end()
        if new is not None:
            new.succeed(old)
        self._departures.retire(old, parting)

    def _begin(self, new: LiveFlow, old: LiveFlow | None) -> None:
        new.begin()
        ready = [self._connections.open[name].subscriptions.complete for name in sorted(new.connections)]
        last = None if old is None else self._triggers.pop(old)
        self._triggers[new] = Triggers(new, self._clock, self._failed, ready, before=last)

    def _wants(self, flows: Mapping[str, LiveFlow], connection: str) -> Sequence[Want]:
        return [
            self._membership.want(flow, entry, source)
            for flow in flows.values()
            for entry, source in enumerate(flow.program.flow.sources)
            if isinstance(source, Subscribe) and flow.way(source.connection) == connection
        ]

    def _open(self, flows: Iterable[LiveFlow]) -> None:
        for name in dict.fromkeys(name for flow in flows for name in sorted(flow.connections)):
            self._connections.of(name)

    def _watch(self, flows: Iterable[LiveFlow]) -> None:
        self._traffic.watch(flows, [connection.link for connection in self._connections.open.values()])


def _moves(old: LiveFlow, new: LiveFlow | None) -> bool:
    """Whether a flow goes on in another role, on other connections."""
    return new is not None and new.is_owned != old.is_owned
