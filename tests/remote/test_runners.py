"""Several runners with one Redis: what one of them remembers, all know; and what they say when Redis is away."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowrunner.compile import compile_to_run
from flowrunner.connections import ConnectionSettings
from flowrunner.remote.address import StateSettings
from flowrunner.remote.worker import MOST_AT_ONCE
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.sharing import Sharing
from tests.flow_host import FlowHost, read
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.redis_server import RedisServer, redis_server
from tests.remote.hosted import hosted
from tests.run.fakes import Hand, Told, quick_backoff, ready, until

__all__ = ["redis_server"]

pytestmark = [pytest.mark.broker, pytest.mark.redis]
GENEROUS = f"{OPEN}max_queued_messages 0\nmax_inflight_messages 200\n"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto", GENEROUS) as found:
        yield found


class Group:
    """Runners that share every flow, and one Redis."""

    def __init__(self, settings: ConnectionSettings, state: StateSettings) -> None:
        self.settings, self.state, self.told = settings, state, Told()
        self.runners: list[Runner] = []

    async def join(self, *texts: str, number: int | None = None) -> Runner:
        """One more runner with flows; they are called `flow`, `flow2` and so on."""
        member = str(number or len(self.runners) + 1)
        sharing = Sharing("team", lambda _: True, takes_retained=member == "1", member=member)
        report = Report(self.told.lines.append)
        settings = replace(self.settings, client_id="me")
        runner = Runner({"default": settings}, report, backoff=quick_backoff, sharing=sharing, state=self.state)
        self.runners.append(runner)
        await runner.apply([compiled(text, index) for index, text in enumerate(texts)])
        await ready(runner, self.told)
        return runner

    @property
    def received(self) -> int:
        """Messages that came to any of them."""
        return sum(runner.flows["flow"].received for runner in self.runners)

    async def leave(self, runner: Runner) -> None:
        self.runners.remove(runner)
        await runner.close()


def compiled(text: str, index: int = 0) -> Any:
    return compile_to_run(replace(read(text, name=f"flow{index + 1 if index else ''}"), is_remote=True))


@asynccontextmanager
async def group(broker: Mosquitto, server: RedisServer, *texts: str, size: int = 3) -> AsyncIterator[Group]:
    made = Group(broker.settings(), server.settings)
    try:
        for _ in range(size):
            await made.join(*texts)
        yield made
    finally:
        for runner in made.runners:
            await runner.close()


DEDUPE = """
subscribe: {topic: in, qos: 1}
steps:
  - json
  - dedupe: {key: payload.id, within: 1h}
  - publish: {topic: out, qos: 1}
