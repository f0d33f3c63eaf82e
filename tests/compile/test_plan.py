"""What an edit changes, and what it leaves alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.compile.fingerprint import fingerprint, form
from flowrunner.compile.outline import Memory, Outline, Subscription, as_json, outline, read_outline
from flowrunner.compile.plan import apply, difference
from flowrunner.compile.relocation import relocate
from flowrunner.diagnostics import has_errors, render
from flowrunner.read.flow import Flow
from flowrunner.steps import all_steps
from tests.compile.random_flows import Drawing, random_payload, yaml_of
from tests.flow_host import FlowHost, diagnose, read
from tests.waiting_step import read_waiting

FLOW = """
    description: Warn when a room gets too warm
    subscribe: sensors/+room/climate
    vars: {limit: 25}
    steps:
      - json
      - filter: payload.temperature > limit
      - debounce: {for: 2s, by: room}
      - set: {level: "${'hot' if payload.temperature > 30 else 'warm'}"}
      - publish: {topic: "alerts/${room}", qos: 1}
    tests:
      - given: {topic: sensors/a/climate, payload: {temperature: 5}}
        expect: []
    """

COSMETIC = [
    ("Warn when a room gets too warm", "Another text"),
    ("    steps:", "    # a comment\n\n    steps:"),
    ("payload.temperature > limit", '"payload.temperature>limit"'),
    ("payload.temperature > limit", "(payload.temperature) > ( limit )"),
    ("{for: 2s, by: room}", "{by: ' room', for: 2000ms}"),
    ('publish: {topic: "alerts/${room}", qos: 1}', "publish: {qos: 1, topic: 'alerts/${ room }', retain: false}"),
    ("expect: []", "expect: {topic: other}"),
    ("subscribe: sensors/+room/climate", "subscribe: [{topic: sensors/+room/climate, qos: 0}]"),
    ("    vars: {limit: 25}\n", "    enabled: true\n    on_error: drop\n    vars: {limit: 25, unused: 3}\n"),
    ("'hot' if", '\\"hot\\" if'),
    ("filter: payload.temperature > limit", "filter: {if: payload.temperature > limit}"),
]

REAL = [
    ("sensors/+room/climate", "sensors/+room/weather"),
    ("subscribe: sensors/+room/climate", "subscribe: {topic: sensors/+room/climate, qos: 1}"),
    ("subscribe: sensors/+room/climate", "subscribe: {topic: sensors/+room/climate, retained: new}"),
    ("limit: 25", "limit: 26"),
    ("limit: 25", "limit: 25.0"),
    ("limit: 25", "limit: true"),
    ("> limit", ">= limit"),
    ("for: 2s", "for: 3s"),
    ("by: room", "by: topic"),
    ("'warm'", "'Warm'"),
    ("qos: 1", "qos: 2"),
    ("qos: 1}", "qos: 1, retain: true}"),
    ("alerts/${room}", "alerts/${room:>5}"),
    ("      - json\n", "      - id: parse\n        json:\n"),
    ("      - json\n", "      - json:\n        on_error: continue\n"),
    ("      - json\n", "      - json:\n        when: topic != 'x'\n"),
    ("      - json\n", "      - json\n      - json\n"),
    ("    vars:", "    on_error: continue\n    vars:"),
    ("    vars:", "    on_error: {publish: errors}\n    vars:"),
    ("    vars:", "    queue: {size: 5}\n    vars:"),
    ("    vars:", "    enabled: false\n    vars:"),
]  # fmt: skip


def edited(old: str, new: str) -> str:
    assert old in FLOW
    return FLOW.replace(old, new, 1)


@pytest.mark.parametrize(("old", "new"), COSMETIC)
def test_cosmetic_edit_is_none(old: str, new: str) -> None:
    assert fingerprint(read(edited(old, new))) == fingerprint(read(FLOW))


@pytest.mark.parametrize(("old", "new"), REAL)
def test_what_changes_what_a_flow_does_is_an_edit(old: str, new: str) -> None:
    assert fingerprint(read(edited(old, new))) != fingerprint(read(FLOW))


@pytest.mark.parametrize("source", ["every: 5s", "every: 6s", "at_start: true", "at_start: {a: 1}", "subscribe: in"])
def test_source_that_is_added_is_an_edit(source: str) -> None:
    text = "every: {interval: 5s, jitter: 1s}\nsteps: [json]\n"
    added = text.replace("every: {interval: 5s, jitter: 1s}", source) if "every" in source else f"{source}\n{text}"
    assert fingerprint(read(added)) != fingerprint(read(text))


EXAMPLES = [(key, text) for key, kind in all_steps().items() for text in kind.EXAMPLES]


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_every_step_that_is_read_again_is_the_same(tmp_path: Path, key: str, text: str) -> None:
    (tmp_path / "convert.py").write_text("def celsius(message):\n    return message.payload\n")
    versions = [diagnose(text, folder=tmp_path)[0] for _ in range(2)]
    assert versions[0], key
    assert [outline(flow) for flow in versions[0]] == [outline(flow) for flow in versions[1]]


CALL = """
    flows:
      house:
        subscribe: in
        steps:
          - json
          - call: {flow: judge, with: {room: attic}}
      judge:
        vars: {limit: 20, unused: 1}
        steps:
          - filter: payload.t > limit
          - changed: payload.t
          - publish: alerts/${room}
    """


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("unused: 1", "unused: 2", True),
        ("          - filter", "          # a comment\n          - filter", True),
        ("limit: 20", "limit: 21", False),
        ("room: attic", "room: cellar", False),
        ("changed: payload.t", "changed: {value: payload.t, by: room}", False),
    ],
)
def test_edit_of_a_flow_that_is_called_is_one_of_its_caller(old: str, new: str, is_same: bool) -> None:
    before, after = (outline(diagnose(text)[0][0]) for text in (CALL, CALL.replace(old, new)))
    assert before.name == "house"
    assert [memory.name for memory in before.memories] == ["call 1/changed 1"]
    assert (before.fingerprint == after.fingerprint) is is_same
    assert before.text != after.text


@pytest.mark.parametrize(("schedule", "is_same"), [("0 7 * * *", True), ("0 8 * * *", False)])
def test_schedule_counts(schedule: str, is_same: bool) -> None:
    before, after = (fingerprint(read(f"cron: '{text}'\nsteps: [json]\n")) for text in ("0 7 * * *", schedule))
    assert (before == after) is is_same


def test_order_of_the_keys_of_a_payload_is_seen_in_what_is_published() -> None:
    text = "steps:\n  - map: {a: 1, b: 2}\n  - publish: out\nsubscribe: in"
    assert fingerprint(read(text)) != fingerprint(read(text.replace("a: 1, b: 2", "b: 2, a: 1")))


def test_name_of_a_flow_is_seen_in_what_it_does() -> None:
    assert fingerprint(read(FLOW, name="a")) != fingerprint(read(FLOW, name="b"))


ENV = "subscribe: in\nsteps:\n  - publish: out/%s\n"


@pytest.mark.parametrize(
    ("used", "is_same"), [("${env.SITE}", True), ("${env.ROOM}", False), ("${env['SITE']}", False), ("x", True)]
)
def test_only_the_variables_that_a_flow_reads_count(used: str, is_same: bool) -> None:
    one, other = (read(ENV % used, env={"SITE": "graz", "ROOM": room}) for room in ("attic", "cellar"))
    assert (fingerprint(one) == fingerprint(other)) is is_same


def test_constant_that_a_flow_does_not_use_does_not_count() -> None:
    flow = read(FLOW)
    assert fingerprint(replace(flow, constants={**flow.constants, "site": "graz"})) == fingerprint(flow)
    assert fingerprint(replace(flow, constants={**flow.constants, "limit": 1})) != fingerprint(flow)


@pytest.mark.parametrize("content", ["a,attic", "a,kitchen"])
def test_content_of_a_table_counts(tmp_path: Path, content: str) -> None:
    text = "subscribe: in\nsteps:\n  - lookup: {key: topic, file: rooms.csv}\n"
    (tmp_path / "rooms.csv").write_text("id,room\na,kitchen\n")
    before = fingerprint(read(text, folder=tmp_path))
    (tmp_path / "rooms.csv").write_text(f"id,room\n{content}\n")
    assert (fingerprint(read(text, folder=tmp_path)) == before) is (content == "a,kitchen")


def test_what_is_of_no_known_kind_equals_nothing() -> None:
    thing = object()
    assert form(thing) != form(thing)
    assert form([1, {"a": b"x"}, {2}]) == form([1, {"a": b"x"}, {2}])
    assert form(1) == form(1)
    assert repr(form(True)) != repr(form(1))
    assert form(Path("a/b")) == "a/b"
    assert form(len) == form(len) != form(max)


def one(flow: Flow | str) -> dict[str, Outline]:
    found = outline(read(flow) if isinstance(flow, str) else flow)
    return {found.name: found}


def state_of(steps: str) -> str:
    return f"subscribe: in/+x\nsteps:\n  - json\n{steps}  - publish: out\n"


STATES: list[tuple[str, str, list[str], dict[str, str]]] = [
    ("  - debounce: 2s\n", "  - debounce: 3s\n", ["debounce 1"], {}),
    ("  - debounce: {for: 2s, by: x}\n", "  - debounce: {for: 2s, by: ' x '}\n", ["debounce 1"], {}),
    ("  - debounce: {for: 2s, by: x}\n", "  - debounce: 2s\n", [], {"debounce 1": "`by` changed"}),
    ("  - window: {every: 1m}\n", "  - window: {every: 2m}\n", ["window 1"], {}),
    ("  - window: {every: 1m}\n", "  - window: {count: 2}\n", [], {"window 1": "`every`, `count` changed"}),
    ("  - window: {every: 1m}\n", "  - window: {every: 1m, last: 5m}\n", [], {"window 1": "`last` changed"}),
    ("  - throttle: 5s\n", "  - throttle: {rate: 5s, keep: last}\n", [], {"throttle 1": "`keep` changed"}),
    ("  - throttle: 5s\n", "  - throttle: 10/s\n", ["throttle 1"], {}),
    ("  - sample: 10\n", "  - sample: 10s\n", [], {"sample 1": "`every` changed"}),
    ("  - delay: 1s\n", "  - delay: {for: 2s, max_pending: 5}\n", ["delay 1"], {}),
    ("  - changed: payload.a\n", "  - changed: payload.b\n", ["changed 1"], {}),
    ("  - changed: payload\n", "", [], {"changed 1": "the step is gone"}),
    ("  - id: x\n    changed: payload\n", "  - id: x\n    debounce: 2s\n", [], {"x": "it was `changed`"}),
    ("  - id: x\n    changed: payload\n", "  - log: hi\n  - id: x\n    changed: payload\n", ["x"], {}),
    ("  - changed: payload\n  - delay: 1s\n", "  - delay: 1s\n  - changed: payload\n", ["changed 1", "delay 1"], {}),
    ("  - changed: payload\n", "  - debounce: 1s\n  - changed: payload\n", ["changed 1"], {}),
    ("  - filter: {if: 'true', else: [{changed: payload}]}\n", "  - changed: payload\n", ["changed 1"], {}),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "kept", "reset"), STATES)
def test_state_is_kept_where_the_options_that_shape_it_are_the_same(
    old: str, new: str, kept: list[str], reset: dict[str, str]
) -> None:
    before, after = read(state_of(old)), read(state_of(new))
    found = difference(one(before), one(after))
    changes = found.changed.values()
    assert [name for change in changes for name in change.kept] == (kept if changes else [])
    assert {lost.name: lost.why for change in changes for lost in change.reset} == reset
    host = FlowHost(before).edit(after)
    assert host.kept == kept


def test_values_of_a_flow_are_kept_as_long_as_a_step_uses_them() -> None:
    counting = state_of("  - state: {increment: n}\n  - state: {get: total, scope: shared}\n")
    moved = counting.replace("- json", "- json\n  - filter: payload").replace("increment: n", "increment: n, amount: 2")
    (change,) = difference(one(counting), one(moved)).changed.values()
    assert change.kept == ("state n", "shared state total")
    assert change.reset == ()
    (change,) = difference(one(counting), one(state_of("  - state: {get: n}\n"))).changed.values()
    assert change.kept == ("state n",)
    assert [lost.name for lost in change.reset] == ["shared state total"]


def test_state_of_a_step_that_no_message_reaches_is_none() -> None:
    flows, _ = diagnose("subscribe: in\nsteps:\n  - stop\n  - changed: payload\n")
    assert outline(flows[0]).memories == ()


def test_difference_tells_what_happens_to_every_flow() -> None:
    old = one(read(FLOW, name="same")) | one(read(FLOW, name="moved")) | one(read(FLOW, name="edited"))
    old |= one(read(FLOW, name="gone"))
    new = one(read(FLOW, name="moved")) | one(read(edited("limit: 25", "limit: 3"), name="edited"))
    moved = read(edited("    vars:", "    # more\n    vars:"), name="moved")
    new |= one(moved) | {"same": old["same"]} | one(read("subscribe: other\nsteps: [json]", name="fresh"))
    found = difference(old, new)
    assert list(found.added) == ["fresh"]
    assert list(found.changed) == ["edited"]
    assert list(found.moved) == ["moved"]
    assert found.same == {"same"}
    assert found.kept == ("moved", "same")
    assert list(found.removed) == ["gone"]
    assert found.subscribed == {Subscription("default", "other")}
    assert found.unsubscribed == frozenset()
    assert not found.is_empty


def test_subscriptions_that_another_flow_still_wants_stay() -> None:
    both = "subscribe: [a/+x, {topic: b, connection: cloud}]\nsteps: [json]"
    old = one(read(both, name="one")) | one(read("subscribe: a/+\nsteps: [json]", name="two"))
    new = one(read("subscribe: a/+\nsteps: [json]", name="two"))
    found = difference(old, new)
    assert found.unsubscribed == {Subscription("cloud", "b")}


subscriptions = st.builds(Subscription, st.sampled_from(["default", "cloud"]), st.sampled_from(["a", "b/+", "#"]))
words = st.sampled_from(["one", "two", "three"])
memories = st.builds(Memory, words, words, words, st.lists(st.tuples(words, words), max_size=2).map(tuple))
outlines = st.builds(
    Outline,
    st.just(""),
    words,
    words,
    words,
    st.lists(subscriptions, max_size=3, unique=True).map(tuple),
    st.lists(memories, max_size=3, unique_by=lambda memory: memory.name).map(tuple),
)
plans = st.dictionaries(st.sampled_from("abcdef"), outlines).map(
    lambda found: {name: replace(flow, name=name) for name, flow in found.items()}
)


@given(old=plans, new=plans)
def test_difference_leads_from_one_to_the_other(old: dict[str, Outline], new: dict[str, Outline]) -> None:
    found = difference(old, new)
    assert apply(old, found) == new
    assert {*found.kept, *found.changed, *found.removed} == old.keys()
    assert {*found.kept, *found.changed, *found.added} == new.keys()
    back = difference(new, old)
    assert (back.added, back.removed) == (found.removed, found.added)
    assert (back.subscribed, back.unsubscribed) == (found.unsubscribed, found.subscribed)
    assert back.kept == found.kept
    assert difference(old, old).is_empty
    for change in found.changed.values():
        assert {*change.kept, *(lost.name for lost in change.reset)} == {memory.name for memory in change.old.memories}


@given(flow=outlines)
def test_outline_can_be_kept_in_a_file(flow: Outline) -> None:
    assert read_outline(json.loads(json.dumps(as_json(flow)))) == flow


@pytest.mark.parametrize("data", [{}, {"subscriptions": [], "memories": [1]}, {"subscriptions": [], "memories": []}])
def test_what_is_no_outline_is_refused(data: Mapping[str, Any]) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        read_outline(data)


# A flow that does the same, and stands elsewhere in its file


def moved(text: str) -> str:
    return "# a comment\n\n" + text.replace("steps:", "# and another one\nsteps:", 1)


def take_over(host: FlowHost, flow: Flow) -> bool:
    program = compile_flow(flow)
    is_moved = relocate(host.handler, host.program, program)
    if is_moved:
        host.flow, host.program = flow, program
    return is_moved


FAILING = "subscribe: in\nsteps:\n  - json\n  - debounce: 1s\n  - publish: out/${payload.x}\n"


def test_errors_of_a_flow_that_moved_point_at_its_new_lines() -> None:
    host = FlowHost(read(FAILING))
    host.get("in", "{")
    assert take_over(host, read(moved(FAILING)))
    host.get("in", "{")
    assert [error.span.line for error in host.outcome.errors] == [3, 6]
    assert host.outcome.errors[1].span.source.text.startswith("# a comment")


def test_message_that_waited_meanwhile_goes_on_and_fails_at_its_new_line() -> None:
    host = FlowHost(read(FAILING))
    host.get("in", {"y": 1})
    host.after(0.5)
    assert take_over(host, read(moved(FAILING)))
    host.after(0.4)
    assert host.outcome.errors == []
    host.after(0.1)
    assert [(error.code, error.span.line) for error in host.outcome.errors] == [("missing-field", 8)]


def test_state_of_a_flow_that_moved_is_the_same() -> None:
    text = "subscribe: in\nsteps:\n  - json\n  - changed: payload.a\n  - publish: out\n"
    host = FlowHost(read(text))
    host.get("in", {"a": 1})
    for _ in range(3):
        text = moved(text)
        assert take_over(host, read(text))
        host.get("in", {"a": 1})
    host.get("in", {"a": 2})
    assert host.outcome.sent == [("out", {"a": 1}), ("out", {"a": 2})]


def test_what_on_error_says_has_the_new_line() -> None:
    text = 'subscribe: in\non_error: [{publish: {topic: errors, payload: "${error.line}"}}]\nsteps:\n  - json\n'
    host = FlowHost(read(text))
    host.get("in", "{")
    assert take_over(host, read(moved(text)))
    host.get("in", "{")
    assert host.outcome.sent == [("errors", 4), ("errors", 7)]


async def test_flow_in_which_messages_wait_one_by_one_moves_too() -> None:
    text = (
        "subscribe: in\nsteps:\n  - json\n  - fork: [[{wait: payload}, {publish: a}]]\n  - publish: out/${payload.x}\n"
    )
    host = FlowHost(read_waiting(text))
    host.get("in", {"x": 1})
    assert take_over(host, read_waiting(moved(text)))
    host.get("in", {"y": 1})
    await host.settled()
    assert [error.span.line for error in host.outcome.errors] == [8]
    assert [topic for topic, _ in host.outcome.sent] == ["out/1", "a", "a"]


def test_flow_that_is_built_in_another_way_does_not_move() -> None:
    host = FlowHost(read(FAILING))
    before = host.handler.__code__  # type: ignore[attr-defined]
    assert not take_over(host, read(FAILING.replace("debounce: 1s", "delay: 1s")))
    assert not take_over(host, read(FAILING, name="other"))
    assert host.handler.__code__ is before  # type: ignore[attr-defined]


def test_handler_that_is_none_of_ours_does_not_move() -> None:
    program = compile_flow(read(FAILING))
    assert not relocate(lambda *_: None, program, program)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**64 - 1))
def test_any_flow_moves_with_its_text(seed: int) -> None:
    chance = Random(seed)
    text = yaml_of(Drawing(chance).flow(is_parsed=True), {"subscribe": "in/+room"})
    keys = json.loads(text)
    if chance.random() < 0.5:
        keys = dict(reversed(keys.items()))
    keys = {"description": "the same", **keys}
    other = "\n" * chance.randint(0, 3) + json.dumps(keys, indent=chance.choice([None, 1, 4]))
    found, mistakes = diagnose(text)
    again, _ = diagnose(other)
    if has_errors(mistakes):
        return
    assert fingerprint(found[0]) == fingerprint(again[0])
    host, fresh = FlowHost(found[0]), FlowHost(again[0])
    assert take_over(host, again[0])
    payload = random_payload(chance)
    assert host.get("in/attic", payload).sent == fresh.get("in/attic", payload).sent
    assert render(host.outcome.errors) == render(fresh.outcome.errors)
    assert host.outcome.stopped == fresh.outcome.stopped
