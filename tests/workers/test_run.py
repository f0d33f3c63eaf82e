"""`flowrunner run --workers N` as somebody starts it, and as it ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from flowrunner.cli import main
from flowrunner.connections import ConnectionSettings
from flowrunner.workers import process as process_module
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import Hand
from tests.workers.test_fleet import CHANGED, COPY, missing, send
from tests.workers.yard import PATIENCE, eventually, in_yaml, is_alive, yard


class Run:
    """A supervisor in a process of its own, and what it says in JSON."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        command = [sys.executable, "-m", "flowrunner", "run", str(folder), "--workers", "2", "--no-web", *words]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._readers = [Thread(target=reads) for reads in (self._hear, self._complain)]
        for reader in self._readers:
            reader.start()

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    @property
    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return [int(number) for number in children.split()]

    async def is_up(self) -> None:
        await eventually(
            lambda: self.said("workers") and self.said("connected"), lambda: (self.events, self.complaints)
        )

    async def ended(self) -> int:
        code = await asyncio.to_thread(self.child.wait, PATIENCE)
        for reader in self._readers:
            await asyncio.to_thread(reader.join, PATIENCE)
        return code

    def close(self) -> None:
        self.child.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()

    def _hear(self) -> None:
        assert self.child.stdout is not None
        self.events.extend(json.loads(line) for line in self.child.stdout)

    def _complain(self) -> None:
        assert self.child.stderr is not None
        self.complaints.extend(self.child.stderr)


@contextmanager
def started(folder: Path, settings: ConnectionSettings, *words: str, **flows: str) -> Iterator[Run]:
    folder.mkdir(exist_ok=True)
    (folder / "flowrunner.yaml").write_text(in_yaml(settings))
    for name, text in flows.items():
        (folder / f"{name}.yaml").write_text(text)
    run = Run(folder, "--log-format", "json", *words)
    try:
        yield run
    finally:
        run.child.kill()
        run.close()


@pytest.mark.broker
async def test_a_signal_ends_all_in_good_order_and_loses_nothing(tmp_path: Path) -> None:
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto", f"{OPEN}max_queued_messages 0\n") as mosquitto:
        settings = mosquitto.settings(client_id="team", keep=60.0)
        async with Hand(mosquitto.settings(), "out/#", "changed/#") as hand:
            with started(tmp_path / "flows", settings, copy=COPY, changed=CHANGED) as run:
                await run.is_up()
                workers = run.workers
                assert len(workers) == 2
                sending = asyncio.ensure_future(send(hand, 0, 1000))
                await eventually(lambda: len(hand.got) > 300)
                run.child.send_signal(signal.SIGTERM)
                assert await run.ended() == 0
                assert not any(map(is_alive, workers))
                assert run.complaints == []
                (stopped,) = run.said("stopped")
                assert stopped["message"].startswith("stopped after ")
                assert {one["worker"] for one in run.said("received")} <= {1, 2}
            await sending
            with started(tmp_path / "flows", settings) as run:
                wanted = {f"{kind}/{number}" for number in range(1000) for kind in ("out", "changed")}
                await eventually(lambda: {one.topic for one in hand.got} == wanted, lambda: missing(hand, wanted))
                run.child.send_signal(signal.SIGINT)
                assert await run.ended() == 0


@pytest.mark.broker
async def test_workers_end_by_themselves_when_their_supervisor_is_killed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with started(tmp_path / "flows", mosquitto.settings(), copy=COPY) as run:
        await run.is_up()
        workers = run.workers
        for worker in workers:  # they leave that to their supervisor
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(worker, number)
        async with Hand(mosquitto.settings(), "out/#") as hand:
            await send(hand, 0, 20)
            await eventually(lambda: len(hand.got) == 20)
        assert run.workers == workers
        run.child.kill()
        await run.ended()
        await eventually(lambda: not any(map(is_alive, workers)))
        await eventually(lambda: mosquitto.log.count("Received DISCONNECT from flowrunner") >= 2, lambda: mosquitto.log)


