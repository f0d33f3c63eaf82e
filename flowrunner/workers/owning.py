"""Turns the flows that are to run, and the workers that are there, into who owns what, and says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from flowrunner.compile.owners import owner_reasons, ties_of
from flowrunner.read.flow import Flow
from flowrunner.run.reload_report import few
from flowrunner.run.report import Report
from flowrunner.run.sharing import WholeFlows, spoken_whole
from flowrunner.workers.once import Once
from flowrunner.workers.ownership import Present, Unit, assign, units_of

_MOST_NAMES = 8


class Owning:
    """Which flows need one owner among the workers, and which worker that is.

    `take` says which flows there are, `assign` which workers.
    """

    def __init__(self, report: Report) -> None:
        self.owners: Mapping[str, int] = {}
        self.alone: frozenset[str] = frozenset()
        self._report = report
        self._whole = WholeFlows(report)
        self._units: tuple[Unit, ...] = ()
        self._reasons = Once(owner_reasons)

    @property
    def owned(self) -> Mapping[int, Sequence[str]]:
        """The flows that each worker owns, by its number."""
        found: dict[int, list[str]] = {}
        for name, owner in self.owners.items():
            found.setdefault(owner, []).append(name)
        return found

    def take(self, flows: Mapping[str, Flow], group: str, is_kept: Callable[[Flow], bool]) -> None:
        """Find out which of these flows need one owner, and which of them the same one.

        `group` is that of several machines, empty if there is none; `is_kept` says whether a broker keeps for a flow
        what comes while its owner is away.
        """
        reasons = {name: self._reasons.of(flow) for name, flow in flows.items()}
        self._reasons.keep(flows.values())
        alone = {name: flow for name, flow in flows.items() if reasons[name]}
        words = spoken_whole(group, [(flow, reasons[name]) for name, flow in alone.items()]) if group else ""
        self._whole.say(words, list(alone.values()))
        ties: dict[str, list[str]] = {}
        for name, flow in alone.items():
            for tie in ties_of(flow):
                ties.setdefault(tie, []).append(name)
        units = units_of(alone, ties.values())
        self._units = tuple(replace(unit, can_wait=any(is_kept(flows[name]) for name in unit.flows)) for unit in units)
        self.alone = frozenset(alone)

    def assign(self, present: Present) -> None:
        """Give each an owner of those that are there."""
        self.owners = assign(self._units, present, self.owners)

    def elsewhere(self, number: int) -> frozenset[str]:
        """The flows that a worker leaves alone, since others own them, or nobody."""
        return frozenset(name for name in self.alone if self.owners.get(name) != number)

    def say(self, flows: Mapping[str, Flow], workers: int) -> None:
        """Say who runs what."""
        shared = sorted(name for name in flows if name not in self.owners)
        owners = dict(sorted(self.owners.items()))
        reasons = {name: self._reasons.of(flows[name])[0] if name in flows else "" for name in owners}
        parts = [f"{workers} workers"]
        if shared:
            parts.append(f"shared: {few(shared, _MOST_NAMES)}")
        if owners:
            named = [f"{name} ({reasons[name]}) on {owner}" for name, owner in owners.items()]
            parts.append(f"one owner each: {few(named, _MOST_NAMES)}")
        self._report.say("workers", "; ".join(parts), workers=workers, shared=shared, owners=owners)
