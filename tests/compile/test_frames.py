"""A failing message points at the word in the YAML that failed, in the frame that diagnostics have everywhere."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.compile.failure import show_origin
from flowrunner.diagnostics import Diagnostic
from flowrunner.message import Message
from tests.flow_host import FlowHost, diagnose, message, read, run, run_steps


def test_frame_of_a_missing_field() -> None:
    text = (
        "description: Warn when it gets too warm\n"
        "subscribe: sensors/+room/climate\n"
        "steps:\n"
        "  - json\n"
        "  - filter: payload.temprature > 25\n"
        "  - publish: alerts/${room}\n"
    )
    payload = b'{"device":"d17","temperature":21.5,"humidity":40,"position":{"floor":2,"room":"kitchen"}}'
    flow = read(text, name="overheat")
    assert run(flow, Message("sensors/kitchen/climate", payload)).shown() == (
        "error[missing-field]: the payload has no field `temprature`\n"
        " --> flows/overheat.yaml:5:13\n"
        "  |\n"
        "5 |   - filter: payload.temprature > 25\n"
        "  |             ^^^^^^^^^^^^^^^^^^ in `filter`\n"
        "help: did you mean `temperature`? the payload has `device`, `temperature`, `humidity`, `position`\n"
        'note: topic `sensors/kitchen/climate`, payload `{"device":"d17","temperature":21.5,"humidity":40,'
        '"position":{"floor":2,"room":"k...`\n'
    )


def test_step_on_another_line_is_labelled() -> None:
    steps = """
    - json
    - publish:
        topic: out
        payload:
          t: ${payload.t / payload.n}
    """
    assert run_steps(steps, {"t": 1, "n": 0}).shown() == (
        "error[division-by-zero]: `payload.n` is zero, nothing can be divided by it\n"
        " --> flows/flow.yaml:7:14\n"
        "  |\n"
        "4 |   - publish:\n"
        "  |     ------- in this step\n"
        "...\n"
        "7 |         t: ${payload.t / payload.n}\n"
        "  |              ^^^^^^^^^^^^^^^^^^^^^\n"
        'note: topic `in`, payload `{"t":1,"n":0}`\n'
    )


def place(text: str, payload: Any = None) -> tuple[str, int, int, str]:
    """What the frame of the one failure underlines, its line and column, and the code."""
    error = run(text, message("in/attic", payload if payload is not None else {})).error
    return error.span.text, error.span.line, error.span.column, error.code


@pytest.mark.parametrize(
    ("expression", "marked"),
    [
        ("payload.a.b.c", "payload.a"),
        ("1 + payload.a + 2", "payload.a"),
        ("[p for p in [payload.zz]]", "payload.zz"),
        ("[p.q for p in [payload]]", "p.q"),
        ("len(payload.a)", "payload.a"),
        ('"x".join([payload.a])', "payload.a"),
        ("payload['a']", "payload['a']"),
        ("{'k': [1, payload.a]}", "payload.a"),
        ("not payload.a", "payload.a"),
        ("topic if payload.a else 1", "payload.a"),
        ("(payload.a)", "payload.a"),
        ("int(topic)", "int(topic)"),
        ("payload.get('a').b", "payload.get('a').b"),
        ("sorted([1, 'a'])", "sorted([1, 'a'])"),
        ("1 / (2 - 2)", "1 / (2 - 2)"),
        ("topic[99]", "topic[99]"),
        ("payload < topic", "payload < topic"),
    ],
)
def test_exact_part_of_an_expression_is_marked(expression: str, marked: str) -> None:
    found, line, _, _ = place(f"subscribe: in/+room\nsteps:\n  - json\n  - map: >-\n      {expression}\n")
    assert (found, line) == (marked, 5)


@pytest.mark.parametrize(
    ("written", "line", "marked"),
    [
        ("map: payload.a", 4, "payload.a"),
        ("map: 'payload.a'", 4, "payload.a"),
        ('map: "payload.a"', 4, "payload.a"),
        ("map: '\"it''s\" + payload.a'", 4, "payload.a"),
        ('map: "\\"\\u00e4\\U0001F525\\" + payload.a"', 4, "payload.a"),
        ("map: \"'äöü€🔥' + payload.a\"", 4, "payload.a"),
        ("map: |\n      1 +\n      payload.a\n      + 2", 6, "payload.a"),
        ("map: >\n      1 +\n\n      payload.a", 7, "payload.a"),
        ("map: |2-\n      1 + payload.a", 5, "payload.a"),
        ("map: 1 +\n      payload.a", 5, "payload.a"),
        ('map: "1 + \\\n      payload.a"', 5, "payload.a"),
        ("map: '[payload,\n\n      payload.a]'", 6, "payload.a"),
        ("map: >-\n      [p.ä for p in [payload]]", 5, "p.ä"),
        ("map: {ö: 'x ${1 + payload.a} y'}", 4, "payload.a"),
        ("map: {ö: 'äöü ${payload.a:.2f} ${topic}'}", 4, "payload.a"),
        ("map:\n      x:\n        - |\n          ä\n          ${payload.a}", 8, "payload.a"),
        ("log: 'ä ${payload.a}'", 4, "payload.a"),
        ("publish: 'ä/${payload.a}'", 4, "payload.a"),
        ("publish: {topic: x, payload: ['ä', '${payload.a}']}", 4, "payload.a"),
        ("publish: {topic: x, qos: '${payload.a}'}", 4, "payload.a"),
        ("switch: [{when: 'payload.a > 1', steps: [stop]}]", 4, "payload.a"),
        ("switch: [{when: 'false', steps: [stop]}, {when: \"payload.a\", steps: [stop]}]", 4, "payload.a"),
        ("filter: {if: 'true and payload.a', else: []}", 4, "payload.a"),
        ("filter: {if: 'false', else: [{map: payload.a}]}", 4, "payload.a"),
        ("fork: [[{map: 'payload.a'}]]", 4, "payload.a"),
        ("split: payload.a", 4, "payload.a"),
        ("let: {x: 'ä', y: '${payload.a}'}", 4, "payload.a"),
        ("set: {x.y: 1, z: '${payload.a}'}", 4, "payload.a"),
        ("lookup: {key: payload.a, table: {a: 1}}", 4, "payload.a"),
        ("extract: {from: payload.a, pattern: '.*'}", 4, "payload.a"),
        ("json:\n    when: payload.a", 5, "payload.a"),
        ("fork: [[stop]]\n    when: payload.a", 5, "payload.a"),
        ("split: topic\n    when: payload.a", 5, "payload.a"),
    ],
)
def test_place_in_every_style_of_yaml(written: str, line: int, marked: str) -> None:
    text = f"subscribe: in/+room\nsteps:\n  - json\n  - {written}\n"
    found, at, column, code = place(text)
    assert (found, at, code) == (marked, line, "missing-field")
    assert text.split("\n")[line - 1][column - 1 :].startswith(marked)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_place_with_any_line_ends(end: str) -> None:
    text = f"subscribe: in{end}steps:{end}  - json{end}  - map: >{end}      1 +{end}      payload.ä{end}"
    error = run(text, message("in", {})).error
    assert (error.span.text, error.span.line, error.span.column) == ("payload.ä", 6, 7)


def test_place_behind_a_cut_and_in_a_handler() -> None:
    text = """
    subscribe: in/+room
    on_error:
      - publish: ${error.line} ${error.nothing}
    steps:
      - json
      - split: payload.l
      - split: "[payload]"
      - filter: payload.x > 1
    """
    outcome = run(text, message("in/attic", {"l": [1]}))
    (error,) = outcome.errors
    assert (error.span.text, error.span.line) == ("error.nothing", 3)
    assert error.label == "in `publish`"
    outcome = run(
        text.replace("publish: ${error.line} ${error.nothing}", "publish: '${error.line}/${error.column}'"),
        message("in/attic", {"l": [1]}),
    )
    assert [sent.topic for sent in outcome.published] == ["8/13"]


def test_place_of_a_format_and_of_what_becomes_text() -> None:
    assert place("subscribe: in/+room\nsteps:\n  - json\n  - log: '${payload:.1f}'\n")[0] == "payload"
    assert place("subscribe: in/+room\nsteps:\n  - log: 'x ${payload}'\n", b"\xff")[0] == "payload"


def test_help_for_a_word_in_a_text_that_is_no_number() -> None:
    error = run_steps("- json\n- map: payload.a * payload.b", {"a": "x", "b": 1.5}).error
    assert error.span.text == "payload.a * payload.b"
    assert error.code == "wrong-type"


def test_flow_of_several_in_a_file_has_its_own_places() -> None:
    flow = "  {}:\n    subscribe: in\n    steps: [json, {{map: payload.{}}}]\n"
    text = "flows:\n" + flow.format("one", "a") + flow.format("two", "b")
    flows, _ = diagnose(text)
    assert [run(flow, message("in", {})).error.span.text for flow in flows] == ["payload.a", "payload.b"]


def test_alias_points_at_the_anchor_s_text() -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - map: &e payload.a\n    when: topic == 'x'\n  - map: *e\n"
    error = run(text, message("in", {})).error
    assert (error.span.text, error.span.line) == ("payload.a", 4)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"", "payload empty"),
        (b"ON", "payload `ON`"),
        (b"\xff\x00", "payload `\\xff\x00`"),
        (b"a\nb\x1b[31m", "payload `a\nb\x1b[31m`"),
        (b"x" * 80, f"payload `{'x' * 80}`"),
        (b"x" * 81, f"payload `{'x' * 80}...`"),
        (b"x" * 1_000_000, f"payload `{'x' * 80}...`"),
        ("🔥".encode() * 80, f"payload `{'🔥' * 80}`"),
        ("🔥".encode() * 81, f"payload `{'🔥' * 80}...`"),
        ("🔥".encode() * 500, f"payload `{'🔥' * 80}...`"),
        (b"a" + "🔥".encode() * 500, f"payload `a{'🔥' * 79}...`"),
    ],
)
def test_note_shows_the_beginning_of_the_payload(payload: bytes, shown: str) -> None:
    assert show_origin(Message("in", payload)) == f"topic `in`, {shown}"


@given(st.binary(max_size=400), st.text(min_size=1, max_size=200))
def test_note_is_short_whatever_came(payload: bytes, topic: str) -> None:
    assert len(show_origin(Message(topic, payload))) < 4 * 90 + 90


def test_terminal_never_obeys_what_came() -> None:
    outcome = run_steps("- json", b"\x1b[2J\x07")
    assert "\x1b" not in outcome.shown()
    assert "\\x1b[2J\\x07" in outcome.shown()


def test_note_of_a_tick_shows_its_value() -> None:
    host = FlowHost(read("every: 5s\nsteps:\n  - fork: [[{map: payload.x}]]\n  - map: payload.x\n", name="t"))
    host.enter("every/t", 3)
    assert [error.notes for error in host.outcome.errors] == [("topic `every/t`, payload `3`",)] * 2


def test_failure_of_a_step_itself_is_shown_at_its_key() -> None:
    error = run_steps("- decode: utf-8\n- split: payload\n- publish: x", "a").error
    assert isinstance(error, Diagnostic)
    assert (error.span.text, error.label, error.labels) == ("split", "in `split`", ())
