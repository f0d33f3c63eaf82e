"""Kills and restarts in the middle of a stream at QoS 1: with sessions that are kept, nothing is lost."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.mosquitto import OPEN, Mosquitto, require_mosquitto

pytestmark = pytest.mark.broker

PATIENCE = 120.0

#: Messages on their way at a time: to the runner (where mosquitto keeps to it), and from the hand.
TO_RUNNER, FROM_HAND = 200, 20

LIMITS = "max_queued_messages 0\nmax_inflight_messages 20\n"
STORED = f"{OPEN}{LIMITS}persistence true\n"
FORGOTTEN = f"{OPEN}{LIMITS}persistence false\n"

SETTINGS = """
connections:
  default:
    url: mqtt://127.0.0.1:{port}
    client_id: chaos
    session: {{keep: 1h}}
    receive_maximum: {maximum}
"""

FLOW = """
queue: {policy: block}
subscribe: {topic: in/+number, qos: 1}
steps:
  - json
  - fork:
      - - python: own.py:twice
        - publish: {topic: "out/${number}", qos: 1}
"""

OWN = "def twice(message):\n    return {'twice': 2 * message.payload}\n"


class Runner:
    """`flowrunner run` as a child that can be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        (folder / "flows").mkdir()
        (folder / "flows" / "flowrunner.yaml").write_text(SETTINGS.format(port=port, maximum=TO_RUNNER))
        (folder / "flows" / "chaos.yaml").write_text(FLOW)
        (folder / "flows" / "own.py").write_text(OWN)
        self.starts = 0
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        with (self.folder / "runner.log").open("ab") as log:
            words = [sys.executable, "-m", "flowrunner", "run", "flows", "--log-format", "json"]
            self.child = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait(10)

    @property
    def log(self) -> str:
        return (self.folder / "runner.log").read_text()


class Ear:
    """Hears all that comes out, with a session of its own that outlives every restart."""

    def __init__(self, port: int) -> None:
        self.heard: Counter[str] = Counter()
        self.subscribed = threading.Event()
        self.client = client("ear", port)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message
        self.client.loop_start()

    def _on_connect(self, *_: Any) -> None:
        self.client.subscribe("out/#", 1)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard[message.topic[4:]] += 1


def client(name: str, port: int) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    made.max_queued_messages_set(0)
    made.max_inflight_messages_set(FROM_HAND)
    made.reconnect_delay_set(1, 1)
    made._reconnect_min_delay = made._reconnect_max_delay = 0.05  # type: ignore[assignment]
    made.connect("127.0.0.1", port, keepalive=60)
    return made


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def wait_for(ear: Ear, count: int, runner: Runner) -> None:
    """Wait until so many different messages came out."""
    wait(lambda: len(ear.heard) >= count, f"{len(ear.heard)} of {count}: {runner.log[-2000:]}")


@contextmanager
def stage(folder: Path, config: str) -> Iterator[tuple[Mosquitto, Runner, Ear, paho.Client]]:
    require_mosquitto()
    with Mosquitto(folder / "mosquitto", config) as mosquitto:
        runner, ear, hand = Runner(folder, mosquitto.port), Ear(mosquitto.port), client("hand", mosquitto.port)
        try:
            hand.loop_start()
            assert ear.subscribed.wait(10)
            runner.start()
            wait(lambda: "Sending SUBACK to chaos" in mosquitto.log, "the runner never subscribed")
            yield mosquitto, runner, ear, hand
        finally:
            runner.kill()
            for one in (hand, ear.client):
                one.disconnect()
                one.loop_stop()


def disturb(
    mosquitto: Mosquitto, runner: Runner, ear: Ear, hand: paho.Client, count: int, kills: int, restarts: int
) -> None:
    """Send `count` messages, and do harm at equal distances while they are on their way."""
    total = kills + restarts
    order = islice(cycle("kkr" if kills >= 2 * restarts else "kr"), total * 3)
    left = {"k": kills, "r": restarts}
    harm = [what for what in order if left[what] > 0 and not left.update({what: left[what] - 1})][:total]
    size = count // (total + 1)
    for turn in range(total + 1):
        end = count if turn == total else (turn + 1) * size
        for number in range(turn * size, end):
            hand.publish(f"in/{number}", b"%d" % number, 1)
        if turn == total:
            break
        some = len(ear.heard) + size // 2
        wait_for(ear, some, runner)
        if harm[turn] == "k":
            runner.kill()
            runner.start()
        else:
            mosquitto.stop()
            mosquitto.start()


