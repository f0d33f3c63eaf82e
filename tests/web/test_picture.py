"""What is drawn of flows, and which of their topics join them."""

from typing import Any

import pytest

from flowrunner.diagnostics import has_errors
from flowrunner.read.flow import Flow
from flowrunner.web.joins import find_joins
from flowrunner.web.payloads import MOST, show, show_names
from flowrunner.web.picture import draw, step_at
from tests.flow_host import diagnose


def flows(text: str) -> list[Flow]:
    found, diagnostics = diagnose(text)
    assert not has_errors(diagnostics), diagnostics
    return found


def picture(text: str) -> dict[str, Any]:
    (flow,) = flows(text)
    return draw(flow)


def test_sources_and_steps_stand_in_the_order_of_the_file() -> None:
    drawn = picture("""
        subscribe: [sensors/+room, {topic: other, qos: 1}]
        every: 5s
        steps:
          - json
          - filter: payload.t > 25     # too warm
          - set:
              level: ${"hot" if payload.t > 30 else "warm"}   # or so
          - {id: last, when: payload.t > 40, publish: "alerts/x"}
    """)
    assert [(one["kind"], one["label"]) for one in drawn["sources"]] == [
        ("subscribe", "sensors/+room"),
        ("subscribe", "other"),
        ("every", "5s"),
    ]
    shown = [(step["name"], step["kind"], step["label"], step["group"]) for step in drawn["steps"]]
    assert shown == [
        ("json 1", "json", "", "work"),
        ("filter 1", "filter", "payload.t > 25", "choice"),
        ("set 1", "set", 'level: ${"hot" if payload.t > 30 else "warm"}', "work"),
        ("last", "publish", "alerts/x", "out"),
    ]
    assert drawn["steps"][3]["when"] == "payload.t > 40"
    assert drawn["steps"][1]["line"] == 5


def test_branches_say_when_they_are_taken_and_whether_they_lead_back() -> None:
    drawn = picture("""
        subscribe: in
        steps:
          - json
          - switch:
              - when: payload > 1
                steps: [{publish: more}]
              - else: [stop]
          - fork:
              - - publish: copy
          - filter: {if: payload, else: [{log: nothing}]}
          - retry: {attempts: 2, steps: [{publish: again}]}
        on_error: {publish: errors}
    """)
    branches = {step["name"]: [(one["label"], one["joins"]) for one in step["branches"]] for step in drawn["steps"]}
    assert branches == {
        "json 1": [],
        "switch 1": [("payload > 1", True), ("else", True)],
        "fork 1": [("copy 1", False)],
        "filter 1": [("else", False)],
        "retry 1": [("again and again", True)],
    }
    assert drawn["steps"][1]["branches"][1]["steps"][0]["ends"] is True
    assert drawn["on_error"]["steps"][0]["label"] == "errors"


@pytest.mark.parametrize(("line", "expected"), [(3, "json 1"), (5, "publish 1"), (4, "fork 1"), (1, "")])
def test_a_line_is_found_in_the_innermost_step(line: int, expected: str) -> None:
    (flow,) = flows("""
        subscribe: in
        steps:
          - json
          - fork:
              - - publish: out
    """)
    assert step_at(flow, flow.source.name, line) == expected
    assert step_at(flow, "other.yaml", line) == ""


def test_topics_join_flows_on_the_same_connection() -> None:
    found = find_joins(
        flows("""
            flows:
              a: {subscribe: in, steps: [json, {publish: "rooms/${payload.x}/t"}, {publish: "${topic}/x"}]}
              b: {subscribe: rooms/+room/t, steps: [log: hi]}
              c: {subscribe: "#", steps: [log: hi]}
              d: {subscribe: rooms/+room/h, steps: [log: hi]}
              e: {subscribe: {topic: rooms/+/t, connection: cloud}, steps: [log: hi]}
        """)
    )
    assert {(one.flow, one.to) for one in found} == {("a", "b"), ("a", "c")}
    assert ("publish 1", "rooms/${payload.x}/t") in {(one.step, one.topic) for one in found}


@pytest.mark.parametrize(
    ("value", "kind", "text", "size"),
    [
        (b"", "empty", "", 0),
        (b'{"a": 1}', "json", '{"a": 1}', 8),
        (b"21.5", "text", "21.5", 4),
        (b"<script>", "text", "<script>", 8),
        (b"\xff\x00", "bytes", "ff 00", 2),
        ({"a": [1, None]}, "json", '{"a":[1,null]}', 14),
        ("ä", "text", "ä", 2),
        (float("nan"), "json", "null", 4),
    ],
)
def test_payloads_are_shown_as_what_they_are(value: Any, kind: str, text: str, size: int) -> None:
    assert show(value) == {"kind": kind, "text": text, "size": size, "cut": False}


def test_large_payloads_are_cut_and_deep_ones_bring_nothing_down() -> None:
    shown = show(b"x" * (MOST + 1))
    assert (len(shown["text"]), shown["size"], shown["cut"]) == (MOST, MOST + 1, True)
    assert show(b"\xff" * (MOST + 1))["cut"] is True
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert show(deep)["kind"] == "json"


def test_only_names_of_the_message_itself_are_shown() -> None:
    values = {"payload": 1, "topic": "t", "qos": 0, "retain": False, "properties": {}, "_key": 1, "room": "attic"}
    assert show_names(values) == {"room": '"attic"'}
