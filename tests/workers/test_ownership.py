from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.workers.ownership import Present, Unit, assign, units_of

NAMES = [f"flow-{number}" for number in range(8)]
WORKERS = st.frozensets(st.integers(1, 4))


@st.composite
def all_units(draw: st.DrawFn) -> tuple[Unit, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    links = draw(st.lists(st.sets(st.sampled_from(NAMES), max_size=3), max_size=3))
    units = units_of(names, links)
    waits = draw(st.lists(st.booleans(), min_size=len(units), max_size=len(units)))
    return tuple(Unit(unit.flows, can_wait=wait) for unit, wait in zip(units, waits, strict=True))


OWNERS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 4))


@given(names=st.sets(st.sampled_from(NAMES)), links=st.lists(st.sets(st.sampled_from(NAMES), max_size=3), max_size=4))
def test_linked_flows_are_one_unit_and_each_flow_is_in_one(names: set[str], links: list[set[str]]) -> None:
    units = units_of(names, links)
    assert sorted(name for unit in units for name in unit.flows) == sorted(names)
    at = {name: number for number, unit in enumerate(units) for name in unit.flows}
    for link in links:
        assert len({at[name] for name in link & names}) <= 1


@given(units=all_units(), there=WORKERS, away=WORKERS, before=OWNERS)
def test_a_unit_has_one_owner_who_is_there_or_is_waited_for(
    units: tuple[Unit, ...], there: frozenset[int], away: frozenset[int], before: Mapping[str, int]
) -> None:
    owners = assign(units, Present(there, away - there), before)
    for unit in units:
        found = {owners.get(name) for name in unit.flows}
        assert len(found) == 1
        (owner,) = found
        if there:
            assert owner in there or (unit.can_wait and owner in away and owner in map(before.get, unit.flows))
        else:
            assert owner is None or owner in map(before.get, unit.flows)
    assert owners.keys() <= {name for unit in units for name in unit.flows}


@given(units=all_units(), there=WORKERS, before=OWNERS)
def test_only_what_must_move_moves(units: tuple[Unit, ...], there: frozenset[int], before: Mapping[str, int]) -> None:
    owners = assign(units, Present(there), before)
    for unit in units:
        old = {before.get(name) for name in unit.flows}
        if len(old) == 1 and old <= there:
            assert {owners[name] for name in unit.flows} == old
    assert assign(units, Present(there), owners) == owners


@given(units=all_units(), there=st.frozensets(st.integers(1, 4), min_size=1))
def test_new_units_are_spread_evenly(units: tuple[Unit, ...], there: frozenset[int]) -> None:
    owners = assign(units, Present(there), {})
    counts = [sum(owners[unit.flows[0]] == number for unit in units) for number in there]
    assert max(counts) - min(counts) <= 1


def test_the_busiest_go_where_least_is_done() -> None:
    units = [Unit(("a",), 5.0), Unit(("b",), 1.0), Unit(("c",), 1.0), Unit(("d",), 1.0)]
    owners = assign(units, Present(frozenset({1, 2})), {})
    assert {owners[name] for name in "bcd"} != {owners["a"]}
    assert [owners[name] for name in "bcd"].count(owners["a"]) == 0


def test_a_unit_whose_members_had_several_owners_stays_with_one_who_is_there() -> None:
    unit = Unit(("a", "b", "c"))
    assert assign([unit], Present(frozenset({2})), {"a": 1, "b": 1, "c": 2}) == {"a": 2, "b": 2, "c": 2}
    assert assign([unit], Present(frozenset({1, 2})), {"a": 1, "b": 1, "c": 2}) == {"a": 1, "b": 1, "c": 1}
