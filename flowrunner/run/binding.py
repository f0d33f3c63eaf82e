"""Turns programs into flows that can run, and lets the old version of a flow go on where the new one cannot begin."""

import logging
from collections.abc import Callable, Iterable, Mapping

from flowrunner.clock import Clock
from flowrunner.code import Publish
from flowrunner.diagnostics import name_list
from flowrunner.errors import FlowError, FlowrunnerError
from flowrunner.run.failures import Failures
from flowrunner.run.host import FlowHost
from flowrunner.run.live import Flow, LiveFlow, Program
from flowrunner.run.permission import sinks_of
from flowrunner.run.promises import FindLink, Promises
from flowrunner.run.reload_report import stale_line
from flowrunner.run.report import Report
from flowrunner.run.state_file import KeptStores
from flowrunner.run.tapping import Tapping
from flowrunner.run.traffic import Traffic
from flowrunner.run.work import Work
from flowrunner.sources import Subscribe

_log = logging.getLogger("flowrunner.run")


class Binding:
    """Gives programs what they ask of a runner.

    `publisher` is what publishes on a connection for a flow, `find` the link of a connection. If it `is_read_only`,
    flows with steps that change something elsewhere do not run. `tapping` knows who looks into which
    flows, and `is_owned` which of them no other process runs.
    """

    def __init__(
        self,
        report: Report,
        publisher: Callable[[str, LiveFlow], Publish],
        find: FindLink,
        *,
        clock: Clock,
        failures: Failures,
        traffic: Traffic,
        work: Work,
        stores: KeptStores,
        promises: Promises,
        is_read_only: bool,
    ) -> None:
        self._report = report
        self._publisher = publisher
        self._find = find
        self._promises = promises
        self._is_read_only = is_read_only
        self._clock = clock
        self._failures = failures
        self._traffic = traffic
        self._work = work
        self._stores = stores
        self.tapping = Tapping()
        self.is_owned: Callable[[Flow], bool] = lambda _: False

    def bind_all(self, programs: Iterable[Program], before: Mapping[str, LiveFlow]) -> dict[str, LiveFlow]:
        """The flows that are to run, by name: those that do already, and new ones. Raises nothing."""
        running = {id(flow.program): flow for flow in before.values()}
        found: dict[str, LiveFlow] = {}
        for program in programs:
            name = program.flow.name
            flow = running.get(id(program))
            is_fit = flow is not None and flow.is_owned == self.is_owned(program.flow)
            if not is_fit or flow is None or flow.tapped is not self.tapping.of(program.flow):
                flow = self._bind(program, before.get(name)) or before.get(name)
            if flow is not None:
                found[name] = flow
        return found

    def _bind(self, program: Program, before: LiveFlow | None) -> LiveFlow | None:
        """A new version of a flow; None, and said so, where it cannot begin."""
        is_same = before is not None and before.program.flow is program.flow
        since = before.since if before is not None and is_same else self._clock.now()
        tapped, is_owned = self.tapping.of(program.flow), self.is_owned(program.flow)
        flow = LiveFlow(program, before, since=since, tapped=tapped, is_owned=is_owned)
        flow.connections |= {flow.way(one.connection) for one in program.flow.sources if isinstance(one, Subscribe)}
        if self._is_read_only and (sinks := sinks_of(program.flow)):
            words = f"{flow.name} does not run: with --read-only there is no {name_list(sinks)}"
            self._report.say("not-started", words, level="warning", flow=flow.name)
            return None
        try:
            flow.bind(self._host(flow))
            self._promises.watch_over(flow, self._find)
        except FlowError as error:
            for diagnostic in error.diagnostics:
                self._report.frame(diagnostic, flow=flow.name)
        except FlowrunnerError as error:
            self._report.say("not-started", f"{flow.name}: {error}", level="error", flow=flow.name)
        except Exception:  # noqa: BLE001 - it is logged, and the others run
            _log.exception("`%s` could not begin", flow.name)
            words = f"{flow.name}: it could not begin, which is a mistake of flowrunner"
            self._report.say("not-started", words, level="error", flow=flow.name)
        else:
            return flow
        flow.end()
        for waits in flow.waits:
            waits.close()
        if before is not None:
            words = stale_line(flow.name, before.since, now=self._clock.now())
            self._report.say("stale", words, level="warning", flow=flow.name)
        return None

    def _host(self, flow: LiveFlow) -> FlowHost:
        return FlowHost(
            flow,
            lambda name: self._publisher(name, flow),
            clock=self._clock,
            failures=self._failures,
            traffic=self._traffic,
            work=self._work,
            stores=self._stores,
            promises=self._promises,
        )
