"""`tap` and `status`: what a runner in another process tells, on a real mosquitto."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.runners import find_runner
from flowrunner.cli.status_lines import draw_status, number, span
from flowrunner.frame import width_of
from flowrunner.run.local_place import known_paths, process_of
from tests.cli.command_line import PATIENCE, Run, finish, start, wait_for
from tests.mosquitto import Mosquitto
from tests.run.fakes import Hand, until

pytestmark = pytest.mark.broker

WARM = """\
subscribe: sensors/+room
steps:
  - json
  - filter: payload.t > 25
  - set: {level: warm}
  - publish: alerts/${room}
"""
COUNT = """\
subscribe: {topic: in, qos: 1}
steps:
  - json
  - state: {increment: n}
  - publish: {topic: out, qos: 1, payload: "${payload} ${n}"}
"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private folder for sockets, with a short name; runners of other tests are not looked for."""
    with tempfile.TemporaryDirectory(prefix="fr") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setattr("flowrunner.run.local_place.candidates", lambda: iter([Path(folder, "flowrunner")]))
        yield Path(folder)


def write(folder: Path, **flows: str) -> Path:
    place = folder / "flows"
    place.mkdir(exist_ok=True)
    for name, text in flows.items():
        (place / f"{name}.yaml").write_text(text, encoding="utf-8")
    return place


@contextmanager
def running(place: Path, broker: Mosquitto, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`flowrunner run` in a process of its own, which can be asked."""
    process = start("run", place, "--broker", f"mqtt://127.0.0.1:{broker.port}", *words)
    assert process.stdout is not None
    line = b""
    while not line.startswith(b"connected to"):
        line = process.stdout.readline()
        assert line, process.stderr
    threading.Thread(target=process.stdout.read, daemon=True).start()
    wait_for(lambda: process.pid in map(process_of, known_paths(place)), "the socket")
    yield process
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    assert process.returncode == 0


def read_until(process: "subprocess.Popen[bytes]", words: str) -> list[str]:
    """What a process prints, up to a line with these words."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        line = process.stdout.readline().decode()
        assert line, lines
        lines.append(line)
    return lines


def tapping(*words: object) -> "subprocess.Popen[bytes]":
    """A `tap` that is there."""
    process = start("tap", *words)
    if "--json" in words:
        read_until(process, '"tapped"')
    else:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"looking into")
    return process


def say(broker: Mosquitto, topic: str, *payloads: str) -> None:
    for payload in payloads:
        command = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-t", topic, "-m", payload]
        subprocess.run(command, check=True, timeout=PATIENCE)


