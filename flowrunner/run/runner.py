"""Runs programs: opens the connections they use, subscribes, starts their ticks, and ends it all in good order."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.connections import ConnectionSettings
from flowrunner.errors import FlowError, FlowrunnerError
from flowrunner.run.backoff import Backoff
from flowrunner.run.clock import LoopClock
from flowrunner.run.connection import Connection
from flowrunner.run.failures import Failures
from flowrunner.run.host import FlowHost
from flowrunner.run.identity import FOLDER, client_id
from flowrunner.run.live import LiveFlow, Program
from flowrunner.run.news import ConnectionNews
from flowrunner.run.report import Report
from flowrunner.run.routing import Want
from flowrunner.run.state_file import KeptStores, StateFile
from flowrunner.run.traffic import Traffic
from flowrunner.run.triggers import Triggers
from flowrunner.run.work import Work, finish
from flowrunner.sources import Subscribe

#: Seconds for messages in work: at the end, and in a version of a flow that was replaced.
LAST_WORK = 5.0
RETIREMENT = 60.0


class Runner:
    """Flows that run, on connections by name.

    `connections` are those of the settings; `folder` is where `.flowrunner/` keeps the client ids. Use it inside
    a running loop: `await apply(programs)` as often as they change, `await close()` at the end.
    """

    def __init__(
        self,
        connections: Mapping[str, ConnectionSettings],
        report: Report,
        *,
        folder: Path | None = None,
        clock: Clock | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._settings = {"default": ConnectionSettings(), **connections}
        self._folder = folder
        self._backoff = backoff
        self.report = report
        self.clock: Clock = clock or LoopClock()
        self.failures = Failures(report, self.clock)
        self.traffic = Traffic(report, self.clock)
        self.flows: dict[str, LiveFlow] = {}
        self.connections: dict[str, Connection] = {}
        self._news = ConnectionNews(report, self.failures)
        self._triggers: dict[LiveFlow, Triggers] = {}
        self._work = Work()
        self._stores = KeptStores(self.clock, self._state_file(folder))
        self._retiring: dict[asyncio.Task[None], LiveFlow] = {}
        self._changing = asyncio.Lock()

    async def apply(self, programs: Iterable[Program]) -> None:
        """Run exactly these programs; those that run already go on as they are.

        Returns when every broker that is there has answered the new subscriptions.
        """
        async with self._changing:
            before = self.flows
            kept = {id(flow.program): flow for flow in before.values()}
            enabled = [program for program in programs if program.flow.is_enabled]
            flows = [kept.get(id(program)) or self._bind(program, before) for program in enabled]
            self.flows = {flow.name: flow for flow in flows if flow is not None}
            fresh = [flow for flow in self.flows.values() if before.get(flow.name) is not flow]
            gone = [flow for flow in before.values() if self.flows.get(flow.name) is not flow]
            self._open(fresh)
            self._watch([*self.flows.values(), *gone])
            waiting = frozenset(flow for flow in fresh if flow.name in before)
            changes = (
                connection.subscriptions.change(self._wants(name), waiting=waiting)
                for name, connection in self.connections.items()
            )
            await asyncio.gather(*changes)
            for flow in gone:
                self._triggers.pop(flow).stop()
                flow.end()
                self._retire(flow)
            for flow in fresh:
                flow.begin()
            self._stores.forget_unused()
            await self._close_unused()
            self._watch(self.flows.values())
            for flow in fresh:
                ready = [self.connections[name].subscriptions.complete for name in sorted(flow.connections)]
                self._triggers[flow] = Triggers(flow, self.clock, self.failures.failed, ready)

    async def close(self) -> None:
        """Take no more messages, finish what is in work, and leave the brokers."""
        for connection in self.connections.values():
            connection.link.stop()
        for triggers in self._triggers.values():
            triggers.stop()
        self._triggers.clear()
        for flow in self.flows.values():
            flow.end()
        flows = [*self.flows.values(), *self._retiring.values()]
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*(self._finish(flow, LAST_WORK) for flow in flows))
        await self._work.close()
        await self._stores.close()
        await asyncio.gather(*(connection.close() for connection in self.connections.values()))
        self.connections.clear()
        self.traffic.stop()
        self.failures.stop()

    def publisher(self, connection: str) -> Publish:
        """The function that publishes on a connection, which is opened if it is not yet."""
        return self._connection(connection).link.publish

    def _bind(self, program: Program, before: Mapping[str, LiveFlow]) -> LiveFlow | None:
        flow = LiveFlow(program, before.get(program.flow.name))
        flow.connections |= {source.connection for source in program.flow.sources if isinstance(source, Subscribe)}
        host = FlowHost(
            flow,
            self.publisher,
            clock=self.clock,
            failures=self.failures,
            traffic=self.traffic,
            work=self._work,
            stores=self._stores,
        )
        try:
            flow.bind(host)
        except FlowError as error:
            for diagnostic in error.diagnostics:
                self.report.frame(diagnostic, flow=flow.name)
            return None
        except FlowrunnerError as error:
            self.report.say("not-started", f"{flow.name}: {error}", level="error", flow=flow.name)
            return None
        return flow

    def _state_file(self, folder: Path | None) -> StateFile | None:
        if folder is None:
            return None
        tell = lambda event, text: self.report.say(event, text, level="info" if event == "state-kept" else "error")  # noqa: E731
        return StateFile(folder / FOLDER / "state.db", tell)

    def _retire(self, flow: LiveFlow) -> None:
        """Let a version that was replaced finish what waits in it, while the new one works already."""
        task = asyncio.get_running_loop().create_task(self._finish(flow, RETIREMENT))
        self._retiring[task] = flow
        task.add_done_callback(lambda task: self._retiring.pop(task, None))

    async def _finish(self, flow: LiveFlow, patience: float) -> None:
        given_up = sum(await asyncio.gather(*(finish(waits, patience) for waits in flow.waits)))
        if given_up:
            words = f"`{flow.name}` did not finish within {patience:g} s; messages given up: {given_up}"
            self.report.say("given-up", words, level="warning", flow=flow.name, count=given_up)

    def _open(self, flows: Iterable[LiveFlow]) -> None:
        for name in dict.fromkeys(name for flow in flows for name in sorted(flow.connections)):
            self._connection(name)

    def _connection(self, name: str) -> Connection:
        connection = self.connections.get(name)
        if connection is None:
            settings = self._settings[name]
            own_id = settings.client_id or client_id(name, self._folder)
            connection = Connection(settings, own_id, self._news, self.failures.failed, backoff=self._backoff())
            self.connections[name] = connection
            connection.start()
        return connection

    def _wants(self, connection: str) -> Sequence[Want]:
        return [
            Want(flow, entry, source)
            for flow in self.flows.values()
            for entry, source in enumerate(flow.program.flow.sources)
            if isinstance(source, Subscribe) and source.connection == connection
        ]

    def _watch(self, flows: Iterable[LiveFlow]) -> None:
        self.traffic.watch(flows, [connection.link for connection in self.connections.values()])

    async def _close_unused(self) -> None:
        used = {name for flow in self.flows.values() for name in flow.connections}
        unused = [name for name in self.connections if name not in used]
        await asyncio.gather(*(self.connections.pop(name).close() for name in unused))
