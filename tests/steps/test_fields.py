"""`set`, `pick`, `remove` and `rename`: steps that change fields, and never the map that somebody else still sees."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.fields import find_field, get_field, missing_field, remove_field, set_field
from flowrunner.steps.pick import pick_fields
from flowrunner.steps.remove import remove_fields
from flowrunner.steps.rename import rename_fields
from tests.flow_host import refused, run_steps

names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
maps = st.recursive(
    st.integers(0, 3) | st.none(), lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8
).filter(lambda value: isinstance(value, dict))


@given(maps, paths, st.integers())
def test_field_that_was_set_is_there_and_the_map_before_is_as_it_was(payload: Any, path: Any, value: int) -> None:
    before = deepcopy(payload)
    try:
        changed = set_field(payload, path, value)
    except StepError as error:
        assert error.code == "not-a-map"
    else:
        assert get_field(changed, path) == value
        assert {key for key in changed if key != path[0]} == {key for key in before if key != path[0]}
    assert payload == before


@given(maps, paths)
def test_field_that_was_removed_is_gone_and_the_map_before_is_as_it_was(payload: Any, path: Any) -> None:
    before = deepcopy(payload)
    changed = remove_field(payload, path)
    assert find_field(changed, path, "gone") == "gone"
    assert payload == before
    if find_field(before, path, "gone") == "gone":
        assert changed == before


@given(maps, st.lists(paths, min_size=1, max_size=3))
def test_picked_and_removed_fields_change_nothing_else(payload: Any, fields: Any) -> None:
    before = deepcopy(payload)
    picked, rest = pick_fields(payload, tuple(fields)), remove_fields(payload, tuple(fields))
    for path in fields:
        assert find_field(picked, path, "gone") == find_field(before, path, "gone")
        assert find_field(rest, path, "gone") == "gone"
    assert payload == before


@given(maps, st.permutations(["a", "b", "c"]))
def test_renaming_all_at_once_is_undone_by_the_way_back(payload: Any, order: list[str]) -> None:
    before = deepcopy(payload)
    there = tuple(((old,), (new,)) for old, new in zip("abc", order, strict=True))
    back = tuple((new, old) for old, new in there)
    assert rename_fields(rename_fields(payload, there), back) == before
    assert payload == before


@pytest.mark.parametrize(
    ("payload", "changed"),
    [
        ({}, {"a": {"b": 1}}),
        ({"a": None}, {"a": {"b": 1}}),
        ({"a": {}}, {"a": {"b": 1}}),
        ({"a": {"b": 0, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 2}, "d": 3}),
    ],
)
def test_set_makes_the_maps_that_are_missing_on_the_way(payload: Any, changed: Any) -> None:
    assert run_steps("- json\n- set: {a.b: 1}", payload).sent == [("out", changed)]


@pytest.mark.parametrize(("value", "kind"), [(5, "a number"), ("x", "a text"), ([1], "a list"), (False, "false")])
def test_set_never_replaces_what_is_no_map_on_the_way(value: Any, kind: str) -> None:
    error = run_steps("- json\n- set: {a.b: 1}", {"a": value}).error
    assert (error.code, error.message) == ("not-a-map", f"`a` is {kind}, not a map with fields")


@pytest.mark.parametrize("step", ["set: {a: 1}", "set: {a.b: 1}", "pick: [a]", "remove: [a]", "rename: {a: b}"])
@pytest.mark.parametrize(
    ("payload", "kind"), [("[1]", "a list"), ("5", "a number"), ("null", "null"), ('"x"', "a text")]
)
def test_payload_that_is_no_map_is_an_error(step: str, payload: str, kind: str) -> None:
    error = run_steps(f"- json\n- {step}", payload).error
    assert (error.code, error.message) == ("not-a-map", f"the payload is {kind}, not a map with fields")
    assert error.span.text == step.partition(":")[0]


@pytest.mark.parametrize("step", ["set: {a: 1}", "pick: [a]", "remove: [a]", "rename: {a: b}"])
def test_json_that_nobody_parsed_is_explained(step: str) -> None:
    assert run_steps(f"- {step}", {"a": 1}).error.helps == ("put `- json` before this step",)
    assert run_steps(f"- decode: utf-8\n- {step}", {"a": 1}).error.helps == ("put `- json` before this step",)


def test_set_computes_every_value_from_the_payload_as_it_came() -> None:
    steps = "- json\n- set: {a: '${payload.b}', b: '${payload.a}', c.d: '${payload.a}'}"
    assert run_steps(steps, {"a": 1, "b": 2}).sent == [("out", {"a": 2, "b": 1, "c": {"d": 1}})]
    assert run_steps("- json\n- set: {a: '${payload.b}', b: '${payload.a}'}", {"a": 1, "b": 2}).sent == [
        ("out", {"a": 2, "b": 1})
    ]


def test_set_keeps_the_type_of_a_value_and_writes_text_where_there_is_more() -> None:
    steps = "- json\n- set: {n: '${payload.n}', t: 'n=${payload.n}', l: ['${payload.n}', 1], m: {x: '${payload.n}'}}"
    assert run_steps(steps, {"n": 1.5}).sent == [("out", {"n": 1.5, "t": "n=1.5", "l": [1.5, 1], "m": {"x": 1.5}})]


def test_set_that_fails_leaves_the_message_as_it_was() -> None:
    steps = "- json\n- set: {a: 1, b: '${payload.nothing}'}\n  on_error: continue"
    assert run_steps(steps, {"z": 1}).sent == [("out", {"z": 1})]


def test_pick_keeps_what_is_there_in_the_order_of_the_step() -> None:
    (sent,) = run_steps("- json\n- pick: [c, a.b, nothing, a.x.y]", {"a": {"b": None, "d": 1}, "c": 2}).published
    assert sent.payload == b'{"c":2,"a":{"b":null}}'


def test_remove_and_rename_pass_over_what_is_not_there() -> None:
    assert run_steps("- json\n- remove: [x, a.x, a.b.c]", {"a": {"b": 1}}).sent == [("out", {"a": {"b": 1}})]
    assert run_steps("- json\n- rename: {x: y, a.x: z}", {"a": {"b": 1}}).sent == [("out", {"a": {"b": 1}})]


def test_rename_swaps_moves_in_and_moves_out() -> None:
    steps = "- json\n- rename: {a: b, b: a, in.x: x, y: in.y}"
    payload = {"a": 1, "b": 2, "in": {"x": 3}, "y": 4}
    assert run_steps(steps, payload).sent == [("out", {"b": 1, "a": 2, "in": {"y": 4}, "x": 3})]


def test_rename_over_a_field_that_is_there_replaces_it() -> None:
    assert run_steps("- json\n- rename: {a: b}", {"a": 1, "b": 2}).sent == [("out", {"b": 1})]


def test_rename_into_what_is_no_map_is_an_error() -> None:
    error = run_steps("- json\n- rename: {a: b.c}", {"a": 1, "b": 2}).error
    assert error.message == "`b` is a number, not a map with fields"


@pytest.mark.parametrize(
    "step", ["set: {payload.a: 1}", "pick: [payload.a]", "remove: [payload.a]", "rename: {payload.a: b}"]
)
def test_payload_before_a_field_is_refused(step: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - {step}\n")
    assert found.code == "wrong-value"
    assert found.helps == ("write `a`",)
    assert found.span.text == "payload.a"


@pytest.mark.parametrize("name", ["a..b", ".a", "a.", '""', "."])
def test_empty_part_of_a_name_is_refused(name: str) -> None:
    for step in (f"set: {{{name}: 1}}", f"remove: [{name}]", f"rename: {{a: {name}}}"):
        found = refused(f"subscribe: in\nsteps:\n  - json\n  - {step}\n")
        assert found.code == "wrong-value"
        assert "the name of a field" in found.message


@pytest.mark.parametrize(
    ("step", "help"), [("pick: a", "[name]"), ("remove: a", "[name]"), ("set: a", ""), ("rename: [a]", "")]
)
def test_other_form_is_refused(step: str, help: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - {step}\n")
    assert found.code == "wrong-value"
    assert help in "".join(found.helps)


def test_hostile_map_costs_one_short_error() -> None:
    payload = {f"{'x' * 1000}{number}": number for number in range(2000)} | {"temperature": 1}
    error = run_steps("- json\n- convert: {tmperature: int}", payload).error
    assert error.code == "missing-field"
    assert sum(len(help) for help in error.helps) < 1000


def test_error_of_a_missing_field_names_the_map_it_is_missing_in() -> None:
    error = missing_field(("a", "b", "c"), {"x": 1})
    assert error.message == "`a.b` has no field `c`"
    assert error.help == "`a.b` has `x`"
    assert missing_field(("a",), {}).help == "the payload is an empty map"
