"""Flows that may publish only so far, and a runner that only looks."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.compile import compile_flow
from flowrunner.connections import Notice
from flowrunner.errors import StepError
from flowrunner.read.flow import read_flows
from flowrunner.read.permission import is_allowed
from flowrunner.read.settings import Settings
from flowrunner.read.settings_file import is_concerned, words_for
from flowrunner.run.permission import limited
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.flow_host import read
from tests.mosquitto import Mosquitto
from tests.run.fakes import Hand, Told, quick_backoff, ready, until


@pytest.mark.parametrize(
    ("topic", "allowed", "is_fine"),
    [
        ("rooms/a", [("rooms/",)], True),
        ("rooms/a/b", [("rooms",)], True),
        ("rooms", [("rooms/",)], True),
        ("roomservice", [("rooms",)], False),
        ("alarms/x", [("rooms/", "alarms")], True),
        ("rooms/a", [("rooms",), ("rooms/b",)], False),
        ("rooms/b/c", [("rooms",), ("rooms/b",)], True),
        ("a", [()], False),
        ("a", [], True),
        ("/a", [("a",)], False),
    ],
)
def test_where_a_flow_may_publish(topic: str, allowed: list[tuple[str, ...]], is_fine: bool) -> None:
    assert is_allowed(topic, allowed) is is_fine
    sent: list[str] = []
    publish = limited(lambda topic, *_: sent.append(topic), allowed)
    if is_fine:
        publish(topic, b"")
        publish(topic, b"")
        assert sent == [topic, topic]
    else:
        with pytest.raises(StepError) as caught:
            publish(topic, b"")
        assert caught.value.code == "not-allowed"
        assert sent == []


@pytest.mark.parametrize(
    ("said", "allowed", "mistakes"),
    [
        ("rooms/x", "rooms/", []),
        ("alarms/x", "rooms/", ["alarms/x"]),
        ("${payload}/x", "rooms/", []),
        ("rooms/${topic}", "rooms/kitchen", []),
        ("roo${topic}", "rooms/kitchen", []),
        ("alarms/${topic}", "rooms/", ["alarms/${topic}"]),
        ("a", "[]", ["a"]),
    ],
)
def test_what_can_be_seen_is_said_by_check(said: str, allowed: str, mistakes: list[str]) -> None:
    text = f"subscribe: in\npublish_only: {allowed}\nsteps:\n  - decode: utf-8\n  - publish: {said!r}\n"
    source = Source("flows/f.yaml", text)
    _, found = read_flows(source, name="f", folder=Path(), settings=Settings(), steps=all_steps())
    assert [(one.code, one.span.text.strip("'")) for one in found] == [("not-allowed", one) for one in mistakes]


def test_settings_bind_all_flows_and_dead_letters_too() -> None:
    text = "subscribe: in\nsteps:\n  - json\n    \non_error: {publish: errors/x}\n"
    settings = Settings(publish_only=("rooms",))
    source = Source("flows/f.yaml", text)
    _, found = read_flows(source, name="f", folder=Path(), settings=settings, steps=all_steps())
    assert [one.code for one in found] == ["not-allowed"]
    assert found[0].helps == ("`publish_only` allows `rooms`",)


@pytest.mark.broker
async def test_a_topic_that_is_computed_is_refused_where_it_comes_out(mosquitto: Mosquitto) -> None:
    text = "subscribe: in\npublish_only: rooms/\nsteps:\n  - decode: utf-8\n  - publish: ${payload}\n"
    told = Told()
    runner = Runner({"default": mosquitto.settings()}, Report(told.lines.append), backoff=quick_backoff)
    try:
        await runner.apply([compile_flow(read(text, name="flow"))])
        await ready(runner)
        async with Hand(mosquitto.settings(), "rooms/#", "alarms/#") as hand:
            for topic in (b"alarms/a", b"rooms/a"):
                await hand.publish("in", topic)
            await until(lambda: hand.got)
            assert [message.topic for message in hand.got] == ["rooms/a"]
    finally:
        await runner.close()
    assert "error[not-allowed]: the flow may not publish to `alarms/a`" in told.text
    assert "help: `publish_only` allows `rooms/`" in told.text


@pytest.mark.broker
async def test_read_only_shows_everything_and_changes_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    flows = {
        "copy": "subscribe: {topic: in/#, share: group, qos: 1}\nsteps:\n  - publish: {topic: out, qos: 1, retain: true}\n",
        "sink": "subscribe: in/#\nsteps:\n  - json\n  - write: log.jsonl\n  - http: http://h\n",
    }
    told = Told()
    settings = mosquitto.settings(
        client_id="plant-7", keep=3600.0, birth=Notice("birth"), will=Notice("will"), close=Notice("close")
    )
    runner = Runner({"default": settings}, Report(told.lines.append), is_read_only=True, backoff=quick_backoff)
    try:
        programs = [compile_flow(read(text, name=name, folder=tmp_path)) for name, text in flows.items()]
        await runner.apply(programs)
        await ready(runner)
        async with Hand(mosquitto.settings(), "#") as hand:
            await hand.publish("in/a", b"{}")
            await until(lambda: "→ out" in told.text)
            await hand.publish("in/end")
            await until(lambda: "in/end" in {message.topic for message in hand.got})
            assert {message.topic for message in hand.got} == {"in/a", "in/end"}
            assert list(runner.flows) == ["copy"]
            runner.tell("reload", b"{}")
            runner.publisher("default")("out", b"by hand")
            own = runner.connections["default"].client_id
    finally:
        await runner.close()
    assert "sink does not run: with --read-only there is no `http`, `write`" in told.text
    assert own != "plant-7"
    assert "plant-7" not in mosquitto.log
    assert f"Received PUBLISH from {own}" not in mosquitto.log
    assert "$share" not in mosquitto.log
    assert "Will message" not in mosquitto.log.replace("No will message", "")
    assert not (tmp_path / "log.jsonl").exists()


@pytest.mark.broker
async def test_what_is_kept_beside_the_flows_is_for_its_owner_only(mosquitto: Mosquitto, tmp_path: Path) -> None:
    text = "subscribe: in\nsteps:\n  - decode: utf-8\n  - state: {set: last, persist: true}\n"
    program = compile_flow(read(text, name="flow"))
    runner = Runner({"default": mosquitto.settings()}, Report(Told().lines.append), folder=tmp_path)
    try:
        await runner.apply([program])
        await ready(runner)
        async with Hand(mosquitto.settings()) as hand:
            await hand.publish("in", b"x")
    finally:
        await runner.close()
    folder = tmp_path / ".flowrunner"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.name.startswith("state") for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_other_limits_in_the_settings_concern_every_flow() -> None:
    before, after = Settings(), Settings(publish_only=("rooms/",))
    words = frozenset(words_for(before, after))
    assert is_concerned("subscribe: a\nsteps: []\n", words)
    assert not frozenset(words_for(after, after))


@pytest.mark.broker
def test_the_command_only_looks_and_tells_the_protocol(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_text("subscribe: in\nsteps:\n  - publish: out\n")
    words = [sys.executable, "-m", "flowrunner", "run", str(tmp_path), "--read-only", "--explain"]
    words += ["--broker", f"mqtt://me:hunter2@127.0.0.1:{mosquitto.port}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if "SUBACK" in line:
                break
        child.terminate()
        rest, errors = child.communicate(timeout=20)
    text = "".join(lines) + rest
    assert "only looking: nothing is published; what would be is shown" in text
    assert "← SUBACK: `in` granted at QoS 0" in text
    assert "in `ps`" in errors
    assert "hunter2" not in text + errors
    assert "has no effect" not in errors
    assert not (tmp_path / ".flowrunner").exists()
