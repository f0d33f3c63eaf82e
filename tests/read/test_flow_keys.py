"""The keys of a flow: what the reader accepts, the schema accepts as well."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from flowrunner.options import options_of
from flowrunner.read.flow import read_flows
from flowrunner.read.keys import FlowKeys
from flowrunner.read.schema import flow_schema
from flowrunner.read.settings import Settings
from flowrunner.sources import Subscribe
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.flow_host import diagnose, read, refused

SCHEMA = Draft7Validator(flow_schema(all_steps()))

TEXTS = [
    "a",
    "a/+room",
    "#",
    "5s",
    "10",
    "",
    "true",
    "all",
    "new",
    "default",
    "cloud",
    "${x}",
    "drop",
    "continue",
    "*/5 * * * *",
]
texts = st.sampled_from(TEXTS)
scalars = texts | st.sampled_from([0, 1, 2, 5, 1.5, True, False, None])
KEYS = [
    "topic",
    "qos",
    "retained",
    "no_local",
    "share",
    "connection",
    "interval",
    "jitter",
    "count",
    "immediately",
    "given",
]
KEYS += [
    "expect",
    "payload",
    "properties",
    "user",
    "name",
    "a",
    "publish",
    "after",
    "schedule",
    "timezone",
    "size",
    "policy",
]
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {"topic": st.just("a/b")},
    optional={"payload": values, "qos": scalars, "retain": scalars, "properties": values, "payload_hex": scalars},
)
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "subscribe": st.fixed_dictionaries(
        {"topic": texts},
        optional={"qos": scalars, "retained": texts, "no_local": scalars, "share": scalars, "connection": texts},
    ),
    "every": st.fixed_dictionaries({"interval": st.just("5s")}, optional={"count": scalars, "immediately": scalars}),
    "tests": st.lists(st.fixed_dictionaries({"given": messages, "expect": messages | st.lists(messages)}), max_size=2),
    "steps": st.lists(st.sampled_from(["json", "stop", {"publish": "x"}, {"log": 5}]), max_size=2),
    "on_error": st.sampled_from(["drop", "continue", {"publish": "x"}, [{"publish": "x"}], "x"]),
    "vars": st.dictionaries(st.sampled_from(["a", "b1", "c-d", "payload"]), values, max_size=2),
}
#: What no schema can see: whether a name exists, and what does not go together.
NOT_OF_THE_FORM = {
    "missing-source",
    "unknown-name",
    "possible-loop",
    "dollar-topics",
    "odd-topic-filter",
    "bytes-payload",
}


@pytest.mark.parametrize("key", [option.name for option in options_of(FlowKeys)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_schema_accepts_what_the_reader_accepts(key: str, data: st.DataObject) -> None:
    value = data.draw(LIKELY.get(key, scalars) | values)
    flow = {"subscribe": "in", "steps": ["json"], key: value}
    _, found = diagnose(json.dumps(flow, indent=1))
    if {diagnostic.code for diagnostic in found} <= NOT_OF_THE_FORM:
        assert [error.message for error in SCHEMA.iter_errors(flow)] == []


def test_short_and_long_subscription_are_the_same() -> None:
    short, long = read("subscribe: a/+b\nsteps: []\n"), read("subscribe: {topic: a/+b}\nsteps: []\n")
    assert short.sources == long.sources
    assert short.sources == read("subscribe: [a/+b]\nsteps: []\n").sources


def test_options_of_a_subscription() -> None:
    flow = read("subscribe: {topic: a/#, qos: 2, retained: only, no_local: true, connection: cloud}\nsteps: []\n")
    (source,) = flow.sources
    assert isinstance(source, Subscribe)
    assert (source.qos, source.retained, source.no_local, source.connection) == (2, "only", True, "cloud")
    (source,) = read("subscribe: {topic: a/+b, share: g}\nsteps: []\n").sources
    assert isinstance(source, Subscribe)
    assert (source.filter.mqtt, source.filter.captures) == ("$share/g/a/+", (("b", 1, False),))


@pytest.mark.parametrize(
    ("subscribe", "message"),
    [
        ("{topic: a, qos: 3}", "`qos` of `subscribe` must be 0, 1 or 2"),
        ("{topic: a, qos: '${1}'}", "`qos` of `subscribe` must be 0, 1 or 2"),
        ("{topic: a, share: g, no_local: true}", "`no_local` and `share` cannot be combined"),
        ("{qos: 1}", "`subscribe` needs `topic`"),
        ("[]", "`subscribe` must be a topic filter, a map with `topic`, or a list of these"),
        ("a/+payload", "`payload` is reserved and cannot name a level"),
    ],
)
def test_mistake_in_a_subscription(subscribe: str, message: str) -> None:
    assert refused(f"subscribe: {subscribe}\nsteps: []\n").message == message


def test_level_named_like_a_constant_is_refused() -> None:
    found = refused("subscribe: a/+site\nvars: {site: graz}\nsteps: []\n")
    assert (found.code, found.message) == ("reserved-name", "`site` is a constant of `vars` and cannot be set")


@pytest.mark.parametrize(
    ("file", "key", "help"),
    [
        (
            "heat.yaml",
            "connections",
            "`connections:` stands in `flowrunner.yaml`, in the folder of the flows, such as ",
        ),
        ("heat.yaml", "group", "`group:` stands in `flowrunner.yaml`, in the folder of the flows"),
        ("heat.yaml", "broker", "the broker is set in `flowrunner.yaml`, in the folder of the flows, such as "),
        ("flowrunner.yml", "vars_", "settings are read from `flowrunner.yaml`: rename the file"),
        ("flowrunner.yml", "connections", "settings are read from `flowrunner.yaml`: rename the file"),
    ],
)
def test_settings_in_a_flow_file_are_said_where_they_belong(file: str, key: str, help: str) -> None:
    source = Source(f"flows/{file}", f"{key}: x\nsubscribe: a\nsteps: []\n")
    _, found = read_flows(source, name="heat", folder=Path(), settings=Settings(), steps=all_steps())
    assert [(one.code, one.helps[0][: len(help)]) for one in found] == [("unknown-key", help)]