def lose_nothing(folder: Path, count: int, kills: int, restarts: int) -> None:
    with stage(folder, STORED) as (mosquitto, runner, ear, hand):
        disturb(mosquitto, runner, ear, hand, count, kills, restarts)
        wait(lambda: len(ear.heard) == count, f"{count - len(ear.heard)} lost: {runner.log[-2000:]}")
        assert runner.starts == kills + 1
    again = sum(ear.heard.values()) - count
    repeated = {name: mosquitto.log.count(f"{name} (d1, q1") for name in ("to chaos", "to ear", "from hand")}
    print(f"{count} messages, {kills} kills, {restarts} restarts: 0 lost, {again} came again; sent again: {repeated}")
    assert again <= sum(repeated.values())  # each of them was on its way when something died, and says so (DUP)


def lose_what_the_broker_forgot(folder: Path, count: int, kills: int, restarts: int) -> None:
    """Without persistence a restart of the broker takes what it had not delivered, and nothing else."""
    with stage(folder, FORGOTTEN) as (mosquitto, runner, ear, hand):
        disturb_forgetful(mosquitto, runner, ear, hand, count, kills, restarts)
        wait(lambda: {str(number) for number in range(count, count + 50)} <= ear.heard.keys(), runner.log[-2000:])
        assert runner.log.count('"session-lost"') == restarts
    lost = count + 50 - len(ear.heard)
    print(f"{count} messages, {kills} kills, {restarts} restarts without persistence: {lost} lost")
    assert lost == 0


def disturb_forgetful(
    mosquitto: Mosquitto, runner: Runner, ear: Ear, hand: paho.Client, count: int, kills: int, restarts: int
) -> None:
    """Kills in the middle of the stream; restarts when the broker holds nothing."""
    size = count // (kills + 1)
    for turn in range(kills + 1):
        end = count if turn == kills else (turn + 1) * size
        for number in range(turn * size, end):
            hand.publish(f"in/{number}", b"%d" % number, 1)
        if turn < kills:
            wait(lambda turn=turn: len(ear.heard) > turn * size, "stuck")  # type: ignore[misc]
            runner.kill()
            runner.start()
        wait(lambda end=end: len(ear.heard) == end, f"{end - len(ear.heard)} lost: {runner.log[-2000:]}")  # type: ignore[misc]
        if turn < restarts:
            ear.subscribed.clear()
            subacks = mosquitto.log.count("Sending SUBACK to chaos")
            mosquitto.stop()
            mosquitto.start()
            assert ear.subscribed.wait(20)
            wait(lambda n=subacks: mosquitto.log.count("Sending SUBACK to chaos") > n, "not subscribed")  # type: ignore[misc]
    for number in range(count, count + 50):
        hand.publish(f"in/{number}", b"%d" % number, 1)


def test_a_stream_survives_kills_and_restarts(tmp_path: Path) -> None:
    lose_nothing(tmp_path, count=2_000, kills=2, restarts=1)


def test_a_broker_that_forgets_costs_nothing_that_it_had_delivered(tmp_path: Path) -> None:
    lose_what_the_broker_forgot(tmp_path, count=1_000, kills=2, restarts=1)


@pytest.mark.soak
def test_twenty_thousand_messages_ten_kills_five_restarts(tmp_path: Path) -> None:
    lose_nothing(tmp_path, count=20_000, kills=10, restarts=5)


@pytest.mark.soak
def test_twenty_thousand_messages_ten_kills_five_restarts_without_persistence(tmp_path: Path) -> None:
    lose_what_the_broker_forgot(tmp_path, count=20_000, kills=10, restarts=5)
