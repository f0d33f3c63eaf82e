from typing import Any

import pytest

from tests.flow_host import refused, run, run_steps


def test_names_are_known_in_every_step_behind() -> None:
    steps = """
    - json
    - let: {watts: "${payload.v * payload.a}", unit: W, list: [1, "${payload.v}"]}
    """.replace("list:", "both:")
    outcome = run_steps(steps + "\n    - map: '[watts, unit, both]'", {"v": 230, "a": 2})
    assert outcome.sent == [("out", [460, "W", [1, 230]])]


def test_let_may_be_set_again_and_reads_what_it_was() -> None:
    steps = "- let: {n: 1}\n- let: {n: '${n + 1}'}\n- let: {n: '${n + 1}', m: '${n}'}\n- map: '[n, m]'"
    assert run_steps(steps, b"").sent == [("out", [3, 2])]


def test_siblings_do_not_see_each_other() -> None:
    found = refused("subscribe: in\nsteps:\n  - let: {a: 1, b: '${a + 1}'}\n  - publish: out/${b}\n")
    assert found.message == "`a` is set in this very `let`, and known only after it"
    assert found.helps == ("use two `let` steps, one after the other",)


def test_let_of_several_names_is_all_or_nothing() -> None:
    steps = "- json\n- let: {a: 1, b: 1}\n- let: {a: 2, b: '${payload.nothing}'}\n  on_error: continue\n- map: '[a, b]'"
    assert run_steps(steps, {}).sent == [("out", [1, 1])]


@pytest.mark.parametrize("name", ["payload", "topic", "len", "now", "error", "'null'", "if", "class", "None", "flow"])
def test_word_with_a_meaning_is_no_name(name: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - let: {{{name}: 1}}\n")
    assert (found.code, found.span.text) == ("reserved-name", name)


@pytest.mark.parametrize(
    ("name", "near"), [("room-1", "room_1"), ("_x", "x"), ("1st", "x_1st"), ("a b", "a_b"), ("ä", "x_ä")]
)
def test_what_is_no_name_is_refused_with_one_that_is(name: str, near: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - let: {{{name}: 1}}\n")
    assert found.code == "bad-name"
    assert "ä" in name or found.helps == (f"write `{near}`",)


def test_constant_cannot_be_set() -> None:
    found = refused("subscribe: in\nvars: {limit: 5}\nsteps:\n  - let: {limit: 6}\n")
    assert (found.code, found.message) == ("reserved-name", "`limit` is a constant of `vars` and cannot be set")


def test_level_of_the_topic_may_be_set_anew() -> None:
    text = "subscribe: in/+room\nsteps:\n  - let: {room: '${room.upper()}'}\n  - publish: out/${room}\n"
    assert run(text, ("in/attic", b"1")).sent == [("out/ATTIC", 1)]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("payload.a", 1),
        ("'[payload.a, topic]'", [1, "in"]),
        ("5", 5),
        ("'\"text\"'", "text"),
        ("'null'", None),
        ("{x: '${payload.a}', y: text, z: {n: [1, '${payload.b}']}}", {"x": 1, "y": "text", "z": {"n": [1, None]}}),
        ("{}", {}),
        ("'{\"x\": payload.a}'", {"x": 1}),
        ("'[p for p in payload]'", ["a", "b"]),
    ],
)
def test_map_replaces_the_payload(body: str, value: Any) -> None:
    outcome = run_steps(f"- json\n- map: {body}\n- map: '[payload]'", {"a": 1, "b": None})
    assert outcome.sent == [("out", [value])]


def test_map_takes_no_list_without_quotes() -> None:
    found = refused("subscribe: in\nsteps:\n  - json\n  - map: [1, 2]\n")
    assert found.code == "wrong-value"


def test_map_that_is_constant_is_never_changed_by_a_later_step() -> None:
    steps = "- json\n- map: {a: {b: 1}}\n- set: {a.b: '${payload.a.b + 1}'}"
    assert [value for _, value in run_steps(steps, {}, {}).sent] == [{"a": {"b": 2}}, {"a": {"b": 2}}]
