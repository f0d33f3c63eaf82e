"""Turns the counters of a runner into what Prometheus reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowrunner.read.flow import Flow
from flowrunner.run.timings import buckets
from flowrunner.web.board import Board
from flowrunner.web.picture import step_at

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

#: Reasons of `stop` that are told apart for one flow: each is a series for ever.
_MOST_REASONS = 20


class Metrics:
    """What `/metrics` answers."""

    def __init__(self, board: Board) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self.registry: CollectorRegistry = CollectorRegistry()
        self.registry.register(Collector(board))
        ProcessCollector(registry=self.registry)

    def text(self) -> tuple[bytes, str]:
        """All metrics in the text format of Prometheus, and its media type."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class Collector:
    """Reads the counters when somebody asks."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> "list[Metric]":
        """Nothing: what there is depends on the flows."""
        return []

    def collect(self) -> "Iterator[Metric]":
        """The counters of now."""
        yield from self._flows()
        yield from self._errors()
        yield from self._steps()
        yield from self._connections()
        yield self._timings()
        yield from self._workers()

    def _flows(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        flow = ["flow"]
        received = CounterMetricFamily("flowrunner_messages_received", "Messages that came into a flow", labels=flow)
        dropped = CounterMetricFamily("flowrunner_messages_dropped", "Messages dropped by a failure", labels=flow)
        handled = CounterMetricFamily("flowrunner_errors_handled", "Failures that on_error took care of", labels=flow)
        labels = ["flow", "reason"]
        stopped = CounterMetricFamily("flowrunner_messages_stopped", "Messages ended by stop", labels=labels)
        stale = GaugeMetricFamily("flowrunner_flow_stale", "Whether a newer version is broken", labels=flow)
        versions = self._board.library.contents.versions
        for name, live in self._board.runs.flows.items():
            received.add_metric([name], live.received)
            dropped.add_metric([name], live.dropped)
            handled.add_metric([name], live.handled)
            for reason, count in list(live.stopped.items())[:_MOST_REASONS]:
                stopped.add_metric([name, reason], count)
            stale.add_metric([name], name in versions and versions[name].is_stale)
        reloads = CounterMetricFamily("flowrunner_reloads", "Edits that were taken up, or refused", labels=["result"])
        for result, count in self._board.reloads.items():
            reloads.add_metric([result], count)
        yield from (received, dropped, handled, stopped, stale, reloads)

    def _errors(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily

        errors = CounterMetricFamily("flowrunner_errors", "Messages that failed", labels=["flow", "step", "code"])
        counted: dict[tuple[str, str, str], int] = {}
        for tally in list(self._board.runs.failures.tallies.values()):
            live, span = self._board.runs.flows.get(tally.flow), tally.diagnostic.span
            flow = live.program.flow if live is not None else None
            step = step_at(flow, span.source.name, span.line) if isinstance(flow, Flow) else ""
            place = (tally.flow, step, tally.diagnostic.code)
            counted[place] = counted.get(place, 0) + tally.count
        for place, count in counted.items():
            errors.add_metric(list(place), count)
        yield errors

    def _steps(self) -> "Iterator[Metric]":
        from prometheus_client.core import GaugeMetricFamily

        met = "Messages that met a step since somebody looks at its flow; of fast flows a sample"
        steps = GaugeMetricFamily("flowrunner_step_messages_seen", met, labels=["flow", "step", "way"])
        for name, sight in self._board.looks.sights.items():
            for step, counts in sight.counts.items():
                for way, count in zip(("in", "out", "skipped"), counts.seen, strict=True):
                    steps.add_metric([name, step, way], count)
        yield steps

    def _connections(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        label = ["connection"]
        is_up = GaugeMetricFamily("flowrunner_connection_up", "Whether every client has its broker", labels=label)
        published = CounterMetricFamily("flowrunner_messages_published", "Messages published", labels=label)
        dropped = CounterMetricFamily("flowrunner_publishes_dropped", "QoS 0, with no broker there", labels=label)
        pending = GaugeMetricFamily("flowrunner_publishes_pending", "QoS 1 and 2, not acknowledged", labels=label)
        for name, one in self._board.runs.connections.items():
            is_up.add_metric([name], one.clients[0] == one.clients[1])
            published.add_metric([name], one.link.published)
            dropped.add_metric([name], one.link.dropped)
            pending.add_metric([name], one.link.pending)
        yield from (is_up, published, dropped, pending)

    def _timings(self) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily

        took = "Time that the steps of a flow took for a message, without waiting; of some messages a second"
        seconds = HistogramMetricFamily("flowrunner_message_seconds", took, labels=["flow"])
        recent = self._board.recent
        for flow, (taken, counts) in (recent.timings if recent is not None else {}).items():
            seconds.add_metric([flow], list(buckets(counts)), taken)
        return seconds

    def _workers(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        label = ["worker"]
        is_up = GaugeMetricFamily("flowrunner_worker_up", "Whether a worker is there", labels=label)
        restarts = CounterMetricFamily(
            "flowrunner_worker_restarts", "Times that a worker was started again", labels=label
        )
        owned = GaugeMetricFamily("flowrunner_worker_flows_owned", "Flows that run in this worker only", labels=label)
        used = "CPU time that a worker took, with that of those before it"
        seconds = CounterMetricFamily("flowrunner_worker_cpu_seconds", used, labels=label)
        memory = GaugeMetricFamily(
            "flowrunner_worker_resident_memory_bytes", "Memory that a worker holds", labels=label
        )
        for worker in self._board.runs.workers:
            number = [str(worker.number)]
            is_up.add_metric(number, worker.process != 0)
            restarts.add_metric(number, worker.restarts)
            owned.add_metric(number, len(worker.owned))
            seconds.add_metric(number, worker.seconds)
            memory.add_metric(number, worker.memory)
        yield from (is_up, restarts, owned, seconds, memory)
