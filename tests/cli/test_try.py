"""`try`: one message through a flow, what each step does with it, and nothing done outside."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import Run, finish, start

FLOWS = Path(__file__).parents[2] / "flows"
WARM = ["-t", "sensors/kitchen/climate", "-m", '{"temperature": 31}']


def write(folder: Path, **flows: str) -> None:
    (folder / "flows").mkdir(exist_ok=True)
    for name, text in flows.items():
        (folder / "flows" / f"{name}.yaml").write_text(text, encoding="utf-8")


def tried(run: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    result = run("try", *arguments, "--json")
    assert result.code == code, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def results(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["step"], step["result"]) for step in found["steps"]]


def test_every_step_shows_what_it_changed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FLOWS.parent)
    result = run("try", "overheat", *WARM)
    assert (result.code, result.out) == (0, GOLDEN)


GOLDEN = """\
overheat ← sensors/kitchen/climate {"temperature": 31}
    room = "kitchen"
✓ decode: utf-8  flows/overheat.yaml:5
    - payload: b'{"temperature": 31}'
    + payload: "{\\"temperature\\": 31}"
✓ json  flows/overheat.yaml:6
    - payload: "{\\"temperature\\": 31}"
    + payload: {"temperature": 31}
✓ filter: payload.temperature > 25  flows/overheat.yaml:7
    payload.temperature is 31
✓ set:  flows/overheat.yaml:8
    + payload.level: "hot"
✓ publish: alerts/${room}  flows/overheat.yaml:10
    → alerts/kitchen {"temperature":31,"level":"hot"}

