"""Runners in processes of their own with one Redis: what a kill in the middle costs."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.mosquitto import OPEN, PATIENCE, Mosquitto, require_mosquitto
from tests.redis_server import RedisServer, redis_server
from tests.run.fakes import Hand, until

__all__ = ["redis_server"]

pytestmark = [pytest.mark.broker, pytest.mark.redis, pytest.mark.soak]

FLOW = """
subscribe: {topic: in, qos: 1, share: team}
steps:
  - json
  - dedupe: {key: payload.id, within: 1h}
  - publish: {topic: out, payload: "${payload.id}", qos: 1}
"""
KEYS, TIMES, IN_FLIGHT = 2000, 3, 20


class Child:
    """`flowrunner run` on a folder of its own."""

    def __init__(self, folder: Path, broker: Mosquitto, server: RedisServer, number: int) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "flow.yaml").write_text(FLOW)
        connection = f"{{url: 'mqtt://127.0.0.1:{broker.port}', client_id: me-{number}, session: {{keep: 1h}}, "
        settings = (
            f"connections:\n  default: {connection}receive_maximum: {IN_FLIGHT}}}\nstate: {server.url}?name=team\n"
        )
        (folder / "flowrunner.yaml").write_text(settings)
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator["Child"]:
        self.start()
        try:
            yield self
        finally:
            self.kill()

    def start(self) -> None:
        command = [sys.executable, "-m", "flowrunner", "run", "--no-web", "--no-reload", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"FLOWRUNNER_LOG_FORMAT": "json"}
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    @property
    def is_connected(self) -> bool:
        return '"event": "connected"' in (self.folder / "log").read_text()


async def test_no_key_is_lost_and_none_passes_twice_but_those_in_flight(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    require_mosquitto()
    config = f"{OPEN}max_queued_messages 0\nmax_inflight_messages {IN_FLIGHT}\n"
    numbers = [number for number in range(KEYS) for _ in range(TIMES)]
    random.Random(3).shuffle(numbers)
    with Mosquitto(tmp_path / "mosquitto", config) as broker, ExitStack() as children:
        runners = [Child(tmp_path / f"runner-{number}", broker, redis_server, number) for number in range(3)]
        for runner in runners:
            children.enter_context(runner.running())
        await until(lambda: all(runner.is_connected for runner in runners))
        await until(lambda: broker.log.count("Sending SUBACK") >= 3)
        async with Hand(broker.settings(), "out") as hand:
            for number in numbers:
                hand.client.publish("in", b'{"id": %d}' % number, 1)
            await until(lambda: len(hand.got) > KEYS // 4)
            runners[0].kill()
            dead_at = len(hand.got)
            await until(lambda: len(hand.got) > dead_at + 50)
            runners[0].start()
            await until(lambda: len(set(hand.payloads)) == KEYS)
            hand.client.publish("in", b'{"id": -1}', 1)
            await until(lambda: b"-1" in hand.payloads)
            twice = [key for key, count in Counter(hand.payloads).items() if count > 1]
            assert len(twice) <= IN_FLIGHT
            assert max(Counter(hand.payloads).values()) <= 2
