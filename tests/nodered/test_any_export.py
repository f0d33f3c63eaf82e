"""Whatever is imported: files that pass `check`, or a clear error; never anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowrunner.cli.check import compare_with_schema
from flowrunner.nodered import BadExport, translate
from flowrunner.nodered.translation import Translation
from flowrunner.read.load import load
from tests.nodered.graphs import exports
from tests.nodered.shapes import SHAPES, broker

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(
    [
        "id",
        "type",
        "z",
        "wires",
        "name",
        "rules",
        "props",
        "env",
        "links",
        "scope",
        "topic",
        "func",
        "in",
        "out",
        "broker",
        "g",
        "info",
        "label",
        "payload",
    ]
)
TYPES = st.sampled_from(
    [
        "tab",
        "subflow",
        "group",
        "mqtt in",
        "mqtt out",
        "inject",
        "switch",
        "change",
        "function",
        "catch",
        "link in",
        "subflow:a",
        "join",
        "debug",
        "mqtt-broker",
        "x",
    ]
)
#: Few, as they all lead to the same two nodes: the ways of many are tens of thousands of steps.
WIRES = st.lists(st.lists(st.sampled_from(["a", "b"]), max_size=2), max_size=2)
ODD_NODES = st.dictionaries(KEYS, JSON, max_size=8).flatmap(
    lambda node: st.tuples(TYPES, st.sampled_from(["a", "b", ""]), WIRES).map(
        lambda drawn: {"id": drawn[1], "z": "a", "wires": drawn[2], **node, "type": drawn[0]}
    )
)
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def written(translation: Translation, folder: Path) -> list[str]:
    """What `check` says against the files."""
    for name, text in translation.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    loaded = load([folder], environment={}, allow=None)
    found = [*loaded.diagnostics, *compare_with_schema(loaded)]
    return [f"{one.span.source.name}:{one.span.line} {one.message}" for one in found if one.severity == "error"]


@given(export=exports())
@settings(COMMON, max_examples=60)
def test_any_graph_becomes_flows_that_pass_check(export: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = json.dumps(export)
    translation = translate(text)
    assert not translation.broken
    assert written(translation, tmp_path_factory.mktemp("flows")) == []
    assert [node.id for node, _, _ in translation.rows] == [node["id"] for node in export]
    assert translate(text).files == translation.files


@given(value=JSON | st.lists(ODD_NODES, max_size=6))
@settings(COMMON, max_examples=80)
@example(value=[{"type": "tab", "id": "a", "label": "\ud800"}])
@example(value=[{"type": "inject", "id": "a", "z": "a", "payload": 10**400, "once": True, "wires": [["a"]]}])
def test_any_json_is_translated_or_refused(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        translation = translate(json.dumps(value))
    except BadExport as bad:
        assert bad.message
        return
    assert written(translation, tmp_path_factory.mktemp("flows")) == []


@given(text=st.text(max_size=60))
@settings(COMMON, max_examples=100)
def test_any_text_is_translated_or_refused(text: str) -> None:
    try:
        translate(text)
    except BadExport as bad:
        assert "\n" not in bad.message


@given(code=st.lists(st.sampled_from(
    ["msg", ".", "payload", "topic", "=", "+", "-", "*", "/", "(", ")", "{", "}", "[", "]", ";", ",", "'", '"', "`", "${", "if", "else", "return", "null", "var", "x", "1", "2.5", ">", "===", "&&", "||", "!", "?", ":", "'a'", "flow.get", "context.set", "node.warn", "Math.round", "toFixed", "new", "Date", "true"]
), max_size=25).map(" ".join))  # fmt: skip
@settings(COMMON, max_examples=120)
def test_any_javascript_becomes_steps_or_a_stub(code: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    export = [
        {"id": "t", "type": "tab", "label": "t"},
        {"id": "i", "type": "mqtt in", "z": "t", "topic": "in", "wires": [["f"]]},
        {"id": "f", "type": "function", "z": "t", "func": code, "wires": [["o"], ["o"]]},
        {"id": "o", "type": "mqtt out", "z": "t", "topic": "out", "wires": []},
    ]
    translation = translate(json.dumps(export))
    assert not translation.broken
    assert written(translation, tmp_path_factory.mktemp("flows")) == []


def test_a_net_of_wires_has_an_end(tmp_path: Path) -> None:
    layers = [[f"{layer}-{place}" for place in range(4)] for layer in range(12)]
    nodes: list[dict[str, Any]] = [{"id": "t", "type": "tab", "label": "net"}]
    nodes.append({"id": "in", "type": "mqtt in", "z": "t", "topic": "in", "wires": [layers[0]]})
    for layer, ids in enumerate(layers):
        following = layers[layer + 1] if layer + 1 < len(layers) else []
        nodes += [{"id": id, "type": "change", "z": "t", "rules": [], "wires": [following]} for id in ids]
    for layer, ids in enumerate(layers):
        for id in ids:
            nodes.append(
                {
                    "id": f"j{id}",
                    "type": "junction",
                    "z": "t",
                    "wires": [[f"j{other}" for other in (layers[layer + 1] if layer + 1 < 12 else [])]],
                }
            )
    nodes.append({"id": "in2", "type": "mqtt in", "z": "t", "topic": "in", "wires": [[f"j{id}" for id in layers[0]]]})
    translation = translate(json.dumps(nodes))
    assert not translation.broken
    assert written(translation, tmp_path) == []
    assert any("too many ways" in note for _, _, outcome in translation.rows for note in outcome.notes)


def test_all_shapes_pass_check(tmp_path: Path) -> None:
    export = [broker(1883), *(node for shape in SHAPES for node in shape.export("P"))]
    translation = translate(json.dumps(export))
    assert not translation.broken
    assert written(translation, tmp_path) == []
    assert translation.counts["not done"] == 0