@pytest.mark.broker
async def test_the_second_interrupt_ends_workers_too(mosquitto: Mosquitto, tmp_path: Path) -> None:
    slow = "subscribe: in/+n\nsteps: [{python: 'slow.py:wait'}]\n"
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "slow.py").write_text("import time\ndef wait(message):\n    time.sleep(100)\n")
    with started(tmp_path / "flows", mosquitto.settings(), slow=slow) as run:
        await run.is_up()
        workers = run.workers
        async with Hand(mosquitto.settings()) as hand:
            await send(hand, 0, 4)
        await eventually(lambda: run.said("received"))
        run.child.send_signal(signal.SIGINT)
        await eventually(lambda: "Received UNSUBSCRIBE" in mosquitto.log or run.child.poll() is not None)
        run.child.send_signal(signal.SIGINT)
        assert await run.ended() == 130
        await eventually(lambda: not any(map(is_alive, workers)))


@pytest.mark.broker
async def test_a_worker_that_does_not_answer_is_killed_and_replaced(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "BEAT", 0.1)
    async with yard(tmp_path / "flows", mosquitto.settings(), {"copy": COPY}) as place:
        hanging = place.processes[1]
        os.kill(hanging, signal.SIGSTOP)
        await place.replaced(1, hanging)
        assert not is_alive(hanging)
        (ended,) = place.said("worker-ended")
        assert ended["text"] == "worker 1 did not answer for 1 s: started again"


@pytest.mark.broker
async def test_workers_that_cannot_start_say_why_once(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken" / "flowrunner"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('half of it is missing')\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(broken.parent))
        async with yard(tmp_path / "flows", mosquitto.settings(), {"copy": COPY}, is_heard=False) as place:
            said = [one["reason"] for one in place.said("worker-ended")]
            assert said == ["cannot start: ImportError: half of it is missing"] * 2
            patch.undo()
            await place.fleet.heard()
            await eventually(lambda: sorted(place.processes) == [1, 2], lambda: place.told)
            assert len(place.said("worker-ended")) == 2


def test_looking_only_is_done_by_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nothing.yaml").write_text("enabled: false\nsubscribe: a\nsteps: [json]\n")
    assert main(["run", str(tmp_path), "--read-only", "--workers", "3", "--log-format", "text"]) == 1
    assert "with `--read-only` there is one worker" in capsys.readouterr().err


@pytest.mark.parametrize(("processors", "most"), [(2, 16), (16, 64), (None, 16)])
def test_more_workers_than_the_machine_can_carry_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    processors: int | None,
    most: int,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    (tmp_path / "copy.yaml").write_text("subscribe: a\nsteps: [json]\n")
    assert main(["run", str(tmp_path), "--workers", str(most + 1)]) == 2
    said = capsys.readouterr().err
    assert f"{most + 1} workers are too many" in said
    assert f"at most {most}" in said


def test_where_there_are_no_such_sockets_there_is_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("socket.AF_UNIX")
    assert main(["run", str(tmp_path), "--workers", "2"]) == 2
    assert "needs sockets between processes" in capsys.readouterr().err


@pytest.mark.broker
async def test_whom_the_end_waits_for_is_said_and_a_second_interrupt_ends_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with started(tmp_path / "flows", mosquitto.settings(), copy=COPY) as run:
        await run.is_up()
        workers = run.workers
        os.kill(workers[1], signal.SIGSTOP)
        run.child.send_signal(signal.SIGINT)
        await eventually(lambda: run.said("waiting-for-workers"))
        (said,) = run.said("waiting-for-workers")
        assert said["message"] in {
            f"waiting for worker {number} (process {workers[1]}) to finish: Ctrl-C once more ends it all"
            for number in (1, 2)
        }
        run.child.send_signal(signal.SIGINT)
        assert await run.ended() == 130
        await eventually(lambda: not any(map(is_alive, workers)))


@pytest.mark.broker
async def test_a_worker_that_is_killed_at_the_end_is_named(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "BEAT", 0.1)
    async with yard(tmp_path / "flows", mosquitto.settings(), {"copy": COPY}) as place:
        os.kill(place.processes[2], signal.SIGSTOP)
    (killed,) = place.said("worker-killed")
    assert killed["text"] == "worker 2 did not answer for 1 s: it is killed"
