"""`filter`, `switch` and `fork`: steps with steps inside."""

import pytest

from tests.flow_host import message, read, refused, run, run_steps


def test_filter_keeps_or_drops() -> None:
    outcome = run_steps("- json\n- filter: payload > 1", 2, 1)
    assert (outcome.sent, outcome.errors) == ([("out", 2)], [])


def test_else_runs_for_what_is_not_kept_and_then_the_message_ends() -> None:
    steps = "- json\n- filter:\n    if: payload > 1\n    else:\n      - map: payload * 10\n      - publish: small"
    assert run_steps(steps, 2, 1).sent == [("out", 2), ("small", 10)]


def test_else_may_hold_all_kinds_of_steps() -> None:
    steps = """
    - json
    - filter:
        if: payload.get("ok")
        else:
          - fork:
              - [{publish: a}]
              - [{split: payload.l}, {publish: "item/${index}"}]
          - switch:
              - when: payload.l
                steps: [{stop: listed}]
          - publish: end
    """
    outcome = run_steps(steps, {"l": [1, 2]}, {"l": []}, {"ok": 1, "l": []})
    assert outcome.sent == [
        ("a", {"l": [1, 2]}),
        ("item/0", 1),
        ("item/1", 2),
        ("a", {"l": []}),
        ("end", {"l": []}),
        ("out", {"ok": 1, "l": []}),
    ]
    assert outcome.stopped == ["listed"]


def test_first_case_that_is_true_is_taken_and_no_other() -> None:
    steps = """
    - json
    - switch:
        - when: payload > 10
          steps: [{map: '"big"'}]
        - when: payload > 5
          steps: [{map: '"middle"'}]
        - when: payload / 0
          steps: [{stop: never}]
    """
    outcome = run_steps(steps, 11, 6, 1)
    assert [sent.payload for sent in outcome.published] == [b"big", b"middle"]
    assert outcome.error.code == "division-by-zero"


def test_message_that_no_case_takes_goes_on() -> None:
    assert run_steps("- json\n- switch:\n    - {when: payload > 5, steps: [stop]}", 1, 6).sent == [("out", 1)]


def test_else_takes_what_no_case_took() -> None:
    steps = (
        "- json\n- switch:\n    - {when: payload > 5, steps: [{map: 'payload + 1'}]}\n    - else: [{map: '-payload'}]"
    )
    assert run_steps(steps, 6, 1).sent == [("out", 7), ("out", -1)]


def test_all_cases_that_are_true_are_taken_each_on_what_the_one_before_left() -> None:
    steps = """
    - json
    - switch:
        match: all
        cases:
          - when: payload > 1
            steps: [{map: payload * 10}]
          - when: payload > 15
            steps: [{map: payload + 1}]
          - when: payload > 1000
            steps: [stop]
    """
    assert run_steps(steps, 1, 2).sent == [("out", 1), ("out", 21)]


def test_condition_of_a_later_case_knows_that_the_payload_may_be_bytes_now() -> None:
    steps = """
    - json
    - switch:
        match: all
        cases:
          - when: true
            steps: [{encode: json}]
          - when: payload == "x"
            steps: [stop]
    """
    error = run_steps(steps, '"x"').error
    assert (error.code, error.span.text) == ("bytes-payload", 'payload == "x"')


def test_what_a_case_changes_and_names_stays() -> None:
    steps = """
    - json
    - let: {level: low}
    - switch:
        - when: payload.t > 5
          steps: [{let: {level: high}}, {set: {seen: true}}]
    - set: {level: "${level}"}
    """
    assert run_steps(steps, {"t": 6}, {"t": 1}).sent == [
        ("out", {"t": 6, "seen": True, "level": "high"}),
        ("out", {"t": 1, "level": "low"}),
    ]


def test_name_that_only_some_ways_set_is_not_known_behind() -> None:
    text = """
    subscribe: in
    steps:
      - switch:
          - when: retain
            steps: [{let: {x: 1}}]
      - publish: out/${x}
    """
    assert refused(text).helps == ("`x` is not set on every way to this step",)


