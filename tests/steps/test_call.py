"""`call`: the steps of another flow, taken in."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.read.flow import Flow
from flowrunner.read.load import Loaded, load
from tests.flow_host import FlowHost, diagnose, read, run, run_cases


def flows_of(text: str) -> dict[str, Flow]:
    flows, found = diagnose(text)
    assert found == [], render(found)
    return {flow.name: flow for flow in flows}


def caller(steps: str, called: str, **keys: str) -> FlowHost:
    """A flow with these steps, beside one that is called `other`."""
    text = "flows:\n  main:\n    subscribe: in/+room\n"
    text += "".join(f"    {key}: {value}\n" for key, value in keys.items())
    text += "    steps:\n" + indented(steps) + "  other:\n" + indented(called, 4)
    return FlowHost(flows_of(text)["main"])


def indented(text: str, blanks: int = 6) -> str:
    return "".join(f"{' ' * blanks}{line}\n" for line in dedent(text).strip("\n").split("\n"))


def test_changes_stay_and_what_is_dropped_is_dropped() -> None:
    host = caller(
        """
        - json
        - call: other
        - publish: out/${room}
        """,
        """
        steps:
          - filter: payload.t > 20
          - set: {level: warm}
        """,
    )
    host.get("in/a", {"t": 10})
    host.get("in/b", {"t": 30})
    assert host.outcome.sent == [("out/b", {"t": 30, "level": "warm"})]


def test_names_do_not_meet() -> None:
    host = caller(
        """
        - json
        - let: {x: "${payload.x}", only_here: 5}
        - call: {flow: other, with: {x: "${x + 1}", y: "${only_here}", room: hall}}
        - publish: {topic: "out/${room}", payload: ["${x}", "${only_here}", "${payload}", "${site}", "${limit}"]}
        """,
        """
        vars: {limit: 7, z: 9}
        steps:
          - let: {only_here: inside, here_too: "${x}"}
          - set: {seen: "${[x, y, room, limit, z, only_here, here_too, flow]}"}
          - let: {x: changed}
        """,
        vars="{site: graz, limit: 1}",
    )
    host.get("in/attic", {"x": 1})
    seen = [2, 5, "hall", 7, 9, "inside", 2, "main"]
    assert host.outcome.sent == [("out/attic", [1, 5, {"x": 1, "seen": seen}, "graz", 1])]


def test_with_stands_in_for_constants() -> None:
    host = caller(
        """
        - json
        - call: {flow: other, with: {limit: "${payload}"}}
        - call: other
        """,
        """
        vars: {limit: 3}
        steps:
          - publish: {topic: out, payload: "${limit}"}
        """,
    )
    host.get("in/a", 9)
    assert host.outcome.sent == [("out", 9), ("out", 3)]


@pytest.mark.parametrize("then", ["", "- publish: {topic: late, payload: ['${x}', '${room}', '${payload}']}"])
def test_a_message_that_is_held_goes_on_in_the_caller(then: str) -> None:
    host = caller(
        f"""
        - json
        - let: {{x: "${{payload + 1}}"}}
        - call: {{flow: other, with: {{x: "${{x * 10}}"}}}}
        {then}
        """,
        """
        steps:
          - delay: 5s
          - publish: {topic: inside, payload: "${x}"}
          - map: payload * 100
        """,
    )
    host.get("in/a", 1)
    host.get("in/b", 2)
    assert host.outcome.sent == []
    host.after(5)
    late = [("late", [2, "a", 100]), ("late", [3, "b", 200])] if then else []
    expected = [("inside", 20), *late[:1], ("inside", 30), *late[1:]]
    assert host.outcome.sent == expected


def test_a_split_inside_makes_several_messages_behind() -> None:
    host = caller(
        """
        - json
        - call: other
        - publish: out/${room}
        """,
        """
        steps:
          - split: payload
          - filter: payload != 2
        """,
    )
    host.get("in/a", [1, 2, 3])
    assert host.outcome.sent == [("out/a", 1), ("out/a", 3)]


def test_calls_in_calls() -> None:
    flows = flows_of("""
        flows:
          main:
            subscribe: in/+room
            steps:
              - json
              - let: {a: 1}
              - call: {flow: one, with: {n: "${a + 1}"}}
              - publish: {topic: "out/${room}", payload: "${[a, payload]}"}
          one:
            vars: {v: of one}
            steps:
              - let: {a: "${n * 10}"}
              - call: {flow: two, with: {n: "${a + 1}"}}
              - map: payload + [a, n, v]
              - call: {flow: two, with: {n: "${a + 2}"}}
              - map: payload + [a, n, v]
          two:
            vars: {v: of two}
            steps:
              - debounce: 1s
              - map: payload + [n, v]
    """)
    host = FlowHost(flows["main"])
    host.get("in/x", [0])
    host.after(2)
    inside = [0, 21, "of two", 20, 2, "of one", 22, "of two", 20, 2, "of one"]
    assert host.outcome.sent == [("out/x", [1, inside])]
    assert flows["main"].calls == ("one", "two")


def test_what_is_remembered_belongs_to_the_call() -> None:
    host = caller(
        """
        - json
        - call: other
          when: room == "a"
        - call: other
          when: room == "b"
        - publish: out/${room}
        """,
        """
        steps:
          - changed: payload
        """,
    )
    for room, value in (("a", 1), ("b", 1), ("a", 1), ("b", 2)):
        host.get(f"in/{room}", value)
    assert host.outcome.sent == [("out/a", 1), ("out/b", 1), ("out/b", 2)]
    assert {*host.states} == {"call 1/changed 1", "call 2/changed 1"}


def test_a_step_more_in_the_called_flow_does_not_move_the_state_of_the_caller() -> None:
    text = """
        flows:
          main:
            subscribe: in
            steps:
              - json
              - call: other
              - sample: 3
              - publish: out
          other:
            steps:
              - sample: 1
    """
    host = FlowHost(flows_of(text)["main"])
    for number in (1, 2):
        host.get("in", number)
    host = host.edit(
        flows_of(text.replace("- sample: 1", "- log: new\n              - sample: 1\n              - sample: 1"))[
            "main"
        ]
    )
    assert {*host.kept} == {"call 1/sample 1", "sample 1"}
    host.get("in", 3)
    assert host.outcome.sent == [("out", 3)]


FAILING = """
    steps:
      - set: {touched: true}
      - filter: payload.gone > 1
