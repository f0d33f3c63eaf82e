"""Turns flows that need one owner, and workers that are there, into who owns what."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field

from flowrunner.records import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Flows that need the same owner, since they share values. `load` says how much of the work they are.

    One that `can_wait` stays with an owner that is away for a moment: its broker keeps for it what comes.
    """

    flows: tuple[str, ...]
    load: float = 1.0
    can_wait: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """The workers that can own something, and those of which nobody knows yet whether they come back."""

    there: frozenset[int]
    away: frozenset[int] = field(default_factory=frozenset)


def units_of(names: Iterable[str], links: Iterable[Collection[str]]) -> tuple[Unit, ...]:
    """Flows by name, together with those that they are linked to."""
    groups: dict[str, set[str]] = {name: {name} for name in names}
    for link in links:
        linked = [groups[name] for name in link if name in groups]
        whole = set[str]().union(*linked)
        groups |= dict.fromkeys(whole, whole)
    found = {min(group): tuple(sorted(group)) for group in groups.values()}
    return tuple(Unit(flows) for _, flows in sorted(found.items()))


def assign(units: Sequence[Unit], present: Present, before: Mapping[str, int]) -> dict[str, int]:
    """The owner of each flow. What has one that is there stays; the rest goes where least is to be done.

    Where nobody is there, flows stay with whom they had, and those that had nobody are left out.
    """
    owners: dict[str, int] = {}
    loads = dict.fromkeys(sorted(present.there | present.away), 0.0)
    moving: list[Unit] = []
    for unit in units:
        old = _heaviest(unit, before, present.there | (present.away if unit.can_wait else frozenset()))
        if old is None:
            moving.append(unit)
        else:
            owners |= dict.fromkeys(unit.flows, old)
            loads[old] += unit.load
    for unit in sorted(moving, key=lambda unit: (-unit.load, unit.flows)):
        new = min(present.there, key=lambda number: (loads[number], number), default=_heaviest(unit, before))
        if new is not None:
            owners |= dict.fromkeys(unit.flows, new)
            loads[new] = loads.get(new, 0.0) + unit.load
    return owners


def _heaviest(unit: Unit, before: Mapping[str, int], among: Collection[int] | None = None) -> int | None:
    """Who owned most of it, of these workers."""
    counts: dict[int, int] = {}
    for name in unit.flows:
        owner = before.get(name)
        if owner is not None and (among is None or owner in among):
            counts[owner] = counts.get(owner, 0) + 1
    return max(counts, key=lambda owner: (counts[owner], -owner), default=None)
