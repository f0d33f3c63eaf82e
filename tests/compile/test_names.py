"""Whatever people call things, compiled code does not trip over it."""

import ast
import builtins
import json
import keyword
from pathlib import Path

import pytest

from flowrunner.compile.listing import list_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.expressions import RESERVED
from flowrunner.message import Message
from flowrunner.read.flow import read_flows
from flowrunner.read.settings import Settings
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.flow_host import FlowHost, diagnose, message, read, run

#: A flow that uses nearly everything that compiled code needs under names of its own.
EVERYTHING = """
subscribe: in/+{name}
on_error: [{{publish: "failed/${{{name}}}"}}]
steps:
  - json
  - set: {{a.b: 1}}
  - set: {{c: 2}}
  - convert: {{c: text}}
  - let: {{other: "${{len(payload)}}"}}
  - scale: {{field: n, from: [0, 1], to: [0, 2]}}
  - lookup: {{key: payload.c, table: {{'2': two}}, as: d, default: '${{topic}}'}}
  - extract: {{from: topic, pattern: '(?P<x>.*)', as: e}}
  - log: "${{payload}} ${{{name}}}"
  - fork:
      - - filter: {name} == "x"
        - publish: forked/${{{name}}}
  - switch:
      - when: payload.n > 0
        steps: [{{map: "payload.l"}}, {{split: payload}}, {{map: "[payload, {name}, index, count, other]"}}]
  - encode: json
  - publish: out/${{{name}}}
"""

HAZARDS = [
    "entry", "origin", "items", "topic_2", "constant", "constant_2", "publish", "failed", "handled", "describe",
    "type", "dict_", "Exception", "BaseException", "isinstance", "object", "print", "open", "eval", "exec", "tuple",
    "set", "map", "filter", "next", "iter", "error_", "payload_2", "levels", "when", "kept", "kept_1", "find", "scale",
    "extract", "loads", "dumps", "flow_2", "flow_flow", "self", "cls", "x", "l", "found", "NAME", "VALUE", "WORK",
    "CALL", "KEPT", "HANDLE", "CHECK", "step", "sum_", "case", "match_", "budget", "rounds", "missing",
]  # fmt: skip


@pytest.mark.parametrize("name", HAZARDS)
def test_level_of_the_topic_may_be_called_like_anything_of_ours(name: str) -> None:
    flow = read(EVERYTHING.format(name=name))
    outcome = run(flow, message("in/x", {"n": 1, "l": [7]}), message("in/y", {"n": "z"}))
    forked = {"n": 2, "l": [7], "a": {"b": 1}, "c": "2", "d": "two", "e": {"x": "in/x"}}
    assert outcome.sent == [("forked/x", forked), ("out/x", [7, "x", 0, 1, 4]), ("failed/y", {"n": "z"})]
    assert outcome.errors == []


@pytest.mark.parametrize("name", HAZARDS)
def test_constant_and_let_may_be_called_like_anything_of_ours(name: str) -> None:
    constant = read(
        EVERYTHING.format(name=name).replace(f"subscribe: in/+{name}", f"subscribe: in/+\nvars: {{{name}: x}}")
    )
    outcome = run(constant, message("in/q", {"n": 1, "l": [7]}))
    assert [topic for topic, _ in outcome.sent] == ["forked/x", "out/x"]
    text = EVERYTHING.format(name=name).replace(f"subscribe: in/+{name}\n", "subscribe: in/+\n")
    text = text.replace(f'on_error: [{{publish: "failed/${{{name}}}"}}]\n', "").replace(
        "  - json\n", f"  - json\n  - let: {{{name}: x}}\n"
    )
    outcome = run(text, message("in/q", {"n": 1, "l": [7]}))
    assert [topic for topic, _ in outcome.sent] == ["forked/x", "out/x"]


OF_PYTHON = [name for name in dir(builtins) if not name.startswith("_") and not keyword.iskeyword(name)]


@pytest.mark.parametrize("name", sorted(set(OF_PYTHON) - RESERVED))
def test_every_name_of_python_s_own_may_be_a_level(name: str) -> None:
    text = f"""
    subscribe: in/+{name}
    on_error: {{publish: failed}}
    steps:
      - json
      - set: {{a: "${{{name}}}"}}
      - split: payload.l
      - publish: out/${{{name}}}/${{index}}
    """
    outcome = run(text, message("in/v", {"l": [1]}), message("in/w", b"{"))
    assert [sent.topic for sent in outcome.published] == ["out/v/0", "failed"]


@pytest.mark.parametrize(
    "name",
    [
        "len",
        "publish",
        "1st-flow",
        "a b",
        "ärger",
        "flow",
        "_",
        "日本",
        "payload",
        "type",
        "a/b",
        "x'y\"z",
        "None",
        "def",
        "🔥",
    ],
)
def test_flow_may_have_any_name(name: str) -> None:
    text = f"""
    flows:
      {json.dumps(name, ensure_ascii=False)}:
        subscribe: in/+room
        steps:
          - json
          - split: payload
          - publish: out/${{room}}/${{flow.upper()}}
    """
    flows, found = diagnose(text)
    assert not found
    (flow,) = flows
    assert flow.name == name
    host = FlowHost(flow)
    host.arrive(message("in/a", [1]))
    assert [sent.topic for sent in host.outcome.published] == [f"out/a/{name.upper()}"]
    ast.parse(list_flow(flow))