"""


def test_a_failure_points_into_the_called_flow() -> None:
    host = caller("- json\n- call: other\n- publish: out", FAILING)
    host.get("in/a", {"x": 1})
    error = host.outcome.error
    assert (error.code, error.span.text, error.span.line) == ("missing-field", "payload.gone", 11)
    assert error.notes[0] == "called in flows/flow.yaml:6:9"
    assert host.outcome.published == []


@pytest.mark.parametrize("inside", ["", "when: true"])
def test_on_error_of_the_call_holds_for_the_steps_inside(inside: str) -> None:
    host = caller(
        f"""
        - json
        - let: {{x: 1}}
        - call: {{flow: other, with: {{x: 2}}}}
          on_error: continue
          {inside}
        - publish: {{topic: "out/${{room}}", payload: "${{[payload, x]}}"}}
        """,
        FAILING.replace("payload.gone", "payload.gone + x"),
    )
    host.get("in/a", {"a": 1})
    assert host.outcome.sent == [("out/a", [{"a": 1}, 1])]
    assert len(host.outcome.handled) == 1


def test_a_publish_on_error_knows_the_caller() -> None:
    host = caller(
        """
        - json
        - call: other
          on_error:
            - publish: {topic: "errors/${room}", payload: {at: "${error.line}", file: "${error.file}", t: "${topic}"}}
        - publish: out
        """,
        FAILING,
    )
    host.get("in/a", {"a": 1})
    assert host.outcome.sent == [("errors/a", {"at": 13, "file": "flows/flow.yaml", "t": "in/a"})]


def test_on_error_of_the_calling_flow_holds_for_the_steps_inside() -> None:
    host = caller("- json\n- call: other\n- publish: out", FAILING, on_error='{publish: {topic: "errors/${room}"}}')
    host.get("in/a", {"a": 1})
    assert host.outcome.sent == [("errors/a", {"a": 1})]
    host = caller("- json\n- call: other\n- publish: {topic: out, payload: '${payload}'}", FAILING, on_error="continue")
    host.get("in/a", {"a": 1})
    assert host.outcome.sent == [("out", {"a": 1, "touched": True})]


def test_on_error_inside_knows_its_constants() -> None:
    host = caller(
        """
        - json
        - call: {flow: other, with: {x: 1}}
        """,
        """
        vars: {where: dead, room: none}
        steps:
          - filter: payload.gone > x
            on_error: {publish: {topic: "${where}", payload: "${error.message}${room}"}}
        """,
    )
    host.get("in/a", {"a": 1})
    assert host.outcome.published[0].topic == "dead"
    assert host.outcome.published[0].payload.endswith(b"none")


def test_a_guard_around_a_switch_around_a_call() -> None:
    host = caller(
        """
        - json
        - let: {x: before}
        - switch:
            - when: payload.a
              steps:
                - set: {b: 2}
                - let: {x: inside}
                - call: other
          on_error: continue
        - publish: {topic: "out/${room}", payload: "${[payload, x]}"}
        """,
        """
        steps:
          - set: {c: 3}
          - delay: 1s
          - set: {d: "${payload.gone}"}
        """,
    )
    host.get("in/a", {"a": 1})
    host.after(1)
    assert host.outcome.sent == [("out/a", [{"a": 1}, "before"])]
    assert len(host.outcome.handled) == 1


def test_a_guard_around_a_switch_restores_what_the_message_was() -> None:
    host = caller(
        """
        - json
        - let: {x: before}
        - switch:
            - when: payload.a
              steps:
                - set: {b: 2}
                - let: {x: inside}
                - call: {flow: other, with: {x: given}}
          on_error: continue
        - publish: {topic: "out/${room}", payload: "${[payload, x]}"}
        """,
        """
        steps:
          - set: {c: "${x}"}
          - fork:
              - - publish: fork
          - set: {d: "${payload.gone}"}
        """,
    )
    host.get("in/a", {"a": 1})
    assert host.outcome.sent == [("fork", {"a": 1, "b": 2, "c": "given"}), ("out/a", [{"a": 1}, "before"])]


def test_values_that_fail_are_a_failure_of_the_call() -> None:
    host = caller(
        """
        - json
        - call: {flow: other, with: {x: "${payload.gone}"}}
          on_error: continue
        - publish: out
        """,
        "steps: [{publish: {topic: inside, payload: '${x}'}}]",
    )
    host.get("in/a", {"a": 1})
    assert [topic for topic, _ in host.outcome.sent] == ["out"]


def test_called_in_a_fork_and_in_on_error() -> None:
    host = caller(
        """
        - json
        - fork:
            - - call: {flow: other, with: {name: fork}}
            - - call: {flow: other, with: {name: second}}
        - filter: payload.gone
          on_error:
            - call: {flow: other, with: {name: "${error.code}"}}
        """,
        """
        steps:
          - publish: {topic: "${name}"}
        """,
    )
    host.get("in/a", {"a": 1})
    assert [topic for topic, _ in host.outcome.sent] == ["fork", "second", "missing-field"]


def test_a_flow_may_run_by_itself_and_be_called() -> None:
    flows = flows_of("""
        flows:
          main: {subscribe: a, steps: [json, {call: other}, {publish: out}]}
          other: {subscribe: b, steps: [{publish: seen}]}
    """)
    assert set(flows) == {"main", "other"}
    assert [topic for topic, _ in run(flows["main"], ("a", 1)).sent] == ["seen", "out"]
    assert [topic for topic, _ in run(flows["other"], ("b", 1)).sent] == ["seen"]


def mistakes(text: str) -> list[Diagnostic]:
    return diagnose(text)[1]


def test_there_is_no_such_flow() -> None:
    (found,) = mistakes(
        "flows:\n  a: {subscribe: x, steps: [{call: judg}]}\n  judge: {subscribe: y, steps: [{publish: z}]}\n"
    )
    assert (found.code, found.message, found.span.text) == ("unknown-flow", "there is no flow `judg`", "judg")
    assert found.helps == ("did you mean `judge`?",)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ({"a": "a"}, {"a": "`a` calls itself: `a` -> `a`"}),
        (
            {"a": "b", "b": "a"},
            {"a": "`a` calls itself: `a` -> `b` -> `a`", "b": "`b` calls itself: `b` -> `a` -> `b`"},
        ),
        (
            {"c": "a", "a": "b", "b": "a"},
            {"a": "`a` calls itself: `a` -> `b` -> `a`", "b": "`b` calls itself: `b` -> `a` -> `b`"},
        ),
        (
            {"a": "b", "b": "c", "c": "b"},
            {"b": "`b` calls itself: `b` -> `c` -> `b`", "c": "`c` calls itself: `c` -> `b` -> `c`"},
        ),
    ],
)
def test_a_flow_that_comes_back_to_itself(calls: dict[str, str], expected: dict[str, str]) -> None:
    text = "flows:\n" + "".join(
        f"  {one}:\n    subscribe: x\n    steps: [{{call: {other}}}]\n" for one, other in calls.items()
    )
    flows, found = diagnose(text)
    assert flows == []
    assert {one.code for one in found} == {"endless-call"}
    assert [one.message for one in found] == [expected[name] for name in calls if name in expected]


def test_calls_that_double_and_double_end() -> None:
    text = "flows:\n  f0: {subscribe: x, steps: [{call: f1}, {call: f1}]}\n"
    text += (
        "".join(f"  f{n}: {{steps: [{{call: f{n + 1}}}, {{call: f{n + 1}}}]}}\n" for n in range(1, 15))
        + "  f15: {steps: [json]}\n"
    )
    flows, found = diagnose(text)
    assert {one.code for one in found} == {"endless-call"}
    assert "f0" not in {flow.name for flow in flows}


def test_calls_that_go_deeper_and_deeper_end() -> None:
    text = "flows:\n  f0: {subscribe: x, steps: [{call: f1}]}\n"
    text += "".join(f"  f{n}: {{steps: [{{call: f{n + 1}}}]}}\n" for n in range(1, 300)) + "  f300: {steps: [json]}\n"
    assert {one.code for one in mistakes(text)} == {"endless-call"}


def test_a_flow_without_source_that_nobody_calls() -> None:
    (found,) = mistakes("flows:\n  a: {subscribe: x, steps: [{publish: y}]}\n  b: {steps: [json]}\n")
    assert found.code == "missing-source"
    assert found.helps[1] == "or let another flow call it: `- call: NAME`"


def test_its_other_mistakes_are_found_all_the_same() -> None:
    found = mistakes("flows:\n  a: {subscribe: x, steps: [{call: b}]}\n  b: {steps: [jsn, {filter: '1 +'}]}\n")
    assert [one.code for one in found] == ["unknown-step", "bad-expression"]


def test_a_flow_without_source_has_no_tests() -> None:
    text = "flows:\n  a: {subscribe: x, steps: [{call: b}]}\n  b: {steps: [json], tests: [{given: {topic: a}, expect: []}]}\n"
    (found,) = mistakes(text)
    assert (found.code, found.message) == ("missing-source", "a flow without a source has no tests")


def test_a_mistake_in_the_called_flow_is_said_once_and_the_caller_does_not_run() -> None:
    flows, found = diagnose(
        "flows:\n  a: {subscribe: x, steps: [{call: b}]}\n  b: {subscribe: y, steps: [{filter: nope}]}\n"
    )
    assert flows == []
    assert [(one.code, one.span.line) for one in found] == [("unknown-name", 3)]


def test_a_name_that_the_caller_does_not_hand_over() -> None:
    (found,) = mistakes(
        "flows:\n  a: {subscribe: x/+room, steps: [{call: b}]}\n  b: {steps: [{publish: 'y/${room}'}]}\n"
    )
    assert (found.code, found.span.line) == ("unknown-name", 3)
    assert "with: {room: ${room}}" in found.helps[0]
    assert found.notes == ("called in flows/flow.yaml:2:36",)


def test_what_is_text_for_the_one_is_bytes_for_the_other() -> None:
    text = "flows:\n  a: {subscribe: x, steps: [{decode: utf-8}, {call: b}]}\n  c: {subscribe: x, steps: [{call: b}]}\n"
    (found,) = mistakes(text + "  b: {steps: [{filter: payload == 'ON'}]}\n")
    assert found.code == "bytes-payload"
    assert found.notes == ("called in flows/flow.yaml:3:30",)


def test_a_value_that_nobody_reads_is_misspelt() -> None:
    text = "flows:\n  a: {subscribe: x, steps: [{call: {flow: b, with: {limti: 3}}}]}\n"
    (found,) = mistakes(text + "  b: {vars: {limit: 1}, steps: [json, {filter: payload > limit}]}\n")
    assert (found.code, found.message) == ("unknown-name", "no step of `b` reads `limti`")
    assert found.helps == ("did you mean `limit`?",)


def test_nothing_comes_out_of_a_flow_that_ends_every_message() -> None:
    text = "flows:\n  a: {subscribe: x, steps: [{call: b}, {publish: y}]}\n  b: {steps: [{publish: z}, stop]}\n"
    flows, (found,) = diagnose(text)
    assert found.code == "unreachable-step"
    assert run(flows[0], ("x", 1)).sent == [("z", 1)]


def test_a_loop_through_a_called_flow_is_seen() -> None:
    assert [
        one.code
        for one in mistakes("flows:\n  a: {subscribe: x/+k, steps: [{call: b}]}\n  b: {steps: [{publish: x/y}]}\n")
    ] == ["possible-loop"]


def test_tests_of_the_caller_run_through_the_called_flow() -> None:
    flows = flows_of("""
        flows:
          a:
            subscribe: x
            steps: [json, {call: b}, {publish: y}]
            tests: [{given: {topic: x, payload: 1}, expect: {topic: y, payload: 2}}]
          b: {steps: [{map: payload + 1}]}
    """)
    run_cases(flows["a"])


def folder(tmp_path: Path, **files: str) -> Loaded:
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
    return load([tmp_path])


def test_flows_of_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = folder(
        tmp_path,
        a="subscribe: in\nsteps:\n  - json\n  - call: {flow: z, with: {x: 1}}\n  - publish: out\n",
        sub__z="steps:\n  - lookup: {key: payload, file: table.csv, as: found}\n  - set: {x: '${x}'}\n",
        b="flows:\n  c: {subscribe: x, steps: [{call: a}]}\n  d: {steps: [{call: e}]}\n  e: {steps: [json]}\n",
        f="subscribe: y\nsteps: [{call: d}]\n",
    )
    assert [one.code for one in loaded.diagnostics] == ["missing-file"]
    assert {flow.name for flow in loaded.flows} == {"f"}
    (tmp_path / "sub" / "table.csv").write_text("a,b\n1,one\n")
    loaded = load([tmp_path])
    assert loaded.diagnostics == ()
    flows = {flow.name: flow for flow in loaded.flows}
    assert {name: flow.calls for name, flow in flows.items()} == {"a": ("z",), "c": ("a", "z"), "f": ("d", "e")}
    assert [path.name for path in flows["c"].files] == ["table.csv"]


def test_a_failure_in_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = folder(
        tmp_path,
        a="subscribe: in\nsteps:\n  - json\n  - call: z\n",
        z="# a comment, so that lines differ\n\n\nsteps:\n  - set: {é: '${payload.gone}'}\n",
    )
    (flow,) = loaded.flows
    host = FlowHost(flow)
    host.get("in", {"x": 1})
    assert host.outcome.shown() == dedent("""\
        error[missing-field]: the payload has no field `gone`
         --> z.yaml:5:17
          |
        5 |   - set: {é: '${payload.gone}'}
          |                 ^^^^^^^^^^^^ in `set`
        help: the payload has `x`
        note: called in a.yaml:4:5
        note: topic `in`, payload `{"x":1}`
    """)


def test_a_flow_of_a_file_that_cannot_be_read_is_not_said_to_be_missing(tmp_path: Path) -> None:
    loaded = folder(tmp_path, a="subscribe: in\nsteps:\n  - call: z\n", z="steps: [\n")
    assert len(loaded.diagnostics) == 1
    assert loaded.diagnostics[0].span.source.name.endswith("z.yaml")
    assert loaded.flows == ()


def test_the_flow_of_the_caller_s_own_file_called_through_another_file(tmp_path: Path) -> None:
    loaded = folder(
        tmp_path,
        a="flows:\n  one: {subscribe: in, steps: [json, {call: other}]}\n  two: {steps: [{filter: payload.gone}]}\n",
        b="flows:\n  other: {steps: [{call: two}]}\n",
    )
    assert loaded.diagnostics == ()
    host = FlowHost(loaded.flows[0])
    host.get("in", {"x": 1})
    assert (host.outcome.error.code, host.outcome.error.span.line) == ("missing-field", 3)
    assert len(host.outcome.error.notes) == 3


def test_the_short_form() -> None:
    flow: Any = flows_of("flows:\n  a: {subscribe: x, steps: [{call: b}]}\n  b: {steps: [json]}\n")["a"]
    assert flow.steps[0].called.name == "b"
    assert read("subscribe: x\nsteps: [json]\n").calls == ()
