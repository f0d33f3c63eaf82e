"""`flowrunner test`: what it prints, what it writes, and its exit codes."""

import json
import os
import re
import threading
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.command_line import Run, finish, start, wait_for
from tests.goldens_files import GOLDENS

FLOW = """\
subscribe: sensors/+room/climate
steps:
  - json
  - filter: payload.temperature > 25
  - set:
      level: ${"hot" if payload.temperature > 30 else "warm"}
  - publish: alerts/${room}
tests:
  - name: a warm room raises an alert
    given: {topic: sensors/kitchen/climate, payload: {temperature: 31}}
    expect: {topic: alerts/kitchen, payload: {temperature: 31, level: warm, by: [1, 2]}}
  - name: one message too many
    given:
      - {topic: sensors/kitchen/climate, payload: {temperature: 26}}
      - {after: 90s}
      - {topic: sensors/bath/climate, payload: {temperature: 26}}
    expect: {topic: alerts/kitchen}
  - name: a field is missing
    given: {topic: sensors/kitchen/climate, payload: {temprature: 31}}
    expect: {topic: alerts/kitchen}
  - name: nobody hears this
    given: {topic: sensor/kitchen/climate, payload: {temperature: 31}}
    expect: {topic: alerts/kitchen}
  - given: {topic: sensors/kitchen/climate, payload: {temperature: 20}}
    expect: []
"""
GOOD = "subscribe: in\nsteps: [publish: out]\ntests:\n  - {name: it goes through, given: {topic: in}, expect: {topic: out}}\n"
GOOD = GOOD.replace("[publish: out]", "[{publish: out}]")


