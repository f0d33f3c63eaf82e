"""`record` and `replay` on a real mosquitto: what was recorded is played back as it was, when it was."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrunner.cli.record import without_covered
from flowrunner.message import Message
from flowrunner.run.playing import Player
from flowrunner.run.recording import Recorded, read_recording, write_line
from flowrunner.topics import parse_filter
from tests.cli.command_line import PATIENCE, Run, finish, start, wait_for
from tests.mosquitto import Mosquitto, free_port

MESSAGES = [
    Message("a/text", "21.5 °C".encode()),
    Message("a/bytes", b"\xff\x00\xfe", 1),
    Message("a/empty", b"", 2),
    Message("a/kept", b"x", 1, True),
    Message("a/rich", b"{}", 1, False, {
        "user": {"unit": "°C"}, "content_type": "application/json", "response_topic": "back/to me",
        "correlation_data": b"\xff\x01",
    }),
]  # fmt: skip
START = 1_795_354_800.0


def recording(folder: Path, *times: float, messages: list[Message] = MESSAGES) -> Path:
    """A file with messages that came so many seconds after each other."""
    moments = times or tuple(0.0 for _ in messages)
    path = folder / "day.jsonl"
    lines = [write_line(Recorded(START + at, one)) for at, one in zip(moments, messages, strict=True)]
    path.write_bytes(b"".join(lines))
    return path


def record(broker: Mosquitto, *arguments: object) -> "subprocess.Popen[bytes]":
    """A `record` in a process of its own, whose subscriptions stand."""
    name = f"recorder-{time.monotonic_ns()}"
    process = start("record", "-p", broker.port, "-i", name, *arguments)
    words = [parse_filter(word) for word in arguments if isinstance(word, str) and word.endswith("#")]
    filters = len(without_covered(words))
    wait_for(lambda: broker.log.count(f"Sending SUBACK to {name}") == filters, "the subscriptions")
    return process


def read(data: bytes) -> list[Message]:
    return [one.message for one in read_recording(data.splitlines(keepends=True), "recorded")]


def in_order(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda one: one.topic)


@pytest.mark.broker
def test_what_is_replayed_is_recorded_as_it_was(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    first = record(mosquitto, "#", "-C", len(MESSAGES))
    played = run("replay", recording(tmp_path), "-p", mosquitto.port, "--speed", "max")
    assert (played.code, played.out) == (0, "")
    assert played.err.startswith(f"played {len(MESSAGES)} messages in ")
    result = finish(first)
    assert result.code == 0
    assert in_order(read(result.raw)) == in_order(MESSAGES)  # QoS 2 takes longer, and others may overtake it
    assert f"recorded {len(MESSAGES)} messages in " in result.err

    (tmp_path / "again.jsonl").write_bytes(result.raw)
    second = record(mosquitto, "copy/#", "-C", len(MESSAGES))
    assert run("replay", tmp_path / "again.jsonl", "-p", mosquitto.port, "--speed", "max", "--to", "copy/").code == 0
    copies = [Message(f"copy/{one.topic}", one.payload, one.qos, one.retain, one.properties) for one in MESSAGES]
    assert in_order(read(finish(second).raw)) == in_order(copies)


@pytest.mark.broker
def test_each_line_is_there_as_soon_as_its_message(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    process = record(mosquitto, "#", "-o", output)
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "one")
    wait_for(lambda: output.read_bytes().endswith(b"\n"), "the line")
    os.kill(process.pid, signal.SIGINT)
    result = finish(process)
    assert (result.code, result.raw) == (0, b"")
    assert result.err.startswith("recorded 1 message in ")
    assert read(output.read_bytes()) == [Message("a", b"one")]


@pytest.mark.broker
def test_append_keeps_what_was_there(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    output = recording(tmp_path)
    process = record(mosquitto, "#", "-o", output, "-a", "-C", 1)
    run("pub", "-p", mosquitto.port, "-t", "b", "-m", "new")
    assert finish(process).code == 0
    assert read(output.read_bytes()) == [*MESSAGES, Message("b", b"new")]


@pytest.mark.broker
def test_what_several_filters_hear_is_recorded_once(run: Run, mosquitto: Mosquitto) -> None:
    process = record(mosquitto, "a/+/#", "+/b/#", "a/b/#", "-C", 3)
    for topic in ("a/b/c", "x/b", "a/c"):
        run("pub", "-p", mosquitto.port, "-t", topic, "-m", "1", "-q", 1)
    assert [one.topic for one in read(finish(process).raw)] == ["a/b/c", "x/b", "a/c"]


@pytest.mark.broker
def test_retained_messages_are_recorded_or_left_out(run: Run, mosquitto: Mosquitto) -> None:
    run("pub", "-p", mosquitto.port, "-t", "kept", "-m", "old", "-r")
    assert read(finish(record(mosquitto, "#", "-C", 1)).raw) == [Message("kept", b"old", 0, True)]
    assert finish(record(mosquitto, "#", "-R", "-W", 0.3)).raw == b""


@pytest.mark.broker
def test_a_closed_pipe_ends_it_without_a_word_about_it(run: Run, mosquitto: Mosquitto) -> None:
    process = record(mosquitto, "#")
    assert process.stdout is not None
    process.stdout.close()

    def has_ended() -> bool:
        run("pub", "-p", mosquitto.port, "-t", "a", "-m", "1")
        return process.poll() is not None

    wait_for(has_ended, "the end")
    assert process.returncode == 141
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.broker
def test_the_input_can_be_replayed_as_it_comes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    listener = record(mosquitto, "#", "-C", 2)
    with start("replay", "-", "-p", mosquitto.port) as player:
        assert player.stdin is not None
        lines = recording(tmp_path, 0.0, 0.0, messages=MESSAGES[:2]).read_bytes().splitlines(keepends=True)
        player.stdin.write(lines[0] + lines[1].rstrip(b"\n"))
        player.stdin.close()
        assert player.wait(PATIENCE) == 0
    assert read(finish(listener).raw) == MESSAGES[:2]


@pytest.mark.broker
def test_a_bad_line_ends_the_replay_with_its_place(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    path = recording(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"topic": "x"}\n')
    result = run("replay", path, "-p", mosquitto.port, "--speed", "max")
    assert result.code == 1
    assert "error[bad-recording]: `time` must say when the message came" in result.err
    assert f":{len(MESSAGES) + 1}:1\n" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["record"], "say what to record"),
        (["record", "a/#/b"], "this is no topic filter"),
        (["record", "a", "-a"], "`-a` belongs to a file"),
        (["record", "a", "-o", "nowhere/x"], "`nowhere/x` cannot be written: no such file or directory"),
        (["replay", "nowhere"], "`nowhere` cannot be read: no such file or directory"),
        (["replay", "-", "--loop"], "the standard input can be read only once"),
        (["replay", "x", "--speed", "fast"], "`--speed` must be a number above 0, or `max`, not `fast`"),
        (["replay", "x", "--speed", "0"], "`--speed` must be a number above 0"),
        (["replay", "x", "--to", "a/+/"], "`a/+/` cannot stand before a topic"),
        (["replay", "x", "-L", "mqtt://localhost/a"], "`-L` names none"),
    ],
)  # fmt: skip
def test_wrong_usage_is_explained(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert message in result.err


def test_an_unreachable_broker_is_told(run: Run, tmp_path: Path) -> None:
    port = free_port()
    assert run("record", "a", "-p", port).code == 3
    assert run("replay", recording(tmp_path), "-p", port).code == 3


def test_a_filter_that_another_one_covers_is_not_asked_for() -> None:
    filters = [parse_filter(text) for text in ("a/b", "a/+", "a/#", "b", "a/c", "b")]
    assert [one.text for one in without_covered(filters)] == ["a/#", "b"]


class Tape:
    """Where messages go in a test, and a clock that only its own rest moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[float, str]] = []
        self.late = 0.0

    def send(self, message: Message) -> None:
        self.sent.append((round(self.now - 100, 6), message.topic))
        self.now += self.late

    def rest(self, seconds: float) -> None:
        self.now += min(seconds, 0.7)


