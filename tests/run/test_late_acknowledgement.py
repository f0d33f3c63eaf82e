"""QoS 1 and 2 in: acknowledged behind the last step, the last publish and the last sink, and not before."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.compile import compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.run.link import Link
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.flow_host import read
from tests.http_server import Answer, Server, http_server
from tests.mosquitto import Mosquitto, require_mosquitto
from tests.run.fakes import Hand, Told, quick_backoff, ready, until

pytestmark = pytest.mark.broker
on_each_link = pytest.mark.usefixtures("each_link")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_server() as server:
        yield server


class Trial:
    """One flow that hears `in`, on a broker that is there, and publishes on `other`, which is not there yet."""

    def __init__(self, runner: Runner, hand: Hand, mosquitto: Mosquitto, other: Mosquitto, told: Told) -> None:
        self.runner, self.hand, self.mosquitto, self.other, self.told = runner, hand, mosquitto, other, told

    @property
    def acknowledged(self) -> int:
        """Messages at QoS 1 that the broker was told are done."""
        return self.mosquitto.log.count(f"Received PUBACK from {self.client_id}") + self.mosquitto.log.count(
            f"Received PUBREC from {self.client_id}"
        )

    @property
    def client_id(self) -> str:
        return self.runner.connections["default"].client_id

    async def settle(self) -> None:
        """Wait until all that the runner sends now has reached the broker: a QoS 1 publish goes through behind it."""
        link = self.runner.connections["default"].link
        link.publish("barrier", b"", 1, False, {})
        await until(lambda: self.mosquitto.log.count(f"Sending PUBACK to {self.client_id}") > self.barriers)
        self.barriers += 1

    barriers = 0


@asynccontextmanager
async def trial(tmp_path: Path, steps: str, qos: int = 1) -> AsyncIterator[Trial]:
    require_mosquitto()
    other = Mosquitto(tmp_path / "other")
    with Mosquitto(tmp_path / "one") as mosquitto:
        connections = {"default": mosquitto.settings(), "cloud": replace(other.settings(), name="cloud")}
        text = f"subscribe: {{topic: in, qos: {qos}}}\nsteps:\n{steps}"
        program = compile_flow(read(text, name="flow", folder=tmp_path))
        told = Told()
        runner = Runner(connections, Report(told.lines.append), backoff=quick_backoff)
        try:
            await runner.apply([program])
            await until(runner.connections["default"].subscriptions.complete.is_set, what=told.text)
            async with Hand(mosquitto.settings()) as hand:
                yield Trial(runner, hand, mosquitto, other, told)
        finally:
            await runner.close()
            other.kill()


TO_OTHER = "publish: {topic: out, connection: cloud, qos: 1}"

WAYS = {
    "publish": f"  - {TO_OTHER}\n",
    "publish at QoS 2": "  - publish: {topic: out, connection: cloud, qos: 2}\n",
    "computed QoS": '  - publish: {topic: out, connection: cloud, qos: "${1 if topic else 0}"}\n',
    "fork": f"  - fork: [[{{{TO_OTHER}}}]]\n",
    "split": f"  - json\n  - split: payload\n  - {TO_OTHER}\n",
    "switch": f"  - switch:\n      - {{when: true, steps: [{{{TO_OTHER}}}]}}\n",
    "python": f"  - python: own.py:f\n  - {TO_OTHER}\n",
    "python in a branch": f"  - fork: [[{{python: own.py:f}}, {{{TO_OTHER}}}]]\n",
    "retry": f"  - retry: {{backoff: 1ms, steps: [{{{TO_OTHER}}}, {{python: own.py:twice}}]}}\n",
    "on_error": f"  - json\n  - map: payload.x\n    on_error: [{{{TO_OTHER}}}]\n",
    "on_error of a step that waits": f"  - python: own.py:fail\n    on_error: [{{{TO_OTHER}}}]\n",
    "dead letter": "  - json\n  - map: payload.x\n    on_error: {publish: {topic: out, connection: cloud, qos: 1}}\n",
}

OWN = """
count = 0

def f(message):
    return message.payload

def fail(message):
    raise ValueError("no")

def twice(message):
    global count
    count += 1
    if count % 2:
        raise ValueError("once more")
