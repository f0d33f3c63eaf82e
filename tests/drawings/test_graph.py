"""The graph of flows: which topics join them; and its drawings, which are what they claim to be."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.drawings import Graph, draw_dot, draw_mermaid, draw_svg, draw_text, graph_of
from flowrunner.drawings.layers import place_in_columns, without_circles
from flowrunner.read.load import load
from tests.flow_host import diagnose

ROOT = Path(__file__).parents[2]
SAMPLES = load([ROOT / "flows"]).flows


def graph(text: str) -> Graph:
    flows, _ = diagnose(text)
    return graph_of(flows)


def joins(graph: Graph) -> set[tuple[str, str]]:
    return {(join["from"], join["to"]) for join in graph.as_json()["joins"]}


def test_the_samples_are_joined_by_their_topics() -> None:
    assert joins(graph_of(SAMPLES)) == {
        ("rooms", "overheat"), ("rooms", "comfort"), ("rooms", "to_fahrenheit"), ("comfort", "switches"),
    }  # fmt: skip


def test_flows_come_behind_those_that_feed_them() -> None:
    names = [box.name for box in graph_of(SAMPLES).boxes]
    assert names.index("rooms") < names.index("comfort") < names.index("switches")


@pytest.mark.parametrize(
    ("heard", "publish", "sent", "is_joined"),
    [
        ("a/+", "a/${payload.x}", "a/+", True),
        ("a/#", "a/b/c", "a/b/c", True),
        ("a/+", "a/b/c", "a/b/c", False),
        ("x/+/z", "x/${payload.x}-heater/z", "x/+/z", True),
        ("copy/in/+", "copy/${topic}", "copy/in/+", True),
        ("any", "${payload.x}", "#", True),
        ("in2", "${topic}", "in/+", False),
        ("$SYS/#", "${payload.x}", "#", False),
        ("all/a/b/c", "all/${rest}", "all/+", False),
    ],
)
def test_a_published_topic_leads_to_the_filters_that_it_overlaps(
    heard: str, publish: str, sent: str, is_joined: bool
) -> None:
    found = graph(f"""
        flows:
          one: {{subscribe: in/+rest, steps: [json, publish: "{publish}"]}}
          two: {{subscribe: "{heard}", steps: [log: x]}}
    """)
    (box,) = [box for box in found.boxes if box.name == "one"]
    assert [topic.filter for topic, _ in box.publishes] == [sent]
    assert (("one", "two") in joins(found)) is is_joined


def test_a_name_for_the_rest_of_a_topic_is_many_levels() -> None:
    found = graph("""
        flows:
          one: {subscribe: in/#rest, steps: [publish: "out/${rest}"]}
          two: {subscribe: out/a/b, steps: [log: x]}
    """)
    assert joins(found) == {("one", "two")}


def test_connections_are_worlds_of_their_own() -> None:
    found = graph("""
        flows:
          one: {subscribe: a, steps: [publish: {topic: b, connection: cloud}]}
          two: {subscribe: b, steps: [log: x]}
          three: {subscribe: {topic: b, connection: cloud}, steps: [log: x]}
    """)
    assert joins(found) == {("one", "three")}
    assert "b on cloud" in draw_text(found)


BRANCHES = """
    flows:
      main:
        description: All that has branches
        subscribe: a/+x
        every: 5s
        enabled: false
        on_error: {publish: errors/x}
        steps:
          - json
          - switch:
              - when: payload.t > 1
                steps: [log: "it is more than one, and this text is far too long for a row"]
              - else: []
          - fork: [[publish: b/1], [filter: {if: payload.t, else: [publish: b/2]}]]
          - when: payload.q
            publish: {topic: "b/3"}
          - call: sub
          - reply
      sub:
        steps: [set: {y: 1}, {retry: {steps: [publish: c]}}]
"""


def test_rows_show_steps_branches_and_topics() -> None:
    assert (
        draw_text(graph(BRANCHES), width=60)
        == """\
╭─ main (switched off)  All that has branches
│ ◷ every 5s
│ ← a/+x
│   json
│   switch
│   ├─ payload.t > 1: log
│   └─ else: (nothing)
│   fork
│   ├─ branch 1: publish b/1
│   └─ branch 2:
│        filter
│        └─ else: publish b/2
│   publish
│   call sub
│   └─ set
│      retry
│      └─ publish c
│   reply
│   on_error
│   └─ publish errors/x
│ → b/1
│ → b/2
│ → b/3
│ → c
│ → errors/x
│ → (the topic on which an answer is wanted)
╰─
"""
    )


def test_long_rows_are_wrapped() -> None:
    steps = ", ".join(["map: payload.a.b.c.d"] * 4)
    text = draw_text(graph(f"subscribe: a\nsteps: [json, {steps}]"), width=60)
    assert (
        text
        == """\
╭─ flow
│ ← a
│   json → map payload.a.b.c.d → map payload.a.b.c.d →
│   map payload.a.b.c.d → map payload.a.b.c.d
╰─
"""
    )


def test_mermaid_names_every_edge() -> None:
    drawn = draw_mermaid(graph_of(SAMPLES))
    assert drawn.startswith("flowchart LR\n")
    ids = set(re.findall(r"^  (\w+)[\[(]", drawn, re.MULTILINE))
    edges = re.findall(r"^  (\w+)(?:\(.*?\))? -->? ?(\w+)", drawn, re.MULTILINE)
    assert {name for edge in edges for name in edge} <= ids
    assert 'f4s0(("every 3s")) --> f4' in drawn
    odd = draw_mermaid(graph("subscribe: 'a/\"<b>]|{}'\nsteps: [log: x]"))
    assert '(["a/#34;#60;b#62;#93;#124;#123;#125;"])' in odd


def test_dot_quotes_what_would_end_a_text() -> None:
    drawn = draw_dot(graph("subscribe: 'a/\"x\\y'\nsteps: [publish: b, reply]"))
    assert r'[label="a/\"x\\y", shape=oval]' in drawn
    assert drawn.startswith("digraph flows {\n")
    assert drawn.endswith("}\n")


def boxes_of(svg: str) -> list[tuple[float, float, float, float]]:
    tree = ET.fromstring(svg)
    found = tree.findall("{http://www.w3.org/2000/svg}rect")
    return [tuple(float(one.attrib[key]) for key in ("x", "y", "width", "height")) for one in found]  # type: ignore[misc]


@pytest.mark.parametrize("drawn", [graph_of(SAMPLES), graph(BRANCHES), graph_of(())])
def test_nothing_in_the_picture_lies_above_something_else(drawn: Graph) -> None:
    svg = draw_svg(drawn)
    boxes = boxes_of(svg)
    width, height = (float(ET.fromstring(svg).attrib[key]) for key in ("width", "height"))
    for index, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
        for x2, y2, w2, h2 in boxes[index + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_the_picture_holds_every_flow_and_topic_as_text() -> None:
    svg = draw_svg(graph("flows: {'a<b': {subscribe: 'x/\"y', steps: [publish: z]}}"))
    texts = [one.text for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert set(texts) == {'x/"y', "z", "a<b", "publish z"}


def test_a_circle_is_drawn_too() -> None:
    found = graph("""
        flows:
          one: {subscribe: a, steps: [publish: b]}
          two: {subscribe: b, steps: [publish: a]}
    """)
    assert joins(found) == {("one", "two"), ("two", "one")}
    assert len(boxes_of(draw_svg(found))) == 4


names = st.lists(st.integers(0, 8).map(str), min_size=1, max_size=9, unique=True)


@given(
    names.flatmap(
        lambda known: st.tuples(st.just(known), st.lists(st.tuples(*[st.sampled_from(known)] * 2), max_size=20))
    )
)
def test_every_name_stands_in_one_column_right_of_what_leads_to_it(
    given: tuple[list[str], list[tuple[str, str]]],
) -> None:
    known, edges = given
    columns = place_in_columns(known, edges)
    assert sorted(name for column in columns for name in column) == sorted(known)
    place = {name: index for index, column in enumerate(columns) for name in column}
    kept = without_circles(known, edges)
    assert set(kept) <= set(edges)
    assert all(place[one] < place[other] for one, other in kept)