def statuses(run: Run, *words: object) -> list[dict[str, Any]]:
    result = run("status", *words, "--json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)["runners"]
    return found


def test_a_tap_shows_what_steps_change_until_it_has_seen_enough(run: Run, mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, warm=WARM)
    with running(place, mosquitto):
        process = tapping("warm", "-C", 2)
        say(mosquitto, "sensors/attic", '{"t": 30}', '{"t": 20}')
        result = finish(process)
        assert result.code == 0
        lines = result.out.splitlines()
        assert lines[0].endswith(' warm ← sensors/attic {"t": 30} (QoS 1)') or lines[0].endswith('{"t": 30}')
        assert lines[1:12] == [
            '    room = "attic"',
            "✓ json  flows/warm.yaml:3",
            """    - payload: b'{"t": 30}'""",
            '    + payload: {"t": 30}',
            "✓ filter: payload.t > 25  flows/warm.yaml:4",
            "    payload.t is 30",
            "✓ set: {level: warm}  flows/warm.yaml:5",
            '    + payload.level: "warm"',
            "✓ publish: alerts/${room}  flows/warm.yaml:6",
            '    → alerts/attic {"t":30,"level":"warm"}',
            "",
        ]
        assert lines[-2:] == ["    dropped: the condition is false", ""]
        (runner,) = statuses(run, place)
        assert runner["flows"][0]["received"] == 2


def test_ctrl_c_and_a_kill_end_a_tap_and_the_flow_goes_on(mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, warm=WARM)
    with running(place, mosquitto):
        polite, killed = tapping("warm/filter", place, "--json"), tapping("warm", place, "--json")
        killed.kill()
        say(mosquitto, "sensors/attic", '{"t": 30}')
        (line,) = read_until(polite, '"message"')
        assert [step["step"] for step in json.loads(line)["steps"]] == ["filter 1"]
        polite.send_signal(signal.SIGINT)
        assert finish(polite).code == 0
        again = tapping("warm/filter 1", "-W", "0.2")
        assert finish(again).code == 27


def test_a_runner_that_ends_is_said(mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, warm=WARM)
    with running(place, mosquitto):
        process = tapping("warm", "--json")
    result = finish(process)
    assert result.code == 3
    assert result.err.startswith("error: the runner (process ")


def test_what_is_not_there_is_said(run: Run, mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, warm=WARM)
    for command in (["tap", "warm"], ["status"]):
        result = run(*command)
        assert (result.code, result.err) == (
            3, "error: no runner of yours runs `flows` here: `flowrunner run` starts one\n",
        )  # fmt: skip
    with running(place, mosquitto) as process:
        result = run("tap", "warn")
        assert (result.code, result.err) == (2, "error: no flow `warn` runs here\nhelp: did you mean `warm`?\n")
        result = run("tap", "warm/sett")
        assert (result.code, "did you mean `warm/set 1`?" in result.err) == (2, True)
        assert run("tap", "/json").code == 2
        assert run("status", "nowhere").code == 2
        (folder / "garden").mkdir()
        result = run("status", "garden")
        assert result.code == 3
        assert result.err == f"error: no runner runs `garden`; there is process {process.pid} in `{place}`\n"
        assert run("status", "--process", 1).code == 3
        with running(place, mosquitto, "--read-only") as other:  # else one would steal the client id of the other
            assert {one["process"] for one in statuses(run)} == {process.pid, other.pid}
            result = run("tap", "warm")
            assert (result.code, f"--process {other.pid}" in result.err) == (2, True)
            assert statuses(run, "--process", other.pid)[0]["process"] == other.pid


def test_status_is_a_table(run: Run, mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, warm=WARM, broken="subscribe: a/#/b\nsteps: []\n")
    with running(place, mosquitto):
        say(mosquitto, "sensors/attic", '{"t": 30}', "{}")
        wait_for(lambda: statuses(run)[0]["flows"][0]["dropped"] == 1, "the error")
        lines = run("status").out.splitlines()
        assert lines[0].startswith(f"{place}  process ")
        assert lines[2].split() == [
            "FLOW",
            "STATE",
            "IN/s",
            "RECEIVED",
            "ERRORS",
            "HANDLED",
            "WAITING",
            "KEYS",
            "SINCE",
        ]
        assert lines[3].split()[:2] == ["warm", "running"]
        assert lines[3].split()[3:5] == ["2", "1"]
        assert lines[4].startswith("  ! flows/warm.yaml:4: the payload has no field `t`  once, ")
        assert f"mqtt://127.0.0.1:{mosquitto.port}  connected, MQTT 5" in "\n".join(lines)
        assert any(line.startswith("✗ flows/broken.yaml:1: ") for line in lines)
        write(folder, warm=WARM.replace("filter", "fliter"))
        wait_for(lambda: statuses(run)[0]["flows"][0]["status"] == "stale", "the mistake")
        assert "\n  ✗ flows/warm.yaml:4: there is no step `fliter`\n" in run("status").out


def test_status_is_watched_in_place_on_a_terminal_and_again_and_again_elsewhere(
    mosquitto: Mosquitto, folder: Path
) -> None:
    place = write(folder, warm=WARM)
    with running(place, mosquitto):
        process = start("status", "--watch", "--every", "0.1", "--json")
        for line in (read_until(process, "runners")[-1] for _ in range(3)):
            assert json.loads(line)["runners"][0]["flows"][0]["name"] == "warm"
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0

        leader, follower = pty.openpty()
        command = [sys.executable, "-m", "flowrunner", "status", "--watch", "--every", "0.1"]
        with (
            os.fdopen(leader, "rb", buffering=0) as screen,
            subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower) as watching,
        ):
            os.close(follower)
            seen = b""
            while seen.count(b"\x1b[H") < 3:
                seen += screen.read(10_000)
            assert b"\x1b[32mrunning\x1b[0m" in seen
            assert b"\x1b[?25l" in seen
            assert seen.count(b"\x1b[2J") == 1
            watching.send_signal(signal.SIGINT)
            while b"\x1b[?25h" not in seen:  # the cursor is back
                seen += screen.read(10_000)
            assert watching.wait(PATIENCE) == 0


