import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.broker import Broker
from flowrunner.cli import main
from flowrunner.connections import ConnectionSettings
from flowrunner.run.embedded import start_embedded
from flowrunner.run.live import Program as AnyProgram
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.service import Service
from tests.mosquitto import Mosquitto, free_port
from tests.run.fake_broker import fake_broker, version_of
from tests.run.fakes import FakeProgram, Hand, Told, until

COPY = """
subscribe: in/+room
steps:
  - json
  - filter: payload.t > 25
  - publish: out/${room}
"""
PATIENCE = 20.0


def write(folder: Path, **flows: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in flows.items():
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text).lstrip())
    return folder


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """`flowrunner run` in a process of its own."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "flowrunner", "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def read_until(child: "subprocess.Popen[str]", words: str) -> list[str]:
    """The lines that a process writes up to one that holds these words."""
    assert child.stdout is not None
    lines = []
    patience = threading.Timer(PATIENCE, child.kill)  # which ends what it writes
    patience.start()
    for line in child.stdout:
        lines.append(line)
        if words in line:
            patience.cancel()
            return lines
    raise AssertionError(f"{words!r} never came: {lines} {child.communicate()}")


@pytest.mark.broker
async def test_a_flow_file_runs_until_a_signal(mosquitto: Mosquitto, tmp_path: Path) -> None:
    folder = write(tmp_path / "flows", copy=COPY, broken="subscribe: a/#/b\nsteps: []\n", off=f"enabled: false\n{COPY}")
    with started(str(folder), "--broker", f"127.0.0.1:{mosquitto.port}") as child:
        await asyncio.to_thread(read_until, child, "connected to")
        await until(lambda: "Sending SUBACK to flowrunner" in mosquitto.log)
        async with Hand(mosquitto.settings(), "out/#") as hand:
            await hand.publish("in/kitchen", b'{"t": 26}')
            await until(lambda: hand.got)
            await hand.publish("in/kitchen", b"no json\x1b[31m")
            await asyncio.to_thread(read_until, child, "note: topic `in/kitchen`")
            await hand.publish("in/kitchen", b'{"t": 27}')
            await asyncio.to_thread(read_until, child, '→ out/kitchen  {"t":27}')
            await until(lambda: hand.payloads[-1] == b'{"t":27}')
        child.send_signal(signal.SIGTERM)
        rest, complaints = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0
        assert "stopped after" in rest
        assert complaints == ""
    await until(lambda: "Received DISCONNECT from flowrunner" in mosquitto.log)
    assert (folder / ".flowrunner" / "client-ids.json").exists()


@pytest.mark.broker
@pytest.mark.parametrize("is_said", [True, False])
async def test_lines_for_programs_are_json(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_said: bool
) -> None:
    monkeypatch.delenv("FLOWRUNNER_LOG_FORMAT")  # a pipe is no terminal
    folder = write(tmp_path / "flows", copy=COPY, broken="subscribe: a/#/b\nsteps: []\n")
    address = f"127.0.0.1:{mosquitto.port}"
    with started(str(folder), "--broker", address, *(["--log-format", "json"] if is_said else [])) as child:
        lines = await asyncio.to_thread(read_until, child, '"connected"')
        child.send_signal(signal.SIGINT)
        rest, complaints = child.communicate(timeout=PATIENCE)
    events = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert [event["event"] for event in events] == ["started", "mistake", "mistakes", "connected", "stopped"]
    assert [event["level"] for event in events] == ["info", "error", "warning", "info", "info"]
    assert events[0]["flows"] == ["copy"]
    assert events[1]["code"] == "bad-topic-filter"
    assert events[3]["protocol"] == "5"
    assert complaints == ""


async def test_a_second_interrupt_does_not_wait_for_the_broker(tmp_path: Path) -> None:
    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(bytes.fromhex("2003000000"))

    folder = write(tmp_path / "flows", hello="at_start: true\nsteps: [publish: {topic: out, qos: 1}]\n")
    async with fake_broker(answer) as settings:
        with started(str(folder), "--broker", f"127.0.0.1:{settings.port}") as child:
            await asyncio.to_thread(read_until, child, "→ out")
            child.send_signal(signal.SIGINT)
            deadline = time.monotonic() + PATIENCE
            while await asyncio.to_thread(child.poll) is None and time.monotonic() < deadline:
                child.send_signal(signal.SIGINT)
                await asyncio.sleep(0.01)
            rest, _ = child.communicate(timeout=PATIENCE)
        assert (child.returncode, "stopped after" in rest) == (130, False)


async def test_when_nobody_reads_on_it_ends_quietly(tmp_path: Path) -> None:
    folder = write(tmp_path / "flows", tick="every: 10ms\nsteps: [log: tick]\n")
    async with fake_broker(lambda *_: asyncio.sleep(0)) as settings:
        with started(str(folder), "--broker", f"127.0.0.1:{settings.port}") as child:
            assert child.stdout is not None
            await asyncio.to_thread(read_until, child, "tick")
            child.stdout.close()
            await asyncio.to_thread(child.wait, PATIENCE)
            assert child.stderr is not None
            assert child.stderr.read() == ""


@pytest.mark.parametrize(
    ("files", "words", "code", "said"),
    [
        ({}, ["run", "nowhere"], 2, "there is no `nowhere`"),
        ({}, ["run", "--broker", "mqtt://h:port"], 2, "port"),
        ({}, ["run", "--allow", "everything"], 2, "exec"),
        ({}, ["run", "flows"], 1, "there is no flow in `flows`: `flowrunner new NAME` writes one"),
        ({"a": "subscribe: a/#/b\nsteps: []\n"}, ["run"], 1, "no flow can run"),
        ({"a": f"enabled: false\n{COPY}"}, ["run"], 1, "every flow is switched off"),
        ({"a": COPY, "flowrunner": "connections: 5\n"}, ["run"], 1, "the settings hold mistakes"),
    ],
)
def test_what_cannot_run_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    files: dict[str, str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWRUNNER_BROKER", raising=False)
    write(tmp_path / "flows", **files)
    assert main(words) == code
    out, err = capfd.readouterr()
    assert said in out + err
    assert "Traceback" not in out + err


async def stopped_when(service: Service, program: FakeProgram, told: Told, words: str) -> None:
    """Run until the lines hold these words."""
    task = asyncio.create_task(service.run([program]))
    await until(lambda: words in told.text or task.done(), what=told.text)
    os.kill(os.getpid(), signal.SIGTERM)
    await task


async def test_where_no_broker_is_named_and_none_listens_the_embedded_one_is_started() -> None:
    told, settings = Told(), ConnectionSettings(host="localhost", port=free_port())
    service = Service({"default": settings}, Report(told.lines.append), is_broker_named=False)
    flow = FakeProgram("flow", "a")
    await stopped_when(service, flow, told, "connected to")
    assert f"no broker listens on mqtt://localhost:{settings.port}, so the embedded one does" in told.text
    assert "it keeps nothing on disk" in told.text


async def test_a_broker_that_listens_already_is_used() -> None:
    async with Broker(port=0) as broker:
        told, settings = Told(), ConnectionSettings(host="localhost", port=broker.port)
        assert await start_embedded(settings) is None
        service = Service({"default": settings}, Report(told.lines.append), is_broker_named=False)
        await stopped_when(service, FakeProgram("flow", "a"), told, "connected to")
    assert "embedded" not in told.text


async def test_where_somebody_else_was_faster_that_broker_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Broker(port=0) as broker:
        monkeypatch.setattr("flowrunner.run.embedded._is_listening", lambda _: asyncio.sleep(0, result=False))
        assert await start_embedded(ConnectionSettings(host="localhost", port=broker.port)) is None


async def test_a_named_broker_is_waited_for() -> None:
    told, settings = Told(), ConnectionSettings(host="localhost", port=free_port())
    service = Service({"default": settings}, Report(told.lines.append))
    await stopped_when(service, FakeProgram("flow", "a"), told, "trying again and again")
    assert "embedded" not in told.text


async def test_an_end_that_comes_while_workers_start_is_obeyed(tmp_path: Path) -> None:
    class Slow(Runner):
        """Takes for ever to start."""

        async def apply(self, programs: Iterable[AnyProgram]) -> None:  # noqa: ARG002 - the signature of `Runs`
            begun.set()
            await asyncio.Event().wait()

    begun, told = asyncio.Event(), Told()
    report = Report(told.lines.append)
    service = Service({}, report, make=lambda: Slow({}, report, folder=tmp_path))
    running = asyncio.ensure_future(service.run([]))
    await begun.wait()
    service.stop()
    await asyncio.wait_for(running, PATIENCE)
    assert told.lines[-1] == "stopped after 0 messages\n"


async def test_what_keeps_workers_from_starting_is_not_swallowed(tmp_path: Path) -> None:
    class Broken(Runner):
        """Cannot start."""

        async def apply(self, programs: Iterable[AnyProgram]) -> None:  # noqa: ARG002 - the signature of `Runs`
            raise RuntimeError("no")

    report = Report(lambda _: None)
    with pytest.raises(RuntimeError, match="no"):
        await Service({}, report, make=lambda: Broken({}, report, folder=tmp_path)).run([])