@pytest.fixture
def flows(folder: Path) -> Path:
    """A folder `flows` with a flow whose tests fail, and one whose test passes."""
    (folder / "flows").mkdir()
    (folder / "flows" / "good.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "flows" / "heat.yaml").write_text(FLOW, encoding="utf-8")
    return folder / "flows"


def without_times(text: str) -> str:
    return re.sub(r"in \d+\.\d+s", "in 0.00s", text)


def same_as_golden(name: str, shown: str) -> None:
    golden = GOLDENS / "test" / name
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def test_failures_are_shown_with_frames_and_differences(run: Run, flows: Path) -> None:
    result = run("test")
    assert result.code == 1
    same_as_golden("failures.txt", without_times(result.out))


def test_colours_where_they_are_wanted(run: Run, flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = run("test", "flows/heat.yaml", "-x").out
    assert '\x1b[31m  - alerts/kitchen  {"temperature":31,"level":"warm","by":[1,2]}\x1b[0m' in out
    assert '\x1b[32m  + alerts/kitchen  {"temperature":31,"level":"hot"}\x1b[0m' in out


def test_all_passes(run: Run, flows: Path) -> None:
    result = run("test", "flows/good.yaml")
    assert result.code == 0
    assert without_times(result.out) == "flows/good.yaml .\n" + " 1 passed in 0.00s ".center(80, "=") + "\n"
    assert result.err == ""


def test_a_choice_by_words(run: Run, flows: Path) -> None:
    result = run("test", "-v", "-k", "good or (heat and field)")
    assert result.out.startswith(
        "passed flows/good.yaml:4 good: it goes through\nFAILED flows/heat.yaml:18 heat: a field is missing\n"
    )
    assert "1 failed, 1 passed in" in result.out
    nothing = run("test", "-k", "nowhere")
    assert (nothing.code, nothing.out) == (2, "")
    assert "no test fits `-k nowhere`" in nothing.err
    wrong = run("test", "-k", "a and")
    assert wrong.code == 2
    assert "`-k` cannot be read: a part of a name is missing at the end" in wrong.err


def test_stop_at_the_first_failure(run: Run, flows: Path) -> None:
    assert "1 failed, 1 passed in" in run("test", "-x").out


def test_a_file_alone_finds_the_flows_that_it_calls(run: Run, flows: Path) -> None:
    (flows / "judge.yaml").write_text("steps: [{filter: 'topic == \"in\"'}]\n", encoding="utf-8")
    (flows / "good.yaml").write_text(GOOD.replace("[{publish", "[{call: judge}, {publish"), encoding="utf-8")
    result = run("test", "flows/good.yaml")
    assert result.code == 0, result.out
    assert "1 passed" in result.out


def test_no_tests_are_no_failure(run: Run, folder: Path) -> None:
    (folder / "flow.yaml").write_text("subscribe: in\nsteps: [json]\n", encoding="utf-8")
    result = run("test", "flow.yaml")
    assert result.code == 0
    assert "no tests ran in" in result.out


def test_a_mistake_in_one_file_does_not_keep_the_others_from_being_tested(run: Run, flows: Path) -> None:
    (flows / "bad.yaml").write_text("subscribe: in\nsteps: [jso]\ntests: [{given: [], expect: []}]\n", encoding="utf-8")
    result = run("test", "-k", "good")
    assert result.code == 1
    assert "error[unknown-step]: there is no step `jso`" in result.out
    assert "1 passed, 1 error in" in result.out


def test_lines_for_editors_and_for_github(run: Run, flows: Path) -> None:
    concise = run("test", "--format", "concise")
    assert concise.code == 1
    assert concise.out.splitlines()[0] == (
        "flows/heat.yaml:11:13: error[test-failed] a warm room raises an alert: the message is not as expected "
        '(payload.level: expected "warm", got "hot")'
    )
    assert "4 failed, 2 passed in" in concise.err
    github = run("test", "--format", "github").out.splitlines()
    assert github[0].startswith(
        "::error file=flows/heat.yaml,line=11,endLine=11,col=13,endColumn=89,title=flowrunner test-failed::a warm room"
    )
    assert any("title=flowrunner missing-field::" in line for line in github)
    assert all(line.startswith("::error file=flows/heat.yaml,line=") for line in github)


def test_json_says_everything(run: Run, flows: Path) -> None:
    result = run("test", "--json", "--coverage")
    found = json.loads(result.out)
    assert (result.code, found["passed"], found["failed"]) == (1, 2, 4)
    good, warm, many, field, nobody, last = found["tests"]
    assert (good["outcome"], good["file"], good["flow"], good["name"], good["line"]) == (
        "passed", "flows/good.yaml", "good", "it goes through", 4,
    )  # fmt: skip
    assert warm["failure"]["code"] == "test-failed"
    assert warm["messages"][0]["differences"][0] == 'payload.level: expected "warm", got "hot"'
    assert warm["messages"][0]["got"]["payload"] == {"temperature": 31, "level": "hot"}
    assert [message["is_same"] for message in many["messages"]] == [True, False]
    assert field["errors"][0]["code"] == "missing-field"
    assert nobody["unheard"] == ["sensor/kitchen/climate"]
    assert last["name"] == "test in line 24"
    assert [file["percent"] for file in found["coverage"]] == [100, 100]


def test_junit(run: Run, flows: Path) -> None:
    (flows / "bad.yaml").write_text("subscribe: in\nsteps: [jso]\n", encoding="utf-8")
    assert run("test", "--junit", "out/report.xml").code == 1
    suites = ET.parse("out/report.xml").getroot()
    assert suites.attrib == {"tests": "7", "failures": "4", "errors": "1"}
    cases = suites.findall("./testsuite/testcase")
    assert [case.attrib["name"] for case in cases][:2] == ["it goes through", "a warm room raises an alert"]
    failure = cases[1].find("failure")
    assert failure is not None
    assert 'payload.level: expected "warm", got "hot"' in (failure.text or "")
    assert cases[-1].attrib["classname"] == "flows/bad.yaml"
    assert cases[-1].find("error") is not None


def test_names_and_payloads_that_xml_cannot_hold(run: Run, folder: Path) -> None:
    text = 'subscribe: in\nsteps: [{publish: out}]\ntests: [{name: "a\\u0001<b>", given: {topic: in, payload_hex: "00"}, expect: []}]\n'
    (folder / "flow.yaml").write_text(text, encoding="utf-8")
    run("test", "flow.yaml", "--junit", "report.xml")
    (case,) = ET.parse("report.xml").getroot().findall("./testsuite/testcase")
    assert case.attrib["name"] == "a\ufffd<b>"


def test_coverage_as_a_table(run: Run, flows: Path) -> None:
    (flows / "heat.yaml").write_text(FLOW[: FLOW.index("tests:")], encoding="utf-8")
    out = run("test", "--coverage").out
    assert (
        out.partition("\n\n")[2]
        == without_times(
            "file                steps  branches  reached\n"
            "flows/good.yaml       1/1       0/0    100 %\n"
            "flows/heat.yaml       0/4       0/2      0 %\n"
            "all                   1/5       0/2     14 %\n"
            "\n"
            "no test has reached:\n"
            "  flows/heat.yaml:3:5  `json`\n"
            "  flows/heat.yaml:4:5  `filter`\n"
            "  flows/heat.yaml:4:13  `filter` keeps\n"
            "  flows/heat.yaml:4:13  `filter` drops\n"
            "  flows/heat.yaml:5:5  `set`\n"
            "  flows/heat.yaml:7:5  `publish`\n"
            "\n"
        )
        + out[out.index("=====") :]
    )


DAY = """\
{"time": "2026-11-22T13:40:00.000000Z", "topic": "sensors/kitchen/climate", "payload": "{\\"temperature\\": 26}"}
{"time": "2026-11-22T13:40:02.500000Z", "topic": "sensors/bath/climate", "payload": "{\\"temperature\\":31}", "qos": 1}
{"time": "2026-11-22T13:40:03.000000Z", "topic": "other", "payload_base64": "/w=="}
{"time": "2026-11-22T13:40:05.000000Z", "topic": "sensors/attic/climate", "payload": "what"}
"""


@pytest.fixture
def day(flows: Path) -> Path:
    (flows / "heat.yaml").write_text(FLOW[: FLOW.index("tests:")], encoding="utf-8")
    (flows.parent / "day.jsonl").write_text(DAY, encoding="utf-8")
    return flows


def test_a_test_out_of_a_recording(run: Run, day: Path) -> None:
    result = run("test", "--from", "day.jsonl", "heat", "--name", "a day", "--until", "4s")
    assert result.code == 0
    assert result.out == (
        "- name: a day\n"
        "  given:\n"
        "    - {topic: sensors/kitchen/climate, payload: '{\"temperature\": 26}'}\n"
        "    - {after: 2500ms}\n"
        "    - {topic: sensors/bath/climate, payload: {temperature: 31}, qos: 1}\n"
        "  expect:\n"
        "    - {topic: alerts/kitchen, payload: {temperature: 26, level: warm}}\n"
        "    - {topic: alerts/bath, payload: {temperature: 31, level: hot}}\n"
    )
    assert "a test out of 2 messages: 2 published; read what it expects before you trust it" in result.err


@pytest.mark.parametrize("flow", ["heat", "flows/heat.yaml", "flows/heat.yaml#heat"])
def test_a_test_out_of_a_recording_is_written_and_passes(run: Run, day: Path, flow: str) -> None:
    result = run("test", "--from", "day.jsonl", "--write", flow)
    assert (result.code, result.out) == (0, "")
    assert "error[not-json]" in result.err
    assert "added to flows/heat.yaml" in result.err
    again = run("test")
    assert again.code == 0, again.out
    assert "2 passed" in again.out


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--from", "day.jsonl"], 2, "`--from` needs the flow"),
        (["--from", "day.jsonl", "heet"], 2, "did you mean `heat`?"),
        (["--from", "day.jsonl", "good"], 1, "no message of this stretch is for the flow `good`"),
        (["--from", "day.jsonl", "heat", "--since", "soon"], 2, "`--since` must be a time such as `13:40`"),
        (["--from", "day.jsonl", "heat", "--since", "1h"], 1, "no message of this stretch"),
        (["--from", "flows/good.yaml", "heat"], 1, "error[bad-recording]"),
        (["--from", "nothing.jsonl", "heat"], 2, "nothing.jsonl"),
        (["--since", "1h"], 2, "`--since` goes with `--from`"),
        (["--write"], 2, "`--write` goes with `--from`"),
    ],
)
def test_what_cannot_be_made_into_a_test(run: Run, day: Path, words: list[str], code: int, complaint: str) -> None:
    result = run("test", *words)
    assert result.code == code
    assert complaint in result.err


def test_times_of_day_are_those_of_the_watch_on_the_wall(run: Run, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Vienna")
    time.tzset()
    try:
        out = run("test", "--from", "day.jsonl", "heat", "--since", "14:40:01", "--until", "14:40:03").out
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert out.count("topic: sensors/") == 1
    assert 'name: "recorded on 2026-11-22 at 14:40:02"' in out


def test_an_edit_runs_again_what_it_touches(flows: Path) -> None:
    process = start("test", "--watch")
    seen: list[str] = []
    assert process.stderr is not None

    def read() -> None:
        assert process.stdout is not None
        seen.extend(line.decode() for line in process.stdout)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_for(lambda: any("4 failed, 2 passed" in line for line in seen), "the first run")
    assert b"waiting for an edit" in process.stderr.readline()
    (flows / "good.yaml").write_text(GOOD.replace("expect: {topic: out}", "expect: []"), encoding="utf-8")
    wait_for(lambda: any(" 1 failed in" in line for line in seen), "the second run")
    process.terminate()
    assert finish(process).code != 0
    thread.join(5)