"""


def publish_all(hand: Hand, values: list[Any]) -> None:
    for value in values:
        hand.client.publish("in", read_json(value), 1)


def read_json(value: Any) -> bytes:
    from flowrunner.jsons import dumps

    return dumps(value)


@pytest.mark.parametrize(
    ("qos", "keys"), [(0, 1_000), (1, 1_000), *(pytest.param(qos, 10_000, marks=pytest.mark.soak) for qos in (0, 1))]
)
async def test_each_key_passes_once_whoever_gets_it(
    broker: Mosquitto, redis_server: RedisServer, qos: int, keys: int
) -> None:
    times = 3
    numbers = [number for number in range(keys) for _ in range(times)]
    random.Random(7).shuffle(numbers)
    text = DEDUPE.replace("qos: 1", f"qos: {qos}", 1)
    async with group(broker, redis_server, text) as team, Hand(broker.settings(), "out") as hand:
        for start in range(0, len(numbers), 500):
            publish_all(hand, [{"id": number} for number in numbers[start : start + 500]])
            await until(lambda: team.received >= start + 500)  # noqa: B023
        await until(lambda: len(hand.got) >= keys)
        publish_all(hand, [{"id": "end"}])
        await until(lambda: any(b"end" in payload for payload in hand.payloads))
        assert len(hand.got) == keys + 1
        assert len(set(hand.payloads)) == keys + 1
        shares = [runner.flows["flow"].received for runner in team.runners]
        assert sum(shares) == len(numbers) + 1
        assert all(shares)


async def test_what_comes_in_one_turn_of_the_loop_is_one_round_trip(redis_server: RedisServer) -> None:
    messages = 1000
    async with hosted(redis_server, "turn") as state:
        host = FlowHost(read("subscribe: in/+k\nsteps:\n  - dedupe: {key: k}\n  - publish: out/${k}\n"))
        await host.settled()
        before = redis_server.calls("evalsha")
        for number in range(MOST_AT_ONCE):
            host.get(f"in/{number}", b"")
        await host.settled()
        assert redis_server.calls("evalsha") - before == 1
        assert state.round_trips == 1
        for number in range(messages):
            host.get(f"in/{number}", b"")
        await host.settled()
        assert redis_server.calls("evalsha") - before == 1 + -(-messages // MOST_AT_ONCE)
        topics = [message.topic for message in host.outcome.published]
        assert topics == [f"out/{number}" for number in range(messages)]


async def test_steps_of_several_flows_share_a_round_trip(redis_server: RedisServer) -> None:
    async with hosted(redis_server, "flows") as state:
        texts = ["dedupe: {key: topic}", "changed: payload", "throttle: 5s", "state: {increment: n}"]
        flows = [
            read(f"subscribe: in\nsteps:\n  - {text}\n  - publish: out\n", name=f"f{n}") for n, text in enumerate(texts)
        ]
        hosts = [FlowHost(flow) for flow in flows]
        for host in hosts:
            host.get("in", b"1")
        for host in hosts:
            await host.settled()
        assert [len(host.outcome.published) for host in hosts] == [1, 1, 1, 1]
        assert (state.round_trips, redis_server.calls("evalsha")) == (1, 4)


async def test_a_message_is_acknowledged_when_redis_has_answered(broker: Mosquitto, redis_server: RedisServer) -> None:
    redis_server.kill()
    async with group(broker, redis_server, DEDUPE, size=1) as team, Hand(broker.settings(), "out") as hand:
        name = team.runners[0].connections["default"].client_id
        await until(lambda: team.told.count("nothing listens there"))
        for number in range(3):
            await hand.publish("in", b'{"id": %d}' % number)
        await until(lambda: team.runners[0].flows["flow"].received == 3)
        assert hand.got == []
        assert f"Received PUBACK from {name}" not in broker.log
        redis_server.start()
        await until(lambda: broker.log.count(f"Received PUBACK from {name}") == 3)
        assert hand.payloads == [b'{"id":%d}' % number for number in range(3)]
        assert team.told.count("trying again and again") == 1
        assert team.told.count(f"state: in {redis_server.settings.shown}") == 1


async def test_redis_restarts_in_the_middle(broker: Mosquitto, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "kept", is_kept=True) as server:
        async with group(broker, server, DEDUPE) as team, Hand(broker.settings(), "out") as hand:
            for number in range(600):
                hand.client.publish("in", b'{"id": %d}' % (number % 300), 1)
                if number == 200:
                    await until(lambda: len(hand.got) > 50)
                    server.kill()
                if number == 300:
                    await until(lambda: team.told.count("trying again and again"))
                if number == 400:
                    server.start()
            await until(lambda: sum(runner.flows["flow"].received for runner in team.runners) == 600)
            await until(lambda: len(set(hand.payloads)) == 300)
            await until(lambda: team.told.count("back on"))
            publish_all(hand, [{"id": "end"}])
            await until(lambda: any(b"end" in payload for payload in hand.payloads))
            assert max(Counter(hand.payloads).values()) == 1


async def test_a_window_closes_once_with_all_that_came_to_anybody(broker: Mosquitto, redis_server: RedisServer) -> None:
    text = """
    subscribe: {topic: in, qos: 1}
    steps:
      - json
      - window: {gap: 500ms, by: payload.k}
      - publish: {topic: out, qos: 1}
    """
    async with group(broker, redis_server, text) as team, Hand(broker.settings(), "out") as hand:
        publish_all(hand, [{"k": number % 20, "n": number} for number in range(400)])
        await until(lambda: len(hand.got) >= 20)
        windows = [read_value(payload) for payload in hand.payloads]
        assert sorted(item["n"] for window in windows for item in window) == list(range(400))
        assert all(len({item["k"] for item in window}) == 1 for window in windows)
        assert len(team.runners) == 3


def read_value(payload: bytes) -> Any:
    from flowrunner.jsons import loads

    return loads(payload)


async def test_another_runner_tells_of_silence_when_the_first_is_gone(
    broker: Mosquitto, redis_server: RedisServer
) -> None:
    text = """
    subscribe: {topic: in, qos: 1}
    steps:
      - timeout: {after: 1s, by: topic, payload: silent}
      - publish: {topic: "out/${payload}", qos: 1}
    """
    async with group(broker, redis_server, text, size=1) as team, Hand(broker.settings(), "out/#") as hand:
        await hand.publish("in", b"here")
        await until(lambda: len(hand.got) == 1)
        first = team.runners[0]
        for _ in range(2):
            await team.join(text)
        await team.leave(first)
        await until(lambda: len(hand.got) == 2)
        await asyncio.sleep(0)
        assert [message.topic for message in hand.got] == ["out/here", "out/silent"]


async def test_a_counter_of_all(broker: Mosquitto, redis_server: RedisServer) -> None:
    text = """
    subscribe: {topic: in, qos: 1}
    steps:
      - state: {increment: count, scope: shared}
      - publish: {topic: out, payload: "${count}", qos: 1}
    """
    async with group(broker, redis_server, text, size=2) as team, Hand(broker.settings(), "out") as hand:
        publish_all(hand, [None] * 200)
        await until(lambda: len(hand.got) == 200)
        assert sorted(int(payload) for payload in hand.payloads) == list(range(1, 201))
        assert len(team.runners) == 2


async def test_what_is_read_and_set_by_several_steps_lets_no_message_in_between(
    broker: Mosquitto, redis_server: RedisServer
) -> None:
    text = """
    subscribe: {topic: in, qos: 1}
    steps:
      - json
      - state: {get: last, default: 0}
      - publish: {topic: out, payload: "${payload - last}", qos: 1}
      - state: {set: last}
    """
    async with group(broker, redis_server, text, size=1), Hand(broker.settings(), "out") as hand:
        publish_all(hand, list(range(1, 101)))
        await until(lambda: len(hand.got) == 100)
        assert hand.payloads == [b"1"] * 100


async def test_an_edit_keeps_what_redis_remembers_and_another_shape_begins_anew(
    broker: Mosquitto, redis_server: RedisServer
) -> None:
    text = "subscribe: {topic: in, qos: 1}\nsteps:\n  - changed: {value: payload, BY max_age: 1h}\n  - publish: {topic: OUT, qos: 1}\n"
    async with group(broker, redis_server, text.replace("OUT", "one").replace("BY ", ""), size=1) as team:
        (runner,) = team.runners
        async with Hand(broker.settings(), "one", "two", "three") as hand:
            await hand.publish("in", b"x")
            await until(lambda: len(hand.got) == 1)
            await runner.apply([compiled(text.replace("OUT", "two").replace("BY ", ""))])
            await hand.publish("in", b"x")
            await hand.publish("in", b"y")
            await until(lambda: len(hand.got) == 2)
            await runner.apply([compiled(text.replace("OUT", "three").replace("BY ", "by: topic, "))])
            await hand.publish("in", b"y")
            await until(lambda: len(hand.got) == 3)
            assert [(one.topic, one.payload) for one in hand.got] == [("one", b"x"), ("two", b"y"), ("three", b"y")]


async def test_two_projects_do_not_meet(broker: Mosquitto, redis_server: RedisServer) -> None:
    found: list[int] = []
    for name in ("plant", "house", "plant"):
        made = Group(broker.settings(), replace(redis_server.settings, name=name))
        await made.join(DEDUPE)
        async with Hand(broker.settings(), "out") as hand:
            await hand.publish("in", b'{"id": 1}')
            await hand.publish("in", b'{"id": "%b"}' % str(len(found)).encode())
            await until(lambda: any(b'"' + str(len(found)).encode() in one for one in hand.payloads))
            found.append(len(hand.got))
        await made.leave(made.runners[0])
    assert found == [2, 2, 1]
    with redis_server.client() as client:
        names = {key.split(b":")[1] for key in client.keys("*")}
        assert names == {b"{plant}", b"{house}"}
        assert all(client.pttl(key) > 0 for key in client.keys("*"))


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        (("--requirepass", "secret"), {}, "it wants a password"),
        (("--requirepass", "secret"), {"password": "wrong-one"}, "the user or the password is wrong"),
        (("--databases", "2"), {"db": 7}, "there is no database of this number"),
        (("--maxmemory", "1"), {}, "it is out of memory"),
        (("--replicaof", "127.0.0.1", "1"), {}, "it is a read-only replica"),
    ],
)
async def test_why_redis_cannot_be_used(
    broker: Mosquitto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    change: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr("flowrunner.run.runner.LAST_WORK_WITHOUT_STATE", 0.01)  # what waits here waits in vain
    with RedisServer(tmp_path / "other", *options) as server:
        made = Group(broker.settings(), replace(server.settings, **change))
        runner = await made.join(DEDUPE)
        try:
            async with Hand(broker.settings()) as hand:
                await hand.publish("in", b'{"id": 1}')
                await until(lambda: made.told.count(words), what=made.told)
            assert made.told.count("warning: state: ") == 1
            assert "wrong-one" not in made.told.text
        finally:
            await made.leave(runner)


REMEMBERS = """
subscribe: {topic: in, qos: 1}
steps:
  - json
  - changed: {value: payload.v, by: payload.k}
  - window: {gap: 1h, by: payload.k}
  - state: {increment: windows}
  - state: {get: windows}
  - publish: {topic: out, qos: 1}