def test_two_connections_whose_names_look_alike_are_two() -> None:
    names = ["default", "a-b", "a_b", "a b", "2", "publish", "log"]
    steps = "".join(f"  - publish: {{topic: 't{name}', connection: '{name}'}}\n" for name in names)
    source = Source("flow.yaml", f"subscribe: in\nsteps:\n{steps}")
    settings = Settings(connections={name: ConnectionSettings(name=name) for name in names})
    (flow,), found = read_flows(source, name="flow", folder=Path(), settings=settings, steps=all_steps())
    assert not found
    host = FlowHost(flow)
    host.arrive(message("in"))
    assert [(sent.topic, sent.connection) for sent in host.outcome.published] == [(f"t{name}", name) for name in names]
    ast.parse(list_flow(flow))


def test_items_of_comprehensions_are_their_own() -> None:
    text = """
    subscribe: in/+room
    vars: {limit: 2}
    steps:
      - json
      - let: {p: 5, q: "${[p for p in payload]}"}
      - map: >-
          [p, [p + q for p in payload for q in payload], {room: limit for room in [topic]},
          [limit for limit in payload], room, limit]
      - split: "[payload]"
      - map: "[payload, [p for p in q], p]"
      - publish: out
    """
    text = text.replace("let: {p: 5, q:", "let: {p: 5}\n      - let: {q:")
    outcome = run(text, message("in/attic", [1, 2]))
    expected = [5, [2, 3, 3, 4], {"in/attic": 2}, [1, 2], "attic", 2]
    assert outcome.sent == [("out", [expected, [1, 2], 5])]


def test_names_of_two_sources_are_taken_from_the_one_that_brought_the_message() -> None:
    text = """
    subscribe: [in/+room/+kind, in/+room/+kind/deep, "other/+kind/#room"]
    steps:
      - publish: out/${kind}/${room}
    """
    topics = ["in/a/b", "in/a/b/deep", "other/b/c/d", "other/b"]
    outcome = run(text, *(message(topic, b"1") for topic in topics))
    assert [sent.topic for sent in outcome.published] == ["out/b/a", "out/b/a", "out/b/c/d", "out/b/"]


def test_name_of_one_source_only_is_no_name_and_does_no_harm() -> None:
    text = """
    subscribe: [in/+x, other]
    steps:
      - let: {x: "${topic}"}
      - split: "[1]"
      - publish: out/${x}
    """
    outcome = run(text, message("in/a", b""), message("other", b""))
    assert [sent.topic for sent in outcome.published] == ["out/in/a", "out/other"]


def test_tick_and_start_bring_values() -> None:
    text = "every: 5s\nat_start: {a: 1}\nsteps:\n  - publish: {topic: out, payload: '${topic} ${payload}'}\n"
    host = FlowHost(read(text, name="tick"))
    host.enter("every/tick", 1, entry=0)
    host.enter("at_start/tick", {"a": 1}, entry=1)
    assert [sent.payload for sent in host.outcome.published] == [b"every/tick 1", b'at_start/tick {"a":1}']


def test_constants_are_shared_and_never_changed() -> None:
    text = """
    subscribe: in
    vars: {table: {a: [1, 2]}, list_: [1]}
    steps:
      - map: table
      - set: {a: "${payload.a + list_}", b.c: 1}
      - remove: [b]
      - rename: {a: z}
      - publish: out
      - map: table
      - publish: out
    """
    flow = read(text)
    outcome = run(flow, message("in"), message("in"))
    assert outcome.sent == [("out", {"z": [1, 2, 1]}), ("out", {"a": [1, 2]})] * 2
    assert flow.constants == {"table": {"a": [1, 2]}, "list_": [1]}


def test_environment_and_clock_are_those_of_the_host() -> None:
    flow = read("subscribe: in\nsteps:\n  - publish: out/${env.SITE}/${now()}\n", env={"SITE": "graz"})
    host = FlowHost(flow)
    host.arrive(message("in"))
    host.clock.advance(1.5)
    host.arrive(message("in"))
    assert [sent.topic for sent in host.outcome.published] == ["out/graz/946684800.0", "out/graz/946684801.5"]


def test_step_may_be_called_like_another_one() -> None:
    text = (
        "subscribe: in\nsteps:\n  - publish: a\n    id: my step!\n  - changed: topic\n    id: publish\n  - publish: b\n"
    )
    assert [sent.topic for sent in run(text, message("in"), message("in")).published] == ["a", "b", "a"]


def test_two_hosts_of_one_program_have_nothing_in_common() -> None:
    flow = read("subscribe: in\nsteps:\n  - changed: payload\n  - publish: out\n")
    first, second = FlowHost(flow), FlowHost(flow)
    for host in (first, second, first):
        host.arrive(Message("in", b"1"))
    assert (len(first.outcome.published), len(second.outcome.published)) == (1, 1)
