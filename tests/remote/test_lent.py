"""What a timer let go is lent: it is published also where the runner that got it is killed before it could."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowrunner.remote.lease_scripts import RETURN
from flowrunner.remote.place import Answer, Limits
from flowrunner.remote.script import Script
from flowrunner.remote.window_scripts import WINDOW, WINDOW_RING
from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.flow_host import FlowHost, read
from tests.mosquitto import OPEN, PATIENCE, Mosquitto, require_mosquitto
from tests.redis_server import RedisServer, redis_server
from tests.remote.hosted import hosted
from tests.run.fakes import Hand, until

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis

#: Stands behind the step that lets go, and keeps what it gets for as long as a file is there.
HOLD = """
import asyncio, pathlib

folder = pathlib.Path(__file__).parent

async def hold(message):
    (folder / "reached").touch()
    while (folder / "hold").exists():
        await asyncio.sleep(0.01)
    return [message.payload]  # a list of them is several messages
"""
FLOW = """
subscribe: {{topic: in, qos: {qos}}}
steps:
  - decode: utf-8
  - {step}
  - {when}python: hold.py:hold
  - publish: {{topic: out, qos: 1}}
"""


class Child:
    """`flowrunner run` in a process of its own."""

    def __init__(self, folder: Path, broker: Mosquitto, server: RedisServer, flow: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "hold.py").write_text(HOLD)
        (folder / "flow.yaml").write_text(flow)
        default = f"{{url: 'mqtt://127.0.0.1:{broker.port}', client_id: {folder.name}}}"
        (folder / "flowrunner.yaml").write_text(f"connections: {{default: {default}}}\nstate: {server.url}?name=team\n")

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "flowrunner", "run", "--no-web", "--no-reload", str(self.folder)]
        environment = os.environ | {"FLOWRUNNER_LOG_FORMAT": "json"}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def ready(self) -> None:
        await until(lambda: '"event": "connected"' in self.log and '"state-connected"' in self.log, what=self.log)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto", OPEN) as found:
        yield found


def lent(server: RedisServer) -> list[bytes]:
    """What is lent at the moment: the keys that say so."""
    with server.client() as client:
        return [key for key in client.keys("flowrunner:*") if b":lent:" in key or key.endswith(b":owners")]


def six_seconds_pass(server: RedisServer) -> None:
    """Have Redis take for dead whoever has said nothing since."""
    with server.client() as client:
        for key in client.keys("flowrunner:{team}:alive:*"):
            client.delete(key)


@pytest.mark.broker
@pytest.mark.parametrize(
    ("step", "said", "when", "qos", "expected"),
    [
        ("timeout: {after: 300ms, payload: silent, by: topic}", ["a"], "silent", 1, [b"silent"]),
        ("timeout: {after: 300ms, payload: silent, by: topic}", ["a"], "silent", 0, [b"silent"]),
        ("window: {gap: 300ms}", ["a", "b"], "", 1, [b'["a","b"]']),
        ("window: {count: 2}", ["a", "b"], "", 1, [b'["a","b"]']),
        ("throttle: {rate: 500ms, keep: last}", ["a", "b", "c"], "c", 1, [b"c"]),
    ],
)
async def test_a_runner_that_is_killed_between_the_timer_and_its_publish_loses_nothing(
    tmp_path: Path, broker: Mosquitto, redis_server: RedisServer, step: str, said: list[str], when: str, qos: int,
    expected: list[bytes],
) -> None:  # fmt: skip
    flow = FLOW.format(step=step, qos=qos, when=f"when: payload == '{when}'\n    " if when else "")
    first, second = (Child(tmp_path / name, broker, redis_server, flow) for name in ("first", "second"))
    (first.folder / "hold").touch()
    async with Hand(broker.settings(), "out") as hand:
        with first.running():
            await first.ready()
            await until(lambda: "Sending SUBACK to first" in broker.log)
            for payload in said:
                await hand.publish("in", payload.encode())
            await until((first.folder / "reached").exists, what=first.log)
            await until(lambda: qos == 0 or broker.log.count("Received PUBACK from first") == len(said))
        assert not [one for one in hand.payloads if one in expected]
        assert lent(redis_server)
        six_seconds_pass(redis_server)
        with second.running():
            await until(lambda: [one for one in hand.payloads if one in expected], what=second.log)
            await until(lambda: not lent(redis_server))
            assert [one for one in hand.payloads if one in expected] == expected


@pytest.mark.broker
async def test_what_cannot_be_published_before_the_end_is_left_to_the_next_runner(
    tmp_path: Path, broker: Mosquitto, redis_server: RedisServer
) -> None:
    flow = "subscribe: {topic: in, qos: 1}\nsteps:\n  - json\n  - window: {gap: 600ms}\n  - publish: {topic: out, qos: 1}\n"
    first, second = (Child(tmp_path / name, broker, redis_server, flow) for name in ("first", "second"))
    with first.running() as process:
        await first.ready()
        async with Hand(broker.settings()) as hand:
            await until(lambda: "Sending SUBACK to first" in broker.log)
            await hand.publish("in", b"1")
            await until(lambda: "Received PUBACK from first" in broker.log)
        broker.kill()
        await until(lambda: lent(redis_server), what=first.log)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
    assert lent(redis_server)
    broker.start()
    six_seconds_pass(redis_server)
    async with Hand(broker.settings(), "out") as hand:
        with second.running():
            await until(lambda: len(hand.got) == 1, what=second.log)
            await until(lambda: not lent(redis_server))


class Asks:
    """Calls the scripts of one window as a worker does."""

    def __init__(self, state: RedisState, owner: str) -> None:
        self.state, self.statics = state, ("10", "0", owner)

    async def call(self, script: Script, *arguments: str) -> Answer:
        return await self.state.call(script, "flow:window 1:x", Limits(10), [*self.statics, *arguments])

    async def take(self, *keys: str) -> Answer:
        held = '{"_origin":["in","",0,false,{}]}'
        return await self.call(WINDOW, *(text for key in keys for text in (key, "1", held, "", "", "0")))

    async def done(self, *numbers: bytes) -> None:
        await self.state.call(RETURN, "flow:window 1:x", Limits(10), [self.statics[2], *numbers])


async def test_what_is_lent_is_nobody_else_s_until_its_owner_is_dead(redis_server: RedisServer) -> None:
    state = RedisState(redis_server.settings, "team", Report(lambda _: None))
    one, other = Asks(state, "one"), Asks(state, "other")
    try:
        await one.take("a", "b", "c")
        first = (await one.call(WINDOW_RING)).results
        assert [lease[1:] for lease in first] == [[b'{"_origin":["in","",0,false,{}]}', b"1"]] * 3
        assert (await other.call(WINDOW_RING)).results == []
        assert (await one.call(WINDOW_RING)).results == []
        await one.done(first[0][0])
        six_seconds_pass(redis_server)
        assert (await one.call(WINDOW_RING)).results == []  # who asks is not dead
        anew = (await other.call(WINDOW_RING)).results
        assert [lease[1:] for lease in anew] == [lease[1:] for lease in first[1:]]
        assert (await one.call(WINDOW_RING)).results == []
        await one.done(first[1][0])  # it was alive after all: that is no harm
        assert len(lent(redis_server)) == 2
        await other.done(*(lease[0] for lease in anew))
        assert lent(redis_server) == []
    finally:
        await state.aclose()


async def test_many_that_were_lent_to_the_dead_are_lent_anew_in_several_rings(redis_server: RedisServer) -> None:
    state = RedisState(redis_server.settings, "team", Report(lambda _: None))
    one, other = Asks(state, "one"), Asks(state, "other")
    try:
        for start in range(0, 250, 10):
            await one.take(*(f"{number}" for number in range(start, start + 10)))
            await one.call(WINDOW_RING)
        six_seconds_pass(redis_server)
        found: list[Any] = []
        waits = []
        for _ in range(4):
            answer = await other.call(WINDOW_RING)
            found += answer.results
            waits.append(answer.wait)
        assert len({lease[0] for lease in found}) == 250
        assert waits == [0, 0, None, None]
        assert len(lent(redis_server)) == 2
    finally:
        await state.aclose()


async def test_what_redis_holds_and_nobody_can_read_is_said_once_and_given_up(redis_server: RedisServer) -> None:
    async with hosted(redis_server, "team"):
        host = FlowHost(read("subscribe: in\nsteps:\n  - json\n  - window: {count: 2}\n  - publish: out\n"))
        host.get("in", b"1")
        await host.settled()
        with redis_server.client() as client:
            (items,) = client.keys("*:items:*")
            client.lset(items, 0, "1 {broken")
        for payload in (b"2", b"3", b"4"):
            host.get("in", payload)
            await host.settled()
        assert host.outcome.errors == []
        ((level, text),) = host.outcome.logged
        assert level == "error"
        assert text.startswith("`window 1`: what Redis holds cannot be read (")
        assert [message.value for message in host.outcome.published] == [[3, 4]]
        assert lent(redis_server) == []


async def test_a_timer_that_redis_refuses_is_said_once(redis_server: RedisServer) -> None:
    async with hosted(redis_server, "team"):
        host = FlowHost(read("subscribe: in\nsteps:\n  - window: {gap: 5s}\n  - publish: out\n"))
        await host.settled()
        host.get("in", b"1")
        await host.settled()
        with redis_server.client() as client:
            (due,) = client.keys("*:due")
            client.set(due, "of another program")
        for _ in range(3):
            host.after(1)
            await host.settled()
        ((level, text),) = host.outcome.logged
        assert level == "error"
        assert text.startswith("`window 1`: Redis refuses: ")
        assert "WRONGTYPE" in text