1 message would be published
"""


def test_the_diff_is_coloured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = run("try", "overheat", *WARM, FLOWS).out
    assert '\x1b[32m+ payload.level: "hot"\x1b[0m' in out
    assert "\x1b[31m- payload: b'" in out


def test_a_dropped_message_says_where_and_why(run: Run) -> None:
    found = tried(run, "overheat", "-t", "sensors/attic/climate", "-m", '{"temperature": 25}', FLOWS)
    assert found["published"] == []
    last = found["steps"][-1]
    assert (last["step"], last["result"], last["reason"]) == ("filter 1", "ended", "dropped: the condition is false")
    assert last["read"] == {"payload.temperature": 25}


def test_a_failing_step_shows_its_frame_and_the_exit_code_tells(run: Run) -> None:
    result = run("try", "overheat", "-t", "sensors/attic/climate", "-m", '{"temprature": 25}', FLOWS)
    assert result.code == 1
    assert "    error[missing-field]: the payload has no field `temperature`\n" in result.out
    assert "help: did you mean `temprature`?" in result.out
    assert result.out.endswith("nothing would be published; a step failed\n")


def test_the_branch_that_was_taken_is_shown(run: Run) -> None:
    out = run("try", "comfort", "-t", "sensors/bath/climate", "-m", '{"temperature": 12}', FLOWS).out
    assert "\n  case 1: payload.temperature < cold\n    ✓ publish: {topic:" in out
    assert "    cold is 19\n" in out
    found = tried(run, "gateway", "-t", "gateway/a", "-m", '{"readings": [{"sensor": "x", "battery": 9}]}', FLOWS)
    assert [step["way"] for step in found["steps"] if "way" in step] == ["branch 1", "branch 2"]


def test_a_split_shows_every_item(run: Run) -> None:
    message = '{"readings": [{"sensor": "x", "battery": 90}, {"sensor": "y", "battery": 9}]}'
    found = tried(run, "gateway", "-t", "gateway/a", "-m", message, FLOWS)
    assert results(found) == [
        ("json 1", "passed"), ("split 1", "passed"),
        ("fork 1", "passed"), ("publish 1", "passed"), ("filter 1", "ended"),
        ("split 1", "later"),
        ("fork 1", "passed"), ("publish 1", "passed"), ("filter 1", "passed"), ("publish 2", "passed"),
    ]  # fmt: skip
    assert [message["topic"] for message in found["published"]] == ["sites/a/x", "sites/a/y", "sites/a/battery"]


def test_qos_retain_and_properties_are_what_arrives_and_what_goes_out(run: Run, folder: Path) -> None:
    write(
        folder,
        f="subscribe: a\nsteps: [{publish: {topic: '${properties.response_topic}', qos: '${qos}', retain: true}}]",
    )
    letters = ["-q", 2, "-r", "-D", "publish", "response-topic", "back", "-D", "publish", "correlation-data", "x"]
    found = tried(run, "f", "-m", "hi", *letters)
    assert found["given"] == {
        "topic": "a", "payload": "hi", "qos": 2, "retain": True,
        "properties": {"response_topic": "back", "correlation_data": "x"},
    }  # fmt: skip
    assert found["published"] == [{"topic": "back", "payload": "hi", "qos": 2, "retain": True, "at": 0.0}]


def test_payloads_come_from_a_file_and_from_the_input(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [publish: out]")
    (folder / "data").write_bytes(b"\xff\x00")
    assert tried(run, "f", "-f", "data")["published"][0]["payload_base64"] == "/wA="
    assert tried(run, "f", "-n")["published"][0]["payload"] == ""
    result = finish(start("try", "f", "-s", "--json"), b"from the input")
    assert json.loads(result.out)["published"][0]["payload"] == "from the input"


def test_time_goes_on_until_nothing_is_left(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [json, {delay: 1h}, {debounce: 5s}, publish: out]")
    found = tried(run, "f", "-m", "1")
    assert [(step["step"], step["at"]) for step in found["steps"]] == [
        ("json 1", 0.0), ("delay 1", 0.0), ("delay 1", 3600.0), ("debounce 1", 3600.0), ("debounce 1", 3605.0),
        ("publish 1", 3605.0),
    ]  # fmt: skip
    assert (found["published"][0]["at"], found["lasted"], found["is_cut_short"]) == (3605.0, 3605.0, False)
    assert "\n  after 3600 s\n" in run("try", "f", "-m", "1").out


def test_for_bounds_the_time(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [json, {delay: 1h}, publish: out]")
    found = tried(run, "f", "-m", "1", "--for", "10s")
    assert (found["published"], found["is_cut_short"]) == ([], True)
    assert found["steps"][-1]["reason"] == "held, and nothing came of it in time"
    assert "there is still something to come (`--for`)" in run("try", "f", "-m", "1", "--for", "10s").out
    assert run("try", "f", "-m", "1", "--for", "10").code == 2


def test_a_flow_that_never_ends_is_ended(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [{timeout: {after: 1ms, payload: x, repeat: true}}, publish: out]")
    found = tried(run, "f", "-m", "1")
    assert found["is_cut_short"]
    assert 900 < len(found["published"]) <= 1001


OUTSIDE = """\
subscribe: a
steps:
  - json
  - write: out.jsonl
  - sqlite: {file: x.db, table: t, columns: {n: "${payload.n}"}}
  - exec: [touch, touched]
  - publish: never
"""


def test_nothing_outside_is_touched(run: Run, folder: Path) -> None:
    write(folder, f=OUTSIDE)
    found = tried(run, "f", "-m", '{"n": 7}')
    foretold = [effect["foretold"]["text"] for step in found["steps"] for effect in step["effects"]]
    assert foretold[0].endswith('out.jsonl: {"n":7}')
    assert foretold[1] == """INSERT INTO "t"("n") VALUES(:p0) with {'p0': 7}"""
    assert foretold[2] == "run touch touched"
    assert found["steps"][-1]["reason"] == "the message ends here: only `--live` can tell what comes of it"
    assert [path.name for path in folder.rglob("*")] == ["flows", "f.yaml"]


def test_live_does_it(run: Run, folder: Path) -> None:
    write(folder, f=OUTSIDE)
    found = tried(run, "f", "-m", '{"n": 7}', "--live", "--allow", "exec")
    assert [message["topic"] for message in found["published"]] == ["never"]
    assert (folder / "flows" / "out.jsonl").read_text() == '{"n":7}\n'
    assert (folder / "flows" / "x.db").exists()
    assert (folder / "flows" / "touched").exists()


def test_live_wants_to_be_allowed_what_is_dangerous(run: Run, folder: Path) -> None:
    write(folder, f=OUTSIDE)
    result = run("try", "f", "-m", '{"n": 7}', "--live")
    assert result.code == 1
    assert "error[not-allowed]" in result.err


def test_an_http_request_is_told(run: Run, folder: Path) -> None:
    write(folder, f='subscribe: a\nsteps: [{http: {url: "http://localhost:1/x", method: POST}}, publish: out]')
    effect = tried(run, "f", "-m", "hi")["steps"][0]["effects"][0]
    assert effect["foretold"] == {"step": "http 1", "text": "POST http://localhost:1/x with hi", "goes_on": False}


PYTHON = """\
subscribe: a
on_error: {publish: errors}
steps:
  - json
  - retry:
      attempts: 2
      steps:
        - python: work.py:work
  - publish: out
