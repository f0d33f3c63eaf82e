"""Shows messages as they go through, a few in full and the rest as a number."""

from collections.abc import Callable, Iterable
from typing import Any

from flowrunner.clock import Clock, Timer
from flowrunner.message import Properties
from flowrunner.run.link import Link
from flowrunner.run.live import Handler, LiveFlow
from flowrunner.run.loop_guard import Sample
from flowrunner.run.report import Report

#: Lines in a second that a person can follow, and at once after a pause; log lines, which somebody asked for, get more.
MOST_LINES = 20
MOST_AT_ONCE = 60
MOST_LOG_LINES = 100
SECOND = 1.0


class Traffic:
    """Puts itself before the handlers of flows and behind links, until the lines of this second are used up.

    Then it steps aside, and a message costs nothing more than two counters, until the second is over.
    """

    def __init__(
        self, report: Report, clock: Clock, *, most_lines: int = MOST_LINES, at_once: int = MOST_AT_ONCE
    ) -> None:
        self._report = report
        self._clock = clock
        self._most_lines = most_lines
        self._at_once = at_once
        self._lines = at_once
        self._filled_at = clock.time()
        self._log_lines = MOST_LOG_LINES
        self._current = ""
        self._flows: dict[LiveFlow, Handler] = {}
        self._links: list[Link] = []
        self._is_watching = True
        self._counted = 0
        self._timer: Timer | None = None
        self._sample: Sample | None = None

    def look_closely(self, sample: Sample | None) -> None:
        """Give a sample every message from now on, and ask it which get in; None ends that."""
        if sample is None and self._sample is None:
            return
        self._sample = sample
        if sample is not None:
            self._step_in()
        elif self._lines <= 0:
            self._step_aside()

    def watch(self, flows: Iterable[LiveFlow], links: Iterable[Link]) -> None:
        """Look at these flows and links from now on, and no longer at others."""
        before = self._flows
        self._flows = {flow: before.get(flow) or self._traced(flow) for flow in flows}
        for flow in before.keys() - self._flows.keys():
            flow.handler = flow.plain
        for link in self._links:
            link.watch = None
        self._links = list(links)
        if self._is_watching:
            self._step_in()

    def stop(self) -> None:
        """Look at nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._say_more()
        self._is_watching = False
        self.watch((), ())

    def log(self, flow: str, level: str, text: str) -> None:
        """Show what a `log` step has to say."""
        self._log_lines -= 1
        if self._log_lines >= 0:
            self._report.logged(flow, level, text)
        self._begin_second()

    def run_as(self, flow: str, call: Callable[[], object]) -> None:
        """Make a call that a flow has asked for; what it publishes is shown as the flow's."""
        before, self._current = self._current, flow
        try:
            call()
        finally:
            self._current = before

    def _traced(self, flow: LiveFlow) -> Handler:
        def traced(
            topic: str,
            payload: Any,
            qos: int,
            retain: bool,  # noqa: FBT001 - the signature of a handler
            properties: Properties,
            entry: int,
            /,
        ) -> None:
            self._current = flow.name
            if self._sample is not None and not self._sample.comes(flow.name, topic):
                flow.counting.dropped += 1
                self._current = ""
                return
            if self._spend():
                self._report.message(flow.name, topic, payload, is_out=False, qos=qos, retain=retain)
            try:
                flow.plain(topic, payload, qos, retain, properties, entry)
            finally:
                self._current = ""

        return traced

    def _published(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:  # noqa: FBT001
        if self._sample is not None:
            self._sample.goes(self._current, topic)
        if self._spend():
            self._report.message(self._current, topic, payload, is_out=True, qos=qos, retain=retain)

    def _spend(self) -> bool:
        """Take a line out of those of this second, if there is one."""
        self._begin_second()
        if self._lines <= 0:
            return False
        self._lines -= 1
        if self._lines == 0 and self._sample is None:
            self._step_aside()
        return True

    def _begin_second(self) -> None:
        if self._timer is None:
            self._fill()
            self._timer = self._clock.call_at(self._clock.time() + SECOND, self._end_second)

    def _fill(self) -> None:
        """Add the lines of the time that has passed."""
        now = self._clock.time()
        self._lines = min(self._lines + int((now - self._filled_at) / SECOND * self._most_lines), self._at_once)
        self._filled_at = now

    def _step_in(self) -> None:
        self._is_watching = True
        for flow, traced in self._flows.items():
            flow.handler = traced
        for link in self._links:
            link.watch = self._published

    def _step_aside(self) -> None:
        self._is_watching = False
        self._counted = self._count()
        for flow in self._flows:
            flow.handler = flow.plain
        for link in self._links:
            link.watch = None

    def _end_second(self) -> None:
        self._timer = None
        self._say_more()
        self._fill()
        self._log_lines = MOST_LOG_LINES
        if not self._is_watching:
            self._step_in()

    def _say_more(self) -> None:
        more = 0 if self._is_watching else self._count() - self._counted
        if more > 0:
            self._report.more("and {count} more in the last second", count=more)
        if self._log_lines < 0:
            self._report.more("and {count} more lines of `log`", count=-self._log_lines)

    def _count(self) -> int:
        """Messages into flows and out of them so far."""
        return sum(flow.received for flow in self._flows) + sum(link.published for link in self._links)
