"""Turns what failed in each worker into what failed in all of them, shown in the texts that are known here."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from flowrunner.compile.failure import steps_of
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.flow import Flow
from flowrunner.run.failures import MOST_KINDS, Tally
from flowrunner.run.live import Program
from flowrunner.text import Source, Span
from flowrunner.workers.glance import Place, TallyGlance


class FleetFailures:
    """What failed in all workers; see `Failures`."""

    def __init__(self) -> None:
        self.tallies: dict[Place, Tally] = {}
        self._counts: dict[Place, dict[int, int]] = {}

    def take(self, number: int, glance: TallyGlance, sources: Callable[[str], Mapping[str, Source]]) -> None:
        """Take what failed at one place in a worker; `sources` are the texts that a flow was made of, by name."""
        flow = glance.place[0]
        tally = self.tallies.get(glance.place)
        if tally is None:
            if glance.diagnostic is None:
                return
            if len(self.tallies) >= MOST_KINDS:
                oldest = next(iter(self.tallies))
                del self.tallies[oldest], self._counts[oldest]
            tally = self.tallies[glance.place] = Tally(flow, anchored(glance.diagnostic, sources(flow)))
            self._counts[glance.place] = {}
        elif glance.diagnostic is not None:
            tally.diagnostic = anchored(glance.diagnostic, sources(flow))
        counts = self._counts[glance.place]
        before = counts.get(number, 0)
        tally.count += glance.count - before if glance.count >= before else glance.count  # else it began anew
        tally.last = max(tally.last, glance.last)
        counts[number] = glance.count

    def end(self, number: int) -> None:
        """A worker has ended: one that comes in its place counts from nothing."""
        for counts in self._counts.values():
            counts.pop(number, None)


def sources_of(program: Program) -> dict[str, Source]:
    """The texts that a flow was made of, by their names."""
    flow = program.flow
    if not isinstance(flow, Flow):
        return {}
    found = {step.at.span.source.name: step.at.span.source for step in steps_of(flow)}
    return {**found, flow.source.name: flow.source}


def anchored(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> Diagnostic:
    """A diagnostic from another process, in the texts of this one where they are the same."""

    def here(span: Span) -> Span:
        source = sources.get(span.source.name)
        return replace(span, source=source) if source is not None and source.text == span.source.text else span

    labels = tuple(replace(label, span=here(label.span)) for label in diagnostic.labels)
    return replace(diagnostic, span=here(diagnostic.span), labels=labels)
