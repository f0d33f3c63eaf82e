from typing import Any

import pytest

from tests.flow_host import refused, run, run_steps


def test_each_item_is_a_message_that_knows_its_number() -> None:
    outcome = run_steps("- json\n- split: payload\n- map: '[payload, index, count]'", ["a", {"b": 1}, None])
    assert outcome.sent == [("out", ["a", 0, 3]), ("out", [{"b": 1}, 1, 3]), ("out", [None, 2, 3])]


def test_map_gives_its_values() -> None:
    assert run_steps("- json\n- split: payload", {"x": 1, "y": [2]}).sent == [("out", 1), ("out", [2])]


def test_pairs_of_a_map_are_items_too() -> None:
    outcome = run_steps("- json\n- split: payload.items()\n- split: payload\n- map: '[payload, index]'", {"x": 1})
    assert outcome.sent == [("out", ["x", 0]), ("out", [1, 1])]


@pytest.mark.parametrize("empty", [[], {}])
def test_nothing_comes_of_an_empty_list(empty: Any) -> None:
    outcome = run_steps("- json\n- split: payload", empty)
    assert (outcome.sent, outcome.errors) == ([], [])


@pytest.mark.parametrize(
    ("payload", "kind", "help"),
    [
        ("5", "a number", ()),
        ("null", "null", ()),
        ('"ab"', "a text", ("put `- json` before this step",)),
        ("true", "true", ()),
    ],
)
def test_what_is_no_list_is_an_error_at_the_step(payload: str, kind: str, help: tuple[str, ...]) -> None:
    error = run_steps("- json\n- split: payload", payload).error
    assert (error.code, error.message) == ("not-a-list", f"only a list can be split, this is {kind}")
    assert error.helps == help
    assert error.span.text == "split"


def test_missing_list_is_an_error_at_the_expression() -> None:
    error = run_steps("- json\n- split: payload.readings", {"reading": [1]}).error
    assert (error.code, error.span.text) == ("missing-field", "payload.readings")


def test_bytes_are_refused_or_fail() -> None:
    error = run_steps("- split: payload", [1]).error
    assert error.message == "only a list can be split, this is still bytes"


def test_split_inside_of_split_counts_from_the_start() -> None:
    steps = """
    - json
    - split: payload
    - let: {outer: "${index}"}
    - split: payload
    - map: "[outer, index, count, payload]"
    """
    outcome = run_steps(steps, [["a", "b"], [], ["c"]])
    assert [value for _, value in outcome.sent] == [[0, 0, 2, "a"], [0, 1, 2, "b"], [2, 0, 1, "c"]]


def test_item_that_fails_does_not_concern_the_others() -> None:
    outcome = run_steps("- json\n- split: payload\n- map: 1 / payload", [1, 0, 2])
    assert outcome.sent == [("out", 1), ("out", 0.5)]
    assert outcome.error.code == "division-by-zero"


def test_item_that_is_dropped_does_not_concern_the_others() -> None:
    assert run_steps("- json\n- split: payload\n- filter: payload > 1", [1, 2, 0, 3]).sent == [("out", 2), ("out", 3)]


def test_names_from_before_are_known_behind() -> None:
    text = """
    subscribe: in/+room
    vars: {unit: C}
    steps:
      - json
      - let: {size: "${len(payload)}"}
      - split: payload
      - publish: out/${room}/${size}/${unit}/${index}/${topic}/${qos}
    """
    assert [topic for topic, _ in run(text, ("in/attic", [1])).sent] == ["out/attic/1/C/0/in/attic/0"]


def test_split_in_a_case_goes_on_behind_the_switch() -> None:
    steps = """
    - json
    - switch:
        - when: payload.get("items")
          steps: [{split: payload.items}]
        - else:
            - map: payload.item
    - publish: behind
    """
    outcome = run_steps(steps, {"items": [1, 2]}, {"item": 3})
    assert outcome.sent == [("behind", 1), ("out", 1), ("behind", 2), ("out", 2), ("behind", 3), ("out", 3)]


def test_split_in_a_case_of_all_meets_the_cases_behind_it_once_per_item() -> None:
    steps = """
    - json
    - switch:
        match: all
        cases:
          - when: true
            steps: [{split: payload}]
          - when: payload > 1
            steps: [{map: payload * 10}]
    """
    assert [value for _, value in run_steps(steps, [1, 2]).sent] == [1, 20]


def test_split_with_a_condition_passes_the_others_on_once() -> None:
    outcome = run_steps("- json\n- split: payload\n  when: len(payload) > 1", [1, 2], [3])
    assert outcome.sent == [("out", 1), ("out", 2), ("out", [3])]


def test_split_in_a_branch_of_a_fork_concerns_that_branch() -> None:
    steps = "- json\n- fork:\n    - [{split: payload}, {publish: item}]\n    - [{publish: whole}]"
    assert run_steps(steps, [1, 2]).sent == [("item", 1), ("item", 2), ("whole", [1, 2]), ("out", [1, 2])]


def test_split_at_the_end_of_a_flow_does_nothing() -> None:
    assert run("subscribe: in\nsteps:\n  - json\n  - split: payload\n", ("in", [1, 2])).sent == []


def test_many_items_do_not_nest() -> None:
    outcome = run_steps("- json\n- split: payload\n- split: '[payload, payload]'", list(range(5000)))
    assert len(outcome.published) == 10_000


def test_index_is_not_known_before_and_not_on_every_way() -> None:
    found = refused("subscribe: in\nsteps:\n  - json\n  - publish: out/${index}\n  - split: payload\n")
    assert found.message == "there is no name `index` here"
    found = refused("subscribe: in\nsteps:\n  - json\n  - split: payload\n    when: qos\n  - publish: out/${index}\n")
    assert found.helps == ("`index` is not set where `when` is false",)


@pytest.mark.parametrize("name", ["index", "count"])
def test_constant_of_the_same_name_is_refused(name: str) -> None:
    found = refused(f"subscribe: in\nvars: {{{name}: 1}}\nsteps:\n  - json\n  - split: payload\n  - publish: out\n")
    assert found.code == "reserved-name"