async def test_nothing_is_lost_or_doubled_while_taps_come_and_go(mosquitto: Mosquitto, folder: Path) -> None:
    place = write(folder, count=COUNT)
    with running(place, mosquitto) as runner:
        sent = 0
        is_over = asyncio.Event()
        async with Hand(mosquitto.settings(), "out") as hand, Hand(mosquitto.settings()) as other:

            def has_kept_up() -> bool:  # a runner without the wire is slower than we are
                return len(hand.payloads) > sent - 1_000

            async def load() -> None:
                nonlocal sent
                while not is_over.is_set():
                    await asyncio.gather(*(other.publish("in", str(sent + one).encode()) for one in range(20)))
                    sent += 20
                    await until(has_kept_up)

            publishing = asyncio.create_task(load())
            for turn in range(20):
                talk = await asyncio.to_thread(find_runner, (place,))
                with closing(talk):
                    told = await asyncio.to_thread(
                        talk.ask, ask="tap", flow="count", step="" if turn % 2 else "publish"
                    )
                    assert told["event"] == "tapped"
                    while told["event"] != "message":  # messages really go the tapped way
                        found = await asyncio.to_thread(talk.hear, PATIENCE)
                        assert found is not None
                        told = found
            is_over.set()
            await publishing
            await until(lambda: len(hand.payloads) >= sent, what=lambda: (len(hand.payloads), sent))
        numbers = [tuple(map(int, payload.split())) for payload in hand.payloads]
        assert sorted(payload for payload, _ in numbers) == list(range(sent))
        assert [count for _, count in numbers] == list(range(1, sent + 1))  # one state, in order
        with closing(await asyncio.to_thread(find_runner, (place,))) as talk:
            (flow,) = (await asyncio.to_thread(talk.ask, ask="status"))["flows"]
            assert (flow["received"], flow["dropped"]) == (sent, 0)
        assert runner.poll() is None


def runner_of_two_flows() -> dict[str, Any]:
    flow = {"file": "f.yaml", "line": 1, "status": "running", "since": 0.0, "received": 12_345, "rate": 12.34,
            "dropped": 0, "handled": 0, "waiting": 2, "keys": 0, "errors": [], "name": "温度"}  # fmt: skip
    connection = {"name": "default", "url": "mqtt://localhost", "is_there": False, "version": None, "published": 0,
                  "rate": 0.0, "dropped": 7, "pending": 0}  # fmt: skip
    return {"folder": "/flows", "process": 1, "since": 0.0, "time": 0.0, "is_read_only": False, "seconds": 1.0,
              "flows": [flow, {**flow, "name": "\x1b[31mred", "status": "off", "received": 1}], "broken": [],
              "shared": {"total": 3}, "connections": [connection]}  # fmt: skip


def test_tables_are_aligned_and_wide_characters_count() -> None:
    runner = runner_of_two_flows()
    lines = list(draw_status([runner], color=False))
    head, first, second = (line for line in lines[2:5])
    assert head.startswith("FLOW         STATE    IN/s  RECEIVED  ERRORS")
    assert first.startswith("温度         running  12.3    12 345       0"), first
    assert second.split()[1:3] == ["off", "12.3"]
    assert "\x1b" not in "\n".join(lines)
    assert "no broker there" in lines[7]
    assert "shared values: total 3" in lines


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (2.345, "2.3 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3_600, "1 h"), (90_061, "1 d 1 h")],
)
def test_spans_are_said_in_their_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0, "0"), (1234567, "1 234 567"), (0.04, "0.04"), (7.25, "7.2"), (1234.5, "1 234")]
)
def test_numbers_have_their_thousands_apart(value: float, text: str) -> None:
    assert number(value)[0] == text


@pytest.mark.parametrize("most", [50, 60, 80, 100])
def test_tables_fit_a_narrow_terminal(most: int) -> None:
    lines = list(draw_status([runner_of_two_flows()], color=False, most=most))
    assert max(map(width_of, lines[1:])) <= most
    flows, connections = (next(line for line in lines if line.startswith(head)) for head in ("FLOW", "CONNECTION"))
    assert {"STATE", "IN/s", "RECEIVED", "ERRORS"} <= {*flows.split()}
    assert {"STATE", "DROPPED"} <= {*connections.split()}
    assert ("KEYS" in flows) is (most >= 80)