"""


async def test_how_much_steps_remember_is_seen_in_one_round_trip(broker: Mosquitto, redis_server: RedisServer) -> None:
    async with group(broker, redis_server, REMEMBERS, size=2) as team, Hand(broker.settings()) as hand:
        one, other = team.runners
        publish_all(hand, [{"k": f"k{number % 5}", "v": number} for number in range(15)])
        await until(lambda: team.received == 15)
        await until(lambda: not one.flows["flow"].waits[0].is_busy and not other.flows["flow"].waits[0].is_busy)
        for runner in (one, other):
            remote = runner._remote
            assert remote is not None
            trips = remote.round_trips
            await runner.refresh(states=None)
            assert remote.round_trips <= trips + 2  # timers may have looked meanwhile
            shown = runner.flows["flow"].show_states(runner.clock)
            assert shown["changed 1"] == {"keys": 5, "is_common": True}
            window = shown["window 1"]
            assert window["keys"] == 5
            assert len({due["key"] for due in window["due"]} & {f"k{number}" for number in range(5)}) == 3
            assert [due["items"] for due in window["due"]] == [3, 3, 3]
            assert all(3500 < due["in"] <= 3600 for due in window["due"])


async def test_a_look_does_not_wait_for_a_redis_that_is_away(broker: Mosquitto, redis_server: RedisServer) -> None:
    async with group(broker, redis_server, REMEMBERS, size=1) as team, Hand(broker.settings()) as hand:
        (runner,) = team.runners
        await hand.publish("in", b'{"k": "a", "v": 1}')
        await until(lambda: team.received == 1 and not runner.flows["flow"].waits[0].is_busy)
        await runner.refresh(states=["flow"])
        redis_server.kill()
        await until(lambda: runner._remote is not None and runner._remote.is_away)
        await runner.refresh(states=["flow"])
        assert runner.flows["flow"].show_states(runner.clock)["changed 1"]["keys"] == 1
        assert runner._remote is not None
        assert not runner._remote._waiting or len(runner._remote._waiting) < 5
