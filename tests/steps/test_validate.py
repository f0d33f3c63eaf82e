"""`validate`: what does not fit a JSON Schema, in words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from flowrunner.diagnostics import render
from tests.flow_host import FlowHost, diagnose, read, refused, run


def flow(schema: Any) -> FlowHost:
    text = f"subscribe: in\nsteps:\n  - json\n  - validate: {{schema: {json.dumps(schema)}}}\n  - publish: out\n"
    return FlowHost(read(text))


def fault(schema: Any, payload: Any) -> str:
    host = flow(schema)
    host.get("in", payload)
    if host.outcome.published:
        return ""
    assert host.outcome.error.code == "not-valid"
    return host.outcome.error.message


ROOM = {"type": "object", "properties": {"room": {"type": "object", "properties": {"t": {"type": "number"}}}}}


@pytest.mark.parametrize(
    ("schema", "payload", "message"),
    [
        ({"type": "object"}, {}, ""),
        (True, 5, ""),
        (False, 5, "the payload does not fit: False schema does not allow 5"),
        ({"type": "object"}, [1], "the payload must be a map, this is a list"),
        ({"type": ["string", "null"]}, 1, "the payload must be null or a text, this is a number"),
        ({"type": "integer"}, 1.5, "the payload must be a whole number, this is a number"),
        (ROOM, {"room": {"t": "warm"}}, "`room.t` must be a number, this is a text"),
        ({"items": {"items": {"maximum": 3}}}, [[1], [2, 4]], "`[1][1]` must be at most 3, it is 4"),
        ({"required": ["a", "b"]}, {"a": 1}, "the payload has no field `b`"),
        (
            {"properties": {"x": {}}, "additionalProperties": False},
            {"x": 1, "y": 2},
            "the payload has no place for `y`",
        ),
        ({"minimum": 3}, 2, "the payload must be at least 3, it is 2"),
        ({"exclusiveMinimum": 3}, 3, "the payload must be more than 3, it is 3"),
        ({"exclusiveMaximum": 3}, 3, "the payload must be less than 3, it is 3"),
        ({"multipleOf": 5}, 7, "the payload must be a multiple of 5, it is 7"),
        ({"enum": ["on", "off"]}, {"s": "no"}, 'the payload must be "on" or "off", it is a map'),
        ({"const": "on"}, {"a": 1}, 'the payload must be "on", it is a map'),
        ({"properties": {"id": {"pattern": "^d[0-9]+$"}}}, {"id": "x7"}, '`id` must match `^d[0-9]+$`, it is "x7"'),
        (
            {"properties": {"at": {"format": "date-time"}}},
            {"at": "now"},
            '`at` must be of the format `date-time`, it is "now"',
        ),
        ({"properties": {"s": {"minLength": 3}}}, {"s": "ab"}, "`s` must have at least 3 characters, it has 2"),
        ({"maxItems": 1}, [1, 2], "the payload must have at most 1 items, it has 2"),
        ({"minProperties": 1}, {}, "the payload must have at least 1 fields, it has 0"),
        ({"uniqueItems": True}, [1, 1], "the payload holds an item twice"),
        (
            {"propertyNames": {"maxLength": 2}},
            {"abc": 1},
            "the payload has a field whose name must have at most 2 characters, it has 3",
        ),
        ({"not": {"type": "object"}}, {}, 'the payload does not fit: {"type":"object"} is not allowed for {}'),
        ({"anyOf": [{"type": "string"}, ROOM]}, {"room": {"t": None}}, "`room.t` must be a number, this is null"),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 2}, None),
        (
            {"$defs": {"n": {"type": "number"}}, "items": {"$ref": "#/$defs/n"}},
            ["x"],
            "`[0]` must be a number, this is a text",
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
            [1],
            "`[0]` must be a text, this is a number",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_words(schema: Any, payload: Any, message: str | None) -> None:
    found = fault(schema, payload)
    assert found if message is None else found == message


def test_the_message_stays_short() -> None:
    assert len(fault({"properties": {"a" * 300: {"pattern": "b" * 300}}}, {"a" * 300: "c" * 10_000})) < 200
    assert len(fault({"not": {}}, ["x" * 10_000])) < 200


def test_a_message_that_fits_goes_on_unchanged() -> None:
    host = flow({"required": ["a"]})
    host.get("in", {"a": [1, {"b": None}]})
    assert host.outcome.sent == [("out", {"a": [1, {"b": None}]})]


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.sampled_from(
            [
                {"type": "number"},
                {"type": "string"},
                {"enum": [1, "a"]},
                {"minimum": 2},
                {"maxLength": 1},
                {"required": ["a"]},
                True,
            ]
        ),
        lambda inner: (
            st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)})
            | st.fixed_dictionaries({"items": inner})
            | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
        ),
        max_leaves=5,
    ),
    st.recursive(
        st.integers(0, 3) | st.sampled_from(["a", "bb", None, True]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
        max_leaves=5,
    ),
)
def test_the_same_fits_as_for_another_validator(schema: Any, payload: Any) -> None:
    host = flow(schema)
    host.arrive(host_message(payload))
    assert bool(host.outcome.published) is Draft202012Validator(schema).is_valid(payload)


def host_message(payload: Any) -> Any:
    from flowrunner.message import Message

    return Message("in", json.dumps(payload).encode())


def test_bytes_are_found_by_check() -> None:
    found = refused("subscribe: in\nsteps:\n  - validate: {schema: {type: object}}\n  - publish: out\n")
    assert (found.code, found.helps) == ("bytes-payload", ("put `- json` before this step",))


def test_bytes_and_bottomless_payloads_are_an_error() -> None:
    text = "subscribe: in\nevery: 1h\nsteps:\n  - validate: {schema: {type: object}}\n  - publish: out\n"
    host = FlowHost(read(text))
    host.get("in", b"\xff")
    assert (host.outcome.error.code, host.outcome.error.message) == ("not-valid", "the payload is still bytes")
    host = FlowHost(
        read(text.replace("- validate", "- json\n  - validate").replace("type: object", "items: {type: array}"))
    )
    host.get("in", b"[" * 1000 + b"]" * 1000)
    assert len(host.outcome.published) + len(host.outcome.errors) == 1


def test_a_hostile_text_does_not_run_without_end() -> None:
    host = flow({"pattern": "^(a+)+$"})
    host.get("in", json.dumps("a" * 50_000 + "b").encode())
    assert host.outcome.error.code == "not-valid"


@pytest.mark.parametrize(
    ("schema", "place", "message"),
    [
        ("{type: objct}", "objct", None),
        ("{properties: {a: {minimum: x}}}", "x", "`minimum` must be a number, this is a text"),
        ("{required: a}", "a", "`required` must be a list, this is a text"),
        ("{properties: [a]}", "[a]", "`properties` must be a map, this is a list"),
        ("{pattern: '(?<=a)b'}", "'(?<=a)b'", "`pattern` is no regular expression that runs in linear time"),
        ("{pattern: '('}", "'('", "`pattern` is no regular expression that runs in linear time"),
        (
            "{$ref: 'http://127.0.0.1:9/x'}",
            "{$ref: 'http://127.0.0.1:9/x'}",
            "a schema cannot refer to another file or address: put it below `$defs`",
        ),
        (
            "{$ref: other.json}",
            "{$ref: other.json}",
            "a schema cannot refer to another file or address: put it below `$defs`",
        ),
    ],
)
def test_a_schema_that_is_none(schema: str, place: str, message: str | None) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - validate:\n      schema: {schema}\n  - publish: out\n")
    assert found.code == "bad-schema"
    assert found.span.text == place
    assert message is None or found.message == message


def test_a_misspelt_keyword_is_a_warning() -> None:
    flows, found = diagnose(
        "subscribe: in\nsteps:\n  - json\n  - validate: {schema: {properties: {requird: {typ: x}, x: {enum: [{typ: 1}]}}}}\n  - publish: out\n"
    )
    assert len(flows) == 1
    assert [(one.severity, one.span.text, one.helps[0]) for one in found] == [
        ("warning", "typ", "did you mean `type`?")
    ]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("{}", "missing-key"),
        ("{schema: true, file: ok.json}", "missing-key"),
        ("{schema: 5}", "wrong-value"),
        ("{schema: [a]}", "wrong-value"),
        ("{file: no.json}", "missing-file"),
        ("{file: ok.txt}", "wrong-value"),
    ],
)
def test_options(options: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "ok.json").write_text("{}")
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - validate: {options}\n  - publish: out\n", folder=tmp_path)
    assert found.code == code


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.json", '{"type": "object"}', ""),
        ("s.json", '\t{"type":\n\t"object"}', ""),
        ("s.yaml", "type: object\n", ""),
        ("s.json", "[1]", "`s.json` holds a list, not a schema"),
        ("s.json", "{", "the schema `s.json` cannot be read"),
        ("s.json", '{"type": "objct"}', None),
        ("s.yaml", "type: objct\n", None),
    ],
)
def test_a_schema_in_a_file(name: str, content: str, message: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    flows, found = diagnose(
        f"subscribe: in\nsteps:\n  - json\n  - validate: {{file: {name}}}\n  - publish: out\n", folder=tmp_path
    )
    if message == "":
        assert found == [], render(found)
        assert run(flows[0], ("in", {})).published
        assert run(flows[0], ("in", [])).error.code == "not-valid"
        assert [path.name for path in flows[0].files] == [name]
    elif message is None:
        assert [(one.code, one.span.source.name, one.span.text.strip('"')) for one in found] == [
            ("bad-schema", name, "objct")
        ]
    else:
        assert [one.message for one in found] == [message]


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrunner.options.extras.find_spec", lambda _: None)
    found = refused("subscribe: in\nsteps:\n  - json\n  - validate: {schema: true}\n  - publish: out\n")
    assert (found.code, found.helps) == ("missing-extra", ("install it: `pip install 'flowrunner[validate]'`",))