def test_name_that_all_ways_set_is_known_behind() -> None:
    steps = "- switch:\n    - {when: retain, steps: [{let: {x: 1}}]}\n    - else: [{let: {x: 2}}]\n- map: x"
    assert run_steps(steps, b"").sent == [("out", 2)]


def test_way_that_ends_does_not_count() -> None:
    steps = "- switch:\n    - {when: retain, steps: [stop]}\n    - else: [{let: {x: 2}}]\n- map: x"
    assert run_steps(steps, b"").sent == [("out", 2)]


def test_step_behind_a_switch_whose_ways_all_end_is_warned_of_and_the_flow_runs() -> None:
    text = """
    subscribe: in
    steps:
      - switch:
          - {when: retain, steps: [stop]}
          - else: [{publish: a}, stop]
      - publish: b
    """
    assert refused(text).code == "unreachable-step"
    assert run(read(text), message("in"), message("in", retain=True)).sent == [("a", None)]


def test_more_cases_than_anybody_writes() -> None:
    cases = "".join(f"    - {{when: payload == {number}, steps: [{{map: payload * 2}}]}}\n" for number in range(150))
    outcome = run_steps(f"- json\n- switch:\n{cases}", *range(150))
    assert [value for _, value in outcome.sent] == [number * 2 for number in range(150)]


def test_branches_of_a_fork_work_on_copies_in_their_order() -> None:
    steps = """
    - json
    - let: {n: 0}
    - fork:
        - - set: {a: 1}
          - let: {n: 1}
          - publish: "first/${n}"
        - - publish: "second/${n}"
        - - stop: third
    - set: {n: "${n}"}
    """
    outcome = run_steps(steps, {"x": 0})
    assert outcome.sent == [("first/1", {"x": 0, "a": 1}), ("second/0", {"x": 0}), ("out", {"x": 0, "n": 0})]
    assert outcome.stopped == ["third"]


def test_branch_that_fails_or_drops_does_not_concern_the_others() -> None:
    steps = "- json\n- fork:\n    - [{map: 1 / 0}, {publish: a}]\n    - [{filter: 'false'}]\n    - [{publish: c}]"
    outcome = run_steps(steps, 5)
    assert outcome.sent == [("c", 5), ("out", 5)]
    assert outcome.error.code == "division-by-zero"


def test_names_set_in_a_branch_are_not_known_behind_the_fork() -> None:
    found = refused("subscribe: in\nsteps:\n  - fork:\n      - [{let: {x: 1}}]\n  - publish: out/${x}\n")
    assert found.message == "there is no name `x` here"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("fork: []", "`fork` must be a list of step lists"),
        ("fork: [{publish: a}]", "`fork` must be a list of step lists"),
        ("switch: []", "`switch` must be a list of cases: `- when: ...` with `steps:`"),
        ("switch: [{when: true}]", "a case needs `steps`"),
        ("switch: [{steps: [json]}]", "a case needs `when`"),
        ("switch: [{else: [json]}, {when: true, steps: [json]}]", "`else` must be the last case"),
        ("switch: [{when: true, else: [json]}]", "`else` stands alone: it has no `when` and no `steps`"),
        ("switch: [{when: true, do: [json]}]", "a case of `switch` has no key `do`"),
        ("switch: {match: all, cases: [{else: [json]}]}", "`else` has no meaning where every case is tried"),
        ("filter: {else: [json]}", "`filter` needs `if`"),
        ("filter: {if: true, else: json}", "`else` of `filter` must be a list of steps"),
    ],
)
def test_wrong_form_is_refused(step: str, message: str) -> None:
    assert refused(f"subscribe: in\nsteps:\n  - {step}\n").message == message


def test_mistake_inside_a_branch_is_reported_and_not_its_consequences() -> None:
    text = """
    subscribe: in
    steps:
      - switch:
          - when: retain
            steps: [{lett: {x: 1}}]
          - else: [{let: {x: 2}}]
      - publish: out/${x}
    """
    assert refused(text).message == "there is no step `lett`"
