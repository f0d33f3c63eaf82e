"""Turns counters into rates, twice a second: per flow, per step, per connection."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from flowrunner.read.flow import Flow
from flowrunner.run.overview import MOST_ERRORS, show_connection, tallies_of
from flowrunner.run.shown import Connected, ShownFlow, Shows, Tallies
from flowrunner.web.cards import show_diagnostic
from flowrunner.web.picture import step_at
from flowrunner.web.sight import Sight

#: Seconds between two looks, and looks over which a rate is taken.
TICK = 0.5
_WINDOW = 10

Numbers = dict[str, Any]


class Rate:
    """How often something happened a second, over the last looks."""

    __slots__ = ("last", "points")

    def __init__(self) -> None:
        self.points: deque[tuple[float, float]] = deque(maxlen=_WINDOW + 1)
        self.last = 0.0

    def add(self, now: float, total: float) -> float:
        """Take the total of now; returns the rate. A total that shrinks begins anew."""
        if self.points and total < self.points[-1][1]:
            self.points.clear()
        self.points.append((now, total))
        (begin, first), (end, last) = self.points[0], self.points[-1]
        self.last = (last - first) / (end - begin) if end > begin else 0.0
        return self.last


class _Steps:
    """The totals of the steps of a tapped flow, scaled to all messages where only some were looked at."""

    def __init__(self, sight: Sight, received: int) -> None:
        self.sight = sight
        self.received, self.entered = received, sight.entered
        self.before: dict[str, list[int]] = {}
        self.totals: dict[str, list[float]] = {}
        self.rates: dict[str, tuple[Rate, Rate]] = {}
        self.is_scaled = False

    def look(self, now: float, received: int) -> dict[str, list[float]]:
        """For each step that met messages: rates in and out, totals in, out and skipped."""
        sight = self.sight
        came, entered = received - self.received, sight.entered - self.entered
        self.received, self.entered = received, sight.entered
        scale = came / entered if entered and came > entered else 1.0
        self.is_scaled = scale > 1.0
        found: dict[str, list[float]] = {}
        for name, counts in sight.counts.items():
            before, totals = self.before.get(name, [0, 0, 0]), self.totals.setdefault(name, [0.0, 0.0, 0.0])
            factor = 1.0 if counts.is_exact else scale
            for index in range(3):
                totals[index] += (counts.seen[index] - before[index]) * factor
            self.before[name] = list(counts.seen)
            into, out = self.rates.setdefault(name, (Rate(), Rate()))
            rates = [into.add(now, totals[0]), out.add(now, totals[1])]
            if any(totals):
                found[name] = [*(round(rate, 2) for rate in rates), *map(round, totals)]
        sight.tick()
        return found


class Figures:
    """The numbers of a runner. `look` takes them; where nobody looks, nothing is done."""

    def __init__(self, runs: Shows) -> None:
        self._runs = runs
        self._rates: dict[str, Rate] = {}
        self._steps: dict[str, _Steps] = {}

    def look(self, sights: Mapping[str, Sight]) -> Numbers:
        """The numbers of now; those of steps only for the flows that somebody sees."""
        clock, flows = self._runs.clock, self._runs.flows
        now = clock.time()
        names = {f"flow {name}" for name in flows}
        self._rates = {
            name: rate for name, rate in self._rates.items() if name in names or not name.startswith("flow ")
        }
        self._steps = {name: steps for name, steps in self._steps.items() if sights.get(name) is steps.sight}
        return {
            "time": clock.now(),
            "flows": {name: self._flow(live, now, sights.get(name)) for name, live in flows.items()},
            "connections": [self._connection(name, one, now) for name, one in self._runs.connections.items()],
            "workers": [
                {"number": one.number, "is_there": one.process != 0, "restarts": one.restarts}
                for one in self._runs.workers
            ],
        }

    def _flow(self, live: ShownFlow, now: float, sight: Sight | None) -> Numbers:
        received = live.received
        found: Numbers = {"received": received, "rate": self._rate(f"flow {live.name}", now, received)}
        found |= {name: value for name in ("dropped", "handled") if (value := getattr(live, name))}
        if live.stopped:
            found["stopped"] = dict(list(live.stopped.items())[:MOST_ERRORS])
        if sight is not None:
            steps = self._steps.setdefault(live.name, _Steps(sight, received))
            found["steps"] = steps.look(now, received)
            found["scaled"] = steps.is_scaled
            found["states"] = live.show_states(self._runs.clock)
        if live.dropped:
            found["errors"] = show_errors(live, self._runs.failures)
        return found

    def _rate(self, name: str, now: float, total: float) -> float:
        return round(self._rates.setdefault(name, Rate()).add(now, total), 2)

    def _connection(self, name: str, one: Connected, now: float) -> Numbers:
        return show_connection(name, one, lambda name, total: self._rate(name, now, total))


def show_errors(live: ShownFlow, failures: Tallies) -> list[Numbers]:
    """What failed in a flow, the latest first, with the step where it did."""
    flow = live.program.flow
    shown = []
    for tally in tallies_of(live, failures):
        span = tally.diagnostic.span
        step = step_at(flow, span.source.name, span.line) if isinstance(flow, Flow) else ""
        shown.append({"step": step, "count": tally.count, "last": tally.last, **show_diagnostic(tally.diagnostic)})
    return shown