def play(speed: float | None, *rounds: list[tuple[float, str]], late: float = 0.0) -> list[tuple[float, str]]:
    tape = Tape()
    tape.late = late

    def messages() -> Iterator[Iterator[Recorded]]:
        for one in rounds:
            yield iter([Recorded(START + at, Message(topic, b"")) for at, topic in one])

    Player(tape, speed, lambda: tape.now).play(messages())
    return tape.sent


DAY = [(0.0, "a"), (2.0, "b"), (2.0, "c"), (12.0, "d")]


def test_messages_come_with_the_timing_of_the_recording() -> None:
    assert play(1, DAY) == DAY
    assert play(10, DAY) == [(0.0, "a"), (0.2, "b"), (0.2, "c"), (1.2, "d")]
    assert play(0.5, DAY) == [(0.0, "a"), (4.0, "b"), (4.0, "c"), (24.0, "d")]
    assert play(None, DAY) == [(0.0, "a"), (0.0, "b"), (0.0, "c"), (0.0, "d")]


def test_what_is_late_does_not_make_the_rest_later() -> None:
    assert play(1, DAY, late=1.5) == [(0.0, "a"), (2.0, "b"), (3.5, "c"), (12.0, "d")]


def test_a_time_that_goes_back_is_not_waited_for() -> None:
    assert play(1, [(5.0, "a"), (3.0, "b"), (6.0, "c")]) == [(0.0, "a"), (0.0, "b"), (1.0, "c")]


def test_between_two_rounds_is_the_mean_pause() -> None:
    assert play(1, DAY, DAY[:1]) == [*DAY, (16.0, "a")]
    assert play(2, DAY[:1], DAY[:1]) == [(0.0, "a"), (0.5, "a")]
    assert play(1, [], DAY) == []


def test_the_progress_bar_is_for_terminals(run: Run, tmp_path: Path, mosquitto: Mosquitto) -> None:
    result = run("replay", recording(tmp_path), "-p", mosquitto.port, "--speed", "max")
    assert result.err.count("\n") == 1
    assert "\x1b" not in result.err
    assert run("replay", recording(tmp_path), "-p", mosquitto.port, "--speed", "max", "--quiet").err == ""


def test_a_line_is_json_for_others(tmp_path: Path) -> None:
    for line in recording(tmp_path).read_text(encoding="utf-8").splitlines():
        assert set(json.loads(line)) >= {"time", "topic"}
