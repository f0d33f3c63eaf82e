"""Ejected scripts do what their flows do: the tests of every example of every step, and of every sample."""

import shutil
from dataclasses import replace
from inspect import cleandoc
from pathlib import Path

import pytest

from flowrunner.errors import FlowError
from flowrunner.read.flow import Flow
from flowrunner.read.load import load
from flowrunner.scripts import CannotEject, write_script
from flowrunner.sources import Subscribe
from flowrunner.step import walk
from flowrunner.steps import all_steps
from tests.flow_host import diagnose, meets, message, read, run
from tests.scripts.ejected import Ejected

ROOT = Path(__file__).parents[2]
BESIDE = ROOT / "tests" / "steps" / "beside"
EXAMPLES = [
    pytest.param(key, cleandoc(text), id=f"{key}-{number}")
    for key, step in all_steps().items()
    for number, text in enumerate(step.EXAMPLES, 1)
]
SAMPLES = {flow.name: flow for flow in load([ROOT / "flows"]).flows}

#: Steps none of whose examples becomes a script: what `explain not-ejectable` and the help of `eject` say.
REFUSED = {"debounce", "delay", "window", "timeout", "http", "sqlite", "python"}


def is_case_alike(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the tests of a flow on its script; returns how many there were."""
    for case in flow.tests:
        with monkeypatch.context() as patch:
            script = Ejected(flow, patch)
            sent = script.run_case(case)
        assert len(sent) == len(case.expect), f"{case.name}: {sent}\n{script.text}"
        for one, expected in zip(sent, case.expect, strict=True):
            is_python = 'error["message"]' in script.text  # then the words are those of Python's errors
            wanted = replace(expected, payload=one.payload) if is_python else expected
            assert meets(one, wanted), f"{sent}\n{script.text}"
    return len(flow.tests)


@pytest.mark.parametrize(
    "name", [name for name, flow in SAMPLES.items() if any(isinstance(s, Subscribe) for s in flow.sources)]
)
def test_the_tests_of_the_samples_hold_for_their_scripts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_case_alike(SAMPLES[name], monkeypatch)


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_the_tests_of_the_examples_hold_for_their_scripts(
    key: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = shutil.copytree(BESIDE, tmp_path / "flows")
    for flow in diagnose(text, name=key, folder=folder)[0]:
        try:
            write_script(flow)
        except CannotEject as error:
            (found,) = error.diagnostics
            assert found.code == "not-ejectable"
            assert found.message.startswith("no short script does the same as ")
            assert found.helps
            assert len(found.message) < 80
            continue
        kinds = {step.KEY for step in walk(flow.steps)}
        assert not kinds & REFUSED
        if "exec" not in kinds:
            is_case_alike(flow, monkeypatch)


def test_only_these_steps_have_no_example_that_becomes_a_script(tmp_path: Path) -> None:
    folder = shutil.copytree(BESIDE, tmp_path / "flows")
    written = set[str]()
    for key, step in all_steps().items():
        for text in step.EXAMPLES:
            for flow in diagnose(text, name=key, folder=folder)[0]:
                try:
                    write_script(flow)
                except CannotEject:
                    continue
                written |= {inner.KEY for inner in walk(flow.steps)}
    assert set(all_steps()) - written == REFUSED


def refusal(text: str) -> str:
    with pytest.raises(FlowError) as caught:
        write_script(read(text))
    (found,) = caught.value.diagnostics
    assert found.code == "not-ejectable"
    return found.message.removeprefix("no short script does the same as ")


@pytest.mark.parametrize(
    ("flow", "what"),
    [
        ("subscribe: a\nsteps: [delay: 5s, publish: b]", "`delay`"),
        ("subscribe: a\nsteps: [{throttle: {rate: 5s, keep: last}}, publish: b]", "`throttle` with `keep: last`"),
        ("subscribe: a\nsteps: [sample: 5s, publish: b]", "`sample` with a duration"),
        ("subscribe: a\nsteps: [{state: {set: x, persist: true}}, publish: b]", "`state` with `persist`"),
        ("subscribe: a\nsteps: [{state: {set: x, scope: shared}}, publish: b]", "`state` with `scope: shared`"),
        ("subscribe: a\nsteps: [json, {dedupe: {key: payload, ttl: 5h}}, publish: b]", "`ttl` of `dedupe`"),
        ("subscribe: a\nsteps: [decode: yaml, publish: b]", "`decode: yaml`"),
        ("subscribe: a\nsteps: [json, encode: csv, publish: b]", "`encode: csv`"),
        ("subscribe: a\nsteps: [json, convert: {t: time}, publish: b]", "`convert` to `time`"),
        ("subscribe: a\nsteps: [{publish: {topic: b, connection: cloud}}]", "the connection `cloud`"),
        ("subscribe: {topic: a, connection: cloud}\nsteps: [publish: b]", "the connection `cloud`"),
        ("cron: 0 7 * * *\nsteps: [publish: b]", "`cron`"),
        ("subscribe: a\nevery: 5s\nsteps: [publish: b]", "several kinds of sources"),
        ("subscribe: [{topic: a, retained: new}, b]\nsteps: [publish: c]", "`retained` that differs"),
        ("subscribe: a\non_error: {publish: e}\nsteps: [json, split: payload, publish: b]", "steps in `on_error` beside `split`, `fork` or `call`"),
        ("subscribe: a\non_error: continue\nsteps: [json, split: payload, publish: b]", "`on_error` around `split`"),
        ("subscribe: a\non_error: [{log: '${error.line}'}]\nsteps: [json, publish: b]", "`on_error` that asks for more than `error.message`"),
        ("subscribe: a\nsteps: [json, {retry: {steps: [split: payload]}}, publish: b]", "`retry` with a `split` inside"),
        ("subscribe: a\nsteps: [json, {write: {file: a.jsonl, rotate: {size: 1MB}}}]", "`write` of CSV, or with `rotate`"),
        ("subscribe: [a/#, a/b]\nsteps: [reply]", "filters that overlap"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(flow: str, what: str) -> None:
    assert refusal(flow) == what


FLOWS = {
    "quotes and braces": """
        subscribe: a/+b
        steps:
          - json
          - publish: {topic: "out/${b}", payload: 'say "{x}" \\ ${payload["q"]} ${payload.get("n", "\\"")} {${b}}'}
    """,
    "formats": """
        subscribe: a/+b
        steps:
          - json
          - publish: {topic: out, payload: "${payload.n:08.2f}|${payload.n:>10}|${payload.q}|${payload.n}|${[1, true, null]}"}
    """,
    "every way to name": """
        subscribe: a/+id
        vars: {os: [1, 2], json: 7, text: hello, client: c}
        steps:
          - json
          - let: {print: "${payload.n + 1}", type: x}
          - publish: {topic: "out/${id}", payload: "${os} ${json} ${text} ${print} ${client} ${type} ${flow} ${topic}"}
    """,
    "functions": """
        subscribe: a/+b
        steps:
          - json
          - map:
              a: "${round(payload.n, 1)} ${sorted([3, 1, 2], reverse=true)} ${mean([1, 2, 6])} ${median([1, 2, 6, 9])}"
              b: "${[x * 2 for x in range(3) if x != 1]} ${{k: v for k, v in payload.items() if k != 'q'}}"
              c: "${zip([1, 2], ['x', 'y'])} ${enumerate(['p'])} ${unique([2, 1, 2])} ${iso(0)} ${iso(1.25)}"
              d: "${match('[a-z]+', 'abc')} ${hash({'a': 1})} ${str(payload)} ${payload.keys()} ${len(payload.values())}"
              e: "${sorted([{'n': 2}, {'n': 1}], key='n')} ${'a,b'.split(',')} ${'a=b'.partition('=')} ${sqrt(16)}"
              f: "${x if (x := 1) else 2}"
          - publish: out
    """.replace('              f: "${x if (x := 1) else 2}"\n', ""),
    "switch with a split inside": """
        subscribe: a/+b
        steps:
          - json
          - switch:
              - when: payload.n > 5
                steps: [{split: "[payload.n, 7]"}]
              - when: payload.n > 2
                steps: [{set: {y: 1}}]
          - publish: {topic: out, payload: "${payload} ${b}"}
    """,
    "switch that matches all": """
        subscribe: a/+b
        steps:
          - json
          - switch:
              match: all
              cases:
                - {when: payload.n > 2, steps: [{set: {y: 1}}]}
                - {when: payload.n > 5, steps: [{set: {z.w: 1}}, {publish: big}]}
          - publish: out
    """,
    "when": """
        subscribe: a/+b
        steps:
          - json
          - when: payload.n > 5
            split: "[1, 2]"
          - when: payload != 2
            set: {x: 1}
            on_error: continue
          - publish: out
    """,
    "handled": """
        subscribe: a/+b
        on_error: [{publish: {topic: "errors/${b}", payload: "${payload}"}}]
        steps:
          - json
          - map: payload.missing
            on_error: {publish: "first/${b}"}
          - publish: out
    """,
    "handled by the flow": """
        subscribe: a/+b
        on_error: [{log: "${error.message}"}, {publish: {topic: "errors/${b}"}}]
        steps: [json, map: payload.n + payload.q, publish: out]
    """,
    "continued": """
        subscribe: a/+b
        on_error: continue
        steps: [json, map: payload.missing, set: {x: 1}, publish: out]
    """,
    "dropped": """
        subscribe: a/+b
        on_error: {publish: errors}
        steps: [{decode: utf-8}, {when: "b != 'x'", on_error: drop, map: "1 / 0"}, {publish: out}]
    """,
    "several filters": """
        subscribe: [a/+b, "x/+c/+b", "rest/#b"]
        steps: [{publish: "out/${b}"}]
    """,
    "fields inside of fields": """
        subscribe: a/+b
        steps:
          - json
          - set: {in.ner: "${payload.n}", top: 2}
          - pick: [in.ner, top, gone.x]
          - rename: {in.ner: n, top: deep.top}
          - remove: [deep.none]
          - scale: {field: n, from: [0, 10], to: [0, 100], clamp: true, round: 1}
          - publish: out
    """,
    "a called flow": """
        flows:
          main:
            subscribe: a/+b
            vars: {limit: 3, mine: 1}
            steps:
              - json
              - call: {flow: judge, with: {room: "${b}", least: "${mine}"}}
              - call: {flow: judge, with: {room: second, least: 2}}
              - publish: {topic: out, payload: "${payload} ${limit}"}
          judge:
            vars: {limit: 5, least: 0}
            steps:
              - filter: payload.n > least and payload.n < limit + 10
              - set: {room: "${room}", limit: "${limit}"}
              - publish: judged/${room}
    """,
    "a filter with steps": """
        subscribe: a/+b
        steps:
          - json
          - filter: {if: not payload.n, else: [{publish: other}, stop: no]}
          - publish: out
    """,
    "retained only": "subscribe: {topic: a/+b, retained: only}\nsteps: [publish: out]",
    "retained new": "subscribe: {topic: a/+b, retained: new}\nsteps: [publish: out]",
    "counters": """
        subscribe: a/+b
        steps:
          - json
          - state: {increment: total, key: b, amount: "${payload.n}"}
          - state: {get: last, default: none}
          - state: {set: last, value: "${payload.n}", as: now_last}
          - sample: {every: 2, by: b}
          - publish: {topic: out, payload: "${total} ${last} ${now_last}"}
    """,
}  # fmt: skip
MESSAGES = [
    message("a/1", {"n": 3.5, "q": 'x"y'}), message("a/x", {"n": 7, "q": "ü"}), message("a/1", {"n": 0, "q": None}, retain=True),
    message("a/b", b"no json"), message("a/b", [1]), message("x/1/2", b"3"), message("rest/p/q", b""), message("a/2", 2),
]  # fmt: skip


@pytest.mark.parametrize("name", FLOWS)
def test_scripts_publish_what_their_flows_publish(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = diagnose(FLOWS[name])[0][0]
    script = Ejected(flow, monkeypatch)
    for one in MESSAGES:
        is_skipped = {"retained only": not one.retain, "retained new": one.retain}.get(name, False)
        before = len(script.client.published)
        script.get(one)
        if is_skipped:
            assert len(script.client.published) == before
    wanted = [
        one for one in MESSAGES if not {"retained only": not one.retain, "retained new": one.retain}.get(name, False)
    ]
    expected = run(flow, *wanted).published
    assert expected
    assert [(one.topic, one.payload, one.qos, one.retain) for one in script.client.published] == [
        (one.topic, one.payload, one.qos, one.retain) for one in expected
    ], script.text


def test_properties_go_in_and_out(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = read("""
        subscribe: {topic: a, no_local: true, qos: 1}
        steps:
          - reply: {payload: "${properties.user.unit}"}
          - publish: {topic: b, properties: {content_type: text/plain, user: {x: "${properties.content_type}"}}}
    """)
    given = message("a", "1", properties={
        "response_topic": "back", "correlation_data": b"\xff", "user": {"unit": "C"}, "content_type": "t",
    })  # fmt: skip
    script = Ejected(flow, monkeypatch)
    script.get(given)
    assert script.client.published == run(flow, given).published
    ((topic, options),) = script.client.subscribed
    assert (topic, options["options"].noLocal, options["options"].QoS) == ("a", True, 1)
    assert "protocol=mqtt.MQTTv5" in script.text


def test_a_bad_message_does_not_end_the_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Ejected(read("subscribe: a\nsteps: [json, publish: b]"), monkeypatch)
    script.get(message("a", "{"))
    assert capsys.readouterr().err.startswith("dropped a message on a: JSONDecodeError: ")


def test_a_program_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Ejected(read("subscribe: a\nsteps: [exec: [tr, a-z, A-Z], publish: b]"), monkeypatch)
    script.get(message("a", "loud"))
    assert [one.payload for one in script.client.published] == [b"LOUD"]


def test_lines_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    script = Ejected(
        read("subscribe: a/+b\nsteps: [json, {write: 'log-${b}.jsonl'}, {write: {file: all.jsonl, value: '${b}'}}]"),
        monkeypatch,
    )
    for topic in ("a/1", "a/..", "a/1"):
        script.get(message(topic, {"x": "ü"}))
    assert (tmp_path / "log-1.jsonl").read_text("utf-8") == '{"x":"ü"}\n' * 2
    assert (tmp_path / "all.jsonl").read_text("utf-8").count("\n") in (2, 3)


@pytest.mark.parametrize(
    ("source", "beginning"),
    [
        ("every: 5s", ["time.sleep(5)", 'attempt(handle, client, "every/flow", number)']),
        ("every: {interval: 500ms, count: 3, immediately: true}", ["for number in range(1, 4):", "time.sleep(0.5)"]),
        ("at_start: {x: 1}", ['attempt(handle, client, "at_start/flow", {"x": 1})', "client.disconnect()"]),
    ],
)
def test_ticks_are_loops(source: str, beginning: list[str]) -> None:
    text = write_script(read(f"{source}\nsteps: [publish: b]"))
    assert all(line in text for line in beginning)
    assert "on_message" not in text


@pytest.mark.parametrize("name", SAMPLES)
def test_scripts_are_tidy(name: str, tmp_path: Path) -> None:
    text = write_script(SAMPLES[name])
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "import flowrunner" not in text
    assert '"""' in text
    for step in walk(SAMPLES[name].steps):
        assert f"# {step.KEY}" in text
