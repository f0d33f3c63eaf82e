"""Turns what workers tell of a flow into one flow: counts are added up, and so is what its steps remember."""

from collections.abc import Collection, Mapping
from dataclasses import field
from heapq import nsmallest
from typing import Any

from flowrunner.clock import Clock
from flowrunner.records import dataclass
from flowrunner.run.live import Program
from flowrunner.run.shown import Shown
from flowrunner.workers.glance import FlowGlance
from flowrunner.workers.sums import Line, Sum

#: Times that are shown of a step, the nearest ones.
_MOST_TIMES = 3


@dataclass(slots=True)
class FlowSum:
    """What workers count of one flow, and what its steps remember, by worker."""

    counts: Sum = field(default_factory=Sum)
    stopped: Sum = field(default_factory=Sum)
    states: dict[int, dict[str, Shown]] = field(default_factory=dict)

    def take(self, line: Line, glance: FlowGlance) -> None:
        """Take what a worker counted."""
        counts = {"received": glance.received, "dropped": glance.dropped, "handled": glance.handled}
        self.counts.take(line, counts)
        self.stopped.take(line, glance.stopped)

    def end(self, lines: Collection[Line]) -> None:
        """Some count no more."""
        self.counts.end(lines)
        self.stopped.end(lines)


class FleetFlow:
    """A flow that runs in one worker or in several; see `LiveFlow`."""

    def __init__(self, program: Program, since: float, kept: FlowSum) -> None:
        self.name = program.flow.name
        self.program = program
        self.since = since
        self._kept = kept

    def __repr__(self) -> str:
        return f"FleetFlow({self.name!r})"

    @property
    def received(self) -> int:
        """Messages that came in."""
        return self._kept.counts.of("received")

    @property
    def dropped(self) -> int:
        """Messages dropped by a failing step."""
        return self._kept.counts.of("dropped")

    @property
    def handled(self) -> int:
        """Failures that `on_error` took care of."""
        return self._kept.counts.of("handled")

    @property
    def stopped(self) -> Mapping[str, int]:
        """Messages ended by `stop`, by reason."""
        return self._kept.stopped.all()

    def show_states(self, clock: Clock) -> dict[str, Shown]:  # noqa: ARG002 - the workers have asked theirs
        """What each step remembers, in all workers together."""
        return add_states(self._kept.states.values())


def add_states(found: Collection[dict[str, Shown]]) -> dict[str, Shown]:
    """What the steps of a flow remember in several workers together."""
    if len(found) <= 1:
        return dict(next(iter(found), {}))
    added: dict[str, Shown] = {}
    for states in found:
        for name, state in states.items():
            added[name] = _both(added[name], state) if name in added else state
    return added


def _both(one: Shown, other: Shown) -> Shown:
    if "is_common" in one or "is_common" in other:
        return _common(one, other)
    counts = {name: one.get(name, 0) + other.get(name, 0) for name in [*one, *other] if name != "due"}
    due: list[Any] = nsmallest(_MOST_TIMES, [*one.get("due", ()), *other.get("due", ())], key=lambda time: time["in"])
    return {**counts, **({"due": due} if due else {})}


def _common(one: Shown, other: Shown) -> Shown:
    """What a step remembers in Redis is the same in every worker; what waits for it, and what each let go, is not."""
    names = [name for name in ("waiting", "evicted") if name in one or name in other]
    added: Shown = {name: one.get(name, 0) + other.get(name, 0) for name in names}
    return {**other, **one, **added}