"""


def test_python_runs_and_attempts_are_seen(run: Run, folder: Path) -> None:
    write(folder, f=PYTHON)
    (folder / "flows" / "work.py").write_text("def work(message):\n    return 1 / message.payload\n")
    assert tried(run, "f", "-m", "4")["published"][0]["payload"] == "0.25"
    found = tried(run, "f", "-m", "0")
    kinds = [kind for step in found["steps"] for effect in step["effects"] for kind in effect]
    assert kinds == ["tried", "tried", "handled", "published"]
    assert found["steps"][-1]["way"] == "on_error of the flow"


def test_a_tick_flow_needs_no_message(run: Run) -> None:
    found = tried(run, "rooms", FLOWS)
    assert [message["topic"] for message in found["published"]] == [
        f"sensors/{room}/climate" for room in ("kitchen", "bath", "attic")
    ]
    result = run("try", "rooms", "-m", "1", FLOWS)
    assert (result.code, "it runs by ticks" in result.err) == (2, True)


def test_the_topic_of_a_flow_that_hears_one_need_not_be_said(run: Run) -> None:
    assert tried(run, "greeting", "-m", "hi", FLOWS)["given"]["topic"] == "/random/topic"
    result = run("try", "overheat", "-m", "hi", FLOWS)
    assert (result.code, "it hears `sensors/+room/climate`" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message", "help"),
    [
        (["overheat", "-t", "sensors/kitchen/climat", "-m", "1"], "does not hear `sensors/kitchen/climat`",
         "did you mean `sensors/kitchen/climate`?"),
        (["overheat", "-t", "sensors/+/climate", "-m", "1"], "one cannot publish to a wildcard", ""),
        (["overhet", "-m", "1"], "there is no flow `overhet`", "did you mean `overheat`?"),
        (["overheat", "-t", "sensors/a/climate"], "say what arrives", "flowrunner try --help"),
        (["greeting", "-m", "1", "-n"], "-m and -n both say what arrives", ""),
        (["greeting", "-m", "1", "-D", "connect", "receive-maximum", "1"], "properties of `publish` only", ""),
    ],
)  # fmt: skip
def test_wrong_usage_is_explained(run: Run, words: list[str], message: str, help: str) -> None:
    result = run("try", *words, FLOWS)
    assert result.code == 2
    assert message in result.err
    assert help in result.err


def test_a_flow_that_skips_what_was_retained_says_so(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: {topic: a, retained: new}\nsteps: [publish: out]")
    assert run("try", "f", "-m", "1").code == 0
    result = run("try", "f", "-m", "1", "-r")
    assert (result.code, "does not take a retained message on `a`" in result.err) == (2, True)


def test_a_file_may_stand_for_its_flow(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [publish: out]")
    assert tried(run, "flows/f.yaml", "-m", "1")["flow"] == "f"


def test_mistakes_in_the_flow_are_shown(run: Run, folder: Path) -> None:
    write(folder, f="subscribe: a\nsteps: [publsh: out]")
    result = run("try", "f", "-m", "1")
    assert (result.code, "error[unknown-step]" in result.err) == (1, True)


def test_a_case_that_nobody_takes_is_told(run: Run, folder: Path) -> None:
    write(
        folder,
        f="subscribe: a\nsteps:\n- json\n- switch:\n  - when: payload > 5\n    steps: [log: x]\n- when: payload > 5\n  stop: big",
    )
    found = tried(run, "f", "-m", "1")
    assert found["steps"][1]["reason"] == "no case is true"
    assert found["steps"][2]["result"] == "skipped"
    assert tried(run, "f", "-m", "9")["steps"][-1]["effects"] == [{"stopped": {"reason": "big"}}]