"""


@on_each_link
@pytest.mark.parametrize("way", WAYS)
async def test_a_message_is_acknowledged_when_all_its_publishes_are(tmp_path: Path, way: str) -> None:
    await hold_back(tmp_path, way, 1)


@pytest.mark.usefixtures("on_the_wire")
@pytest.mark.parametrize("way", WAYS)
async def test_so_is_one_at_qos_2(tmp_path: Path, way: str) -> None:
    """paho itself would send PUBREC on receipt: without the wire, QoS 2 is acknowledged early."""
    await hold_back(tmp_path, way, 2)


async def hold_back(tmp_path: Path, way: str, qos: int) -> None:
    (tmp_path / "own.py").write_text(OWN)
    async with trial(tmp_path, WAYS[way], qos) as on:
        await on.hand.publish("in", b"[1, 2]", qos)

        def link() -> Link:
            return on.runner.connections["cloud"].link

        await until(lambda: link().pending >= (2 if way in {"split", "retry"} else 1), what=on.told.text)
        await on.settle()
        assert on.acknowledged == 0
        on.other.start()
        await until(lambda: on.acknowledged == 1, what=on.told.text)
        assert link().pending == 0


@on_each_link
async def test_a_step_that_waits_holds_back_the_acknowledgement_and_those_behind_it(
    tmp_path: Path, server: Server
) -> None:
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    async with trial(tmp_path, f"  - http: {{url: {server.url}/x, timeout: 20s}}\n") as on:
        for _ in range(3):
            await on.hand.publish("in")
        await until(lambda: on.runner.flows["flow"].waits[0].count == 3)
        await on.settle()
        assert on.acknowledged == 0
        gate.set()
        await until(lambda: on.acknowledged == 3)


IMMEDIATE = {
    "nothing waits": "  - publish: out\n",
    "filter": f"  - filter: false\n  - {TO_OTHER}\n",
    "a failing step": f"  - json\n  - map: payload.x\n  - {TO_OTHER}\n",
    "a failing step that waits": f"  - python: own.py:fail\n  - {TO_OTHER}\n",
    "window": f"  - window: {{every: 1h}}\n  - {TO_OTHER}\n",
    "debounce": f"  - debounce: 1h\n  - {TO_OTHER}\n",
    "delay": f"  - delay: 1h\n  - {TO_OTHER}\n",
    "QoS 0 to a broker that is away": "  - publish: {topic: out, connection: cloud}\n",
}


@on_each_link
@pytest.mark.parametrize("way", IMMEDIATE)
async def test_what_is_dropped_or_kept_for_later_is_acknowledged_at_once(tmp_path: Path, way: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    async with trial(tmp_path, IMMEDIATE[way]) as on:
        await on.hand.publish("in")
        await until(lambda: on.acknowledged == 1, what=on.told.text)


@on_each_link
async def test_what_waits_for_a_timer_holds_back_nothing_when_it_goes_on(tmp_path: Path) -> None:
    async with trial(tmp_path, f"  - delay: 10ms\n  - {TO_OTHER}\n") as on:
        await on.hand.publish("in")
        await until(lambda: on.acknowledged == 1, what=on.told.text)
        await until(lambda: on.runner.connections["cloud"].link.pending == 1)
        await on.hand.publish("in")
        await until(lambda: on.acknowledged == 2, what=on.told.text)


@on_each_link
async def test_messages_that_a_full_queue_drops_are_acknowledged(tmp_path: Path, server: Server) -> None:
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    async with trial(
        tmp_path, f"  - http: {{url: {server.url}/x, timeout: 20s}}\nqueue: {{size: 2, policy: drop_oldest}}\n"
    ) as on:
        for _ in range(5):
            await on.hand.publish("in")
        await until(lambda: on.runner.flows["flow"].dropped == 2)
        await on.settle()
        assert on.acknowledged == 0  # in the order of arrival: the first one is still in work
        gate.set()
        await until(lambda: on.acknowledged == 5)


@on_each_link
async def test_what_is_not_finished_at_the_end_stays_with_the_broker(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowrunner.run.runner.LAST_WORK", 0.05)
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    async with trial(tmp_path, f"  - http: {{url: {server.url}/x, timeout: 20s}}\n") as on:
        await on.hand.publish("in")
        await until(lambda: on.runner.flows["flow"].waits[0].count == 1)
        client_id = on.client_id
        await on.runner.close()
        await until(lambda: f"Received DISCONNECT from {client_id}" in on.mosquitto.log)
        assert f"Received PUBACK from {client_id}" not in on.mosquitto.log
        gate.set()


@on_each_link
async def test_an_edit_keeps_what_is_promised(tmp_path: Path) -> None:
    async with trial(tmp_path, f"  - {TO_OTHER}\n") as on:
        await on.hand.publish("in")
        await until(lambda: on.runner.connections["cloud"].link.pending == 1)
        text = f"subscribe: {{topic: in, qos: 1}}\nsteps:\n  - let: {{a: 1}}\n  - {TO_OTHER}\n"
        await on.runner.apply([compile_flow(read(text, name="flow", folder=tmp_path))])
        await on.hand.publish("in")
        await until(lambda: on.runner.connections["cloud"].link.pending == 2)
        await on.settle()
        assert on.acknowledged == 0
        on.other.start()
        await until(lambda: on.acknowledged == 2)


@pytest.mark.usefixtures("on_the_wire")
async def test_a_link_that_breaks_meanwhile_does_not_run_the_flow_again(tmp_path: Path) -> None:
    """With the session kept, what is still in work is acknowledged once it is done, over the next connection."""
    require_mosquitto()
    other = Mosquitto(tmp_path / "other")
    with Mosquitto(tmp_path / "one") as mosquitto:
        connections: dict[str, ConnectionSettings] = {
            "default": mosquitto.settings(keep=60.0, client_id="steady"),
            "cloud": replace(other.settings(), name="cloud"),
        }
        text = f"subscribe: {{topic: in, qos: 1}}\nsteps:\n  - {TO_OTHER}\n"
        program = compile_flow(read(text, name="flow", folder=tmp_path))
        told = Told()
        runner = Runner(connections, Report(told.lines.append), backoff=quick_backoff)
        try:
            await runner.apply([program])
            await until(runner.connections["default"].subscriptions.complete.is_set)
            async with Hand(mosquitto.settings()) as hand:
                await hand.publish("in")
                await until(lambda: runner.connections["cloud"].link.pending == 1)
                network = runner.connections["default"]._network
                assert network is not None
                network.abort()
                await until(lambda: mosquitto.log.count("Sending PUBLISH to steady (d1") == 1)
                await asyncio.sleep(0)
                assert "Received PUBACK from steady" not in mosquitto.log
                other.start()
                await until(lambda: "Received PUBACK from steady" in mosquitto.log)
                assert runner.flows["flow"].received == 1
                await ready(runner)
        finally:
            await runner.close()
            other.kill()
