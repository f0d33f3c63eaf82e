"""`flowrunner run --workers 2` on a real mosquitto, looked at from outside: one system, whoever of it is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli import main
from tests.mosquitto import Mosquitto, mosquitto
from tests.web.browser import PATIENCE, Runner, runner, wait_for

__all__ = ["mosquitto"]

pytestmark = pytest.mark.broker

WARM = """
    subscribe: {topic: sensors/+room, qos: 1}
    steps:
      - json
      - filter: payload.t > 25
      - set: {level: warm}
      - publish: {topic: "alerts/${room}", qos: 1}
"""
KEEPS = """
    subscribe: {topic: sensors/+room, qos: 1}
    steps:
      - json
      - changed: {value: payload.t, by: room}
      - stop: changed
"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A private folder for sockets, with a short name."""
    with tempfile.TemporaryDirectory(prefix="fr") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield


class Fleet:
    """A run with two workers."""

    def __init__(self, found: Runner, broker: Mosquitto) -> None:
        self.found = found
        self.broker = broker

    def command(self, *words: object) -> "subprocess.Popen[str]":
        named = [sys.executable, "-m", "flowrunner", *map(str, words), "flows"]
        return subprocess.Popen(named, stdout=subprocess.PIPE, text=True, cwd=self.found.folder.parent)

    def ask(self, *words: object) -> str:
        process = self.command(*words)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out
        return out

    def status(self) -> dict[str, Any]:
        """What the command says; it is called here, as many look again and again."""
        with chdir(self.found.folder.parent), redirect_stdout(StringIO()) as out:
            assert main(["status", "--json", "flows"]) == 0
        (found,) = json.loads(out.getvalue())["runners"]
        return dict(found)

    def flow(self, name: str = "warm") -> dict[str, Any]:
        return next(flow for flow in self.status()["flows"] if flow["name"] == name)

    def say(self, *payloads: str, topic: str = "sensors/attic") -> None:
        words = ["mosquitto_pub", "-p", str(self.broker.port), "-q", "1", "-t", topic, "-l"]
        lines = "".join(f"{payload}\n" for payload in payloads)
        subprocess.run(words, input=lines, text=True, check=True, timeout=PATIENCE)

    def get(self, path: str, body: Any = None) -> str:
        """What the page answers."""
        data = None if body is None else json.dumps(body).encode()
        token = self.found.url.partition("token=")[2]
        headers = {"authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.found.plain_url}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def log(self) -> list[dict[str, Any]]:
        text = (self.found.folder.parent / "log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    @contextmanager
    def tapping(self, *words: object) -> Iterator["subprocess.Popen[str]"]:
        """A `tap` that is there."""
        with self.command("tap", *words, "--json") as process:
            try:
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["event"] == "tapped"
                yield process
            finally:
                process.kill()


@pytest.fixture
def fleet(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Fleet]:
    files = {"warm.yaml": WARM, "keeps.yaml": KEEPS}
    with runner(tmp_path, files, f"mqtt://127.0.0.1:{mosquitto.port}", "--workers", "2") as found:
        made = Fleet(found, mosquitto)
        wait_for(lambda: made.status()["connections"][0].get("clients") == {"there": 3, "all": 3}, "the clients")
        wait_for(lambda: is_ready(made), "/ready")
        yield made


def is_ready(fleet: Fleet) -> bool:
    try:
        return bool(json.loads(fleet.get("ready"))["status"] == "ready")
    except urllib.error.HTTPError:
        return False


def hear(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the tap has ended"
    found: dict[str, Any] = json.loads(line)
    return found


def test_status_metrics_and_tap_show_one_system(fleet: Fleet) -> None:
    with fleet.tapping("warm") as tap:
        fleet.say(*[f'{{"t": {number}}}' for number in range(10, 40)], "{}")
        seen = [hear(tap) for _ in range(31)]
    assert [one["message"] for one in seen] == list(range(1, 32))
    times = [one["time"] for one in seen]
    assert all(later - earlier > -0.001 for earlier, later in pairwise(times))
    assert {one["given"]["payload"] for one in seen} == {*(f'{{"t": {number}}}' for number in range(10, 40)), "{}"}
    wait_for(lambda: fleet.flow()["received"] == 31, "the messages")
    status = fleet.status()
    assert [worker["number"] for worker in status["workers"]] == [1, 2]
    assert len({worker["process"] for worker in status["workers"]} | {status["process"]}) == 3
    flows = {flow["name"]: flow for flow in status["flows"]}
    assert (flows["warm"]["worker"], flows["keeps"]["worker"]) == (None, 1)
    assert flows["keeps"]["keys"] == 1
    assert [(error["step"], error["count"]) for error in flows["warm"]["errors"]] == [("filter 1", 1)]
    assert status["connections"][0]["published"] == 14
    table = fleet.ask("status")
    assert re.search(r"^workers: 2 \(pids \d+, \d+\)$", table, re.MULTILINE)
    assert fleet.metric('flowrunner_messages_received_total{flow="warm"}') == 31
    assert fleet.metric('flowrunner_errors_total{code="missing-field",flow="warm",step="filter 1"}') == 1
    assert fleet.metric('flowrunner_connection_up{connection="default"}') == 1
    assert fleet.metric('flowrunner_message_seconds_count{flow="warm"}') > 0
    for worker in "12":
        assert fleet.metric(f'flowrunner_worker_up{{worker="{worker}"}}') == 1
        assert fleet.metric(f'flowrunner_worker_cpu_seconds_total{{worker="{worker}"}}') > 0
        assert fleet.metric(f'flowrunner_worker_resident_memory_bytes{{worker="{worker}"}}') > 1e6
    workers = {line.get("worker") for line in fleet.log() if line["event"] == "received" and line["flow"] == "warm"}
    assert workers == {1, 2}


def test_a_killed_worker_takes_no_count_away_and_whoever_looks_goes_on(fleet: Fleet) -> None:
    fleet.say(*['{"t": 30}'] * 20)
    wait_for(lambda: fleet.flow()["received"] == 20, "the messages")
    before = fleet.status()["workers"]
    with fleet.tapping("warm") as tap:
        os.kill(before[0]["process"], signal.SIGKILL)
        counts = [20.0]
        metric = 'flowrunner_messages_received_total{flow="warm"}'

        def is_back() -> bool:
            counts.extend([fleet.flow()["received"], fleet.metric(metric)])
            workers = fleet.status()["workers"]
            return workers[0]["process"] not in {None, before[0]["process"]} and is_ready(fleet)

        wait_for(is_back, "another worker")
        assert counts == sorted(counts)
        fleet.say(*[f'{{"t": {number}}}' for number in range(30, 50)])
        assert {hear(tap)["given"]["payload"] for _ in range(20)} == {f'{{"t": {number}}}' for number in range(30, 50)}
    wait_for(lambda: fleet.flow()["received"] == 40, "all messages")
    status = fleet.status()
    assert [worker["restarts"] for worker in status["workers"]] == [1, 0]
    assert {flow["name"]: flow["worker"] for flow in status["flows"]} == {"warm": None, "keeps": 2}
    assert fleet.metric('flowrunner_worker_restarts_total{worker="1"}') == 1
    assert "  worker 1 was started again once\n" in fleet.ask("status")


def test_an_edit_is_seen_and_tried_on_the_last_messages_of_all_workers(fleet: Fleet) -> None:
    payloads = [f'{{"t": {number}}}' for number in range(20, 30)]
    fleet.say(*payloads)
    wait_for(lambda: fleet.flow()["received"] == 10, "the messages")
    text = fleet.found.folder.joinpath("warm.yaml").read_text().replace("25", "22")
    draft = json.loads(fleet.get("api/draft", {"file": "flows/warm.yaml", "text": text}))
    (preview,) = draft["previews"]
    assert (preview["messages"], preview["differing"]) == (10, 3)
    assert sorted(pair["given"]["payload"] for pair in preview["pairs"]) == payloads
    with fleet.tapping("warm") as tap:
        fleet.found.save("warm.yaml", text)
        assert hear(tap)["event"] == "edited"
        fleet.say('{"t": 23}', '{"t": 24}')
        told = [hear(tap), hear(tap)]
        assert {len(one["steps"]) for one in told} == {4}
    (reloaded,) = [line for line in fleet.log() if line["event"] == "reloaded"]
    assert reloaded["changed"] == ["warm"]


def test_the_page_publishes_through_a_worker(fleet: Fleet) -> None:
    typed = {"topic": "sensors/typed", "payload": '{"t": 31}', "qos": 1, "retain": False, "connection": "default"}
    assert json.loads(fleet.get("api/publish", typed)) == {"ok": True}
    wait_for(lambda: fleet.flow()["received"] == 1, "the message")
    assert fleet.flow("keeps")["received"] == 1
    state = json.loads(fleet.get("api/state"))
    assert [worker["is_there"] for worker in state["numbers"]["workers"]] == [True, True]
    assert state["numbers"]["connections"][0]["published"] == 2
