"""What users of other programs ran into, numbered as in the list of such scenarios: errors (20-23) and load (24, 25)."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrunner.compile import compile_flow
from flowrunner.read.settings import read_settings
from tests.flow_host import read
from tests.http_server import Answer, Asked, Server, http_server
from tests.mosquitto import Mosquitto
from tests.run.fakes import Hand, Told, running, until

pytestmark = pytest.mark.broker


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_server() as server:
        yield server


def programs(folder: Path, **flows: str) -> list[object]:
    return [compile_flow(read(text, name=name, folder=folder)) for name, text in flows.items()]


STEPS = {
    "encode": "encode: utf-8",
    "filter": "filter: payload.x > 1",
    "map": "map: payload.x",
    "http": "http: {url}/broken",
    "python": "python: own.py:f",
    "exec": "exec: ['false']",
    "retry": "retry: {{steps: [map: payload.x], attempts: 2, backoff: 1ms}}",
}


@pytest.mark.parametrize("name", STEPS)
async def test_scenario_20_a_failing_step_never_passes_the_message_on(
    mosquitto: Mosquitto, server: Server, tmp_path: Path, name: str
) -> None:
    (tmp_path / "own.py").write_text("def f(message):\n    raise ValueError('no')\n")
    server.answers["/broken"] = Answer(b"no", 500)
    step = STEPS[name].format(url=server.url)
    text = f"subscribe: in\nsteps:\n  - json\n  - {step}\n  - publish: out\n"
    behind = "subscribe: in\nsteps:\n  - publish: seen\n"
    told, settings = Told(), mosquitto.settings()
    flows = programs(tmp_path, failing=text, other=behind)
    async with running(settings, *flows, told=told) as runner, Hand(settings, "out", "seen") as hand:  # type: ignore[arg-type]
        for number in range(3):
            await hand.publish("in", b'{"y": %d}' % number)
        await until(lambda: runner.flows["failing"].dropped == 3 and len(hand.got) == 3, what=told.text)
        assert {message.topic for message in hand.got} == {"seen"}


async def test_scenario_21_one_bad_message_never_stops_a_flow(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(asked.body, 500 if b"bad" in asked.body else 200)

    server.answers["/x"] = answer
    (tmp_path / "own.py").write_text(
        "async def f(m):\n    return m.payload if b'worse' not in m.payload else m.nothing\n"
    )
    text = f"""
        subscribe: in
        steps:
          - python: own.py:f
          - http: {{url: {server.url}/x, method: POST}}
          - publish: out
    """
    settings = mosquitto.settings()
    async with running(settings, *programs(tmp_path, flow=text)) as runner, Hand(settings, "out") as hand:  # type: ignore[arg-type]
        for payload in (b"1", b"bad", b"2", b"worse", b"\xff\x00bad", b"3"):
            await hand.publish("in", payload)
        await until(lambda: len(hand.got) == 3)
        assert hand.payloads == [b"1", b"2", b"3"]
        assert runner.flows["flow"].dropped == 3


async def test_scenario_22_every_message_of_an_error_says_what_and_where(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("def f(message):\n    return message.payload['x']\n")
    server.answers["/broken"] = Answer(b"the device is asleep", 503)
    texts = {
        name: f"subscribe: in\nsteps:\n  - json\n  - {STEPS[name].format(url=server.url)}\n  - publish: out\n"
        for name in ("http", "python", "exec", "retry", "map")
    }
    told, settings = Told(), mosquitto.settings()
    async with running(settings, *programs(tmp_path, **texts), told=told) as runner, Hand(settings) as hand:  # type: ignore[arg-type]
        await hand.publish("in", b'{"y": 1}')
        await until(lambda: all(flow.dropped for flow in runner.flows.values()), what=told.text)
    for words in (
        "the server answered 503 Service Unavailable: the device is asleep\n --> flows/http.yaml:4:5",
        f"KeyError: 'x'\n --> {(tmp_path / 'own.py').as_posix()}:2:12",
        "called by `python` in flows/python.yaml:4:5",
        "`false` ended with exit code 1\n --> flows/exec.yaml:4:5",
        "the payload has no field `x` (attempt 2 of 2)\n --> flows/retry.yaml:4:26",
        "the payload has no field `x`\n --> flows/map.yaml:4:10",
    ):
        assert words in told.text
    assert told.count('topic `in`, payload `{"y": 1}`') == 5
    assert "object at 0x" not in told.text
    assert "Traceback" not in told.text


@pytest.mark.parametrize("password", ["a: b #c", "\"'{}[]&*!|>%@`", "${env.OTHER}", "\\n\t", "- x"])
def test_scenario_23_a_value_is_inserted_after_parsing_and_may_hold_any_character(
    tmp_path: Path, password: str
) -> None:
    file = tmp_path / "flowrunner.yaml"
    file.write_text("connections:\n  default:\n    url: mqtt://h\n    username: u\n    password: ${env.SECRET}\n")
    settings, found = read_settings(file, environment={"SECRET": password})
    assert found == []
    assert settings.connections["default"].password == password


def test_scenario_23_an_unset_variable_is_an_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "flowrunner.yaml"
    file.write_text("connections:\n  default:\n    url: mqtt://h\n    password: ${env.SECRET}\n")
    _, (found,) = read_settings(file, environment={})
    assert (found.code, found.span.line) == ("unset-variable", 4)


async def test_scenario_24_one_slow_sink_does_not_hold_up_other_flows(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.answers["/slow"] = Answer(b"late", wait=gate)
    (tmp_path / "own.py").write_text(
        "import threading\ngate = threading.Event()\n\ndef f(message):\n    gate.wait(20)\n"
    )
    slow = f"subscribe: in\nsteps:\n  - http: {{url: {server.url}/slow, timeout: 20s}}\n  - publish: slow\n"
    blocked = "subscribe: in\nsteps:\n  - python: own.py:f\n"
    fast = "subscribe: in\nsteps:\n  - publish: fast\n"
    settings = mosquitto.settings()
    flows = programs(tmp_path, slow=slow, blocked=blocked, fast=fast)
    async with running(settings, *flows) as runner, Hand(settings, "fast", "slow") as hand:  # type: ignore[arg-type]
        for number in range(20):
            await hand.publish("in", b"%d" % number)
        await until(lambda: len(hand.got) == 20)
        assert {message.topic for message in hand.got} == {"fast"}
        assert runner.flows["slow"].waits[0].count == 20
        gate.set()
        import sys

        sys.modules["_flowrunner_own"].gate.set()
        await until(lambda: len(hand.got) == 40)


async def test_scenario_25_order_per_flow_survives_retries(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    counts: dict[bytes, int] = {}

    def answer(asked: Asked) -> Answer:
        counts[asked.body] = counts.get(asked.body, 0) + 1
        return Answer(asked.body, 503 if int(asked.body) % 3 == 0 and counts[asked.body] < 3 else 200, type="x/y")

    server.answers["/x"] = answer
    text = f"""
        subscribe: in
        steps:
          - retry:
              attempts: 3
              backoff: 5ms
              steps: [{{http: {{url: {server.url}/x, method: POST}}}}]
          - publish: out
    """
    settings = mosquitto.settings()
    async with running(settings, *programs(tmp_path, flow=text)), Hand(settings, "out") as hand:  # type: ignore[arg-type]
        for number in range(12):
            await hand.publish("in", b"%d" % number)
        await until(lambda: len(hand.got) == 12)
        assert hand.payloads == [b"%d" % number for number in range(12)]


async def test_equal_errors_of_a_waiting_step_are_folded(mosquitto: Mosquitto, server: Server, tmp_path: Path) -> None:
    server.answers["/broken"] = Answer(b"no", 500)
    text = f"subscribe: in\nsteps:\n  - http: {server.url}/broken\n"
    told, settings = Told(), mosquitto.settings()
    async with running(settings, *programs(tmp_path, flow=text), told=told) as runner, Hand(settings) as hand:  # type: ignore[arg-type]
        for _ in range(10):
            await hand.publish("in")
        await until(lambda: runner.flows["flow"].dropped == 10)
    assert told.count("error[http-status]") == 1
    assert told.count("and 9 more like this") == 1


async def test_a_full_queue_is_told_once_and_so_is_that_there_is_room_again(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    text = f"subscribe: in\nqueue: {{size: 4}}\nsteps:\n  - http: {{url: {server.url}/x, timeout: 20s}}\n  - publish: out\n"
    told, settings = Told(), mosquitto.settings()
    async with running(settings, *programs(tmp_path, flow=text), told=told) as runner, Hand(settings, "out") as hand:  # type: ignore[arg-type]
        for _ in range(15):
            await hand.publish("in")
        await until(lambda: runner.flows["flow"].dropped == 10)
        assert told.count("`flow` drops messages: too many wait before `http 1`") == 1
        gate.set()
        await until(lambda: len(hand.got) == 5)
        assert told.count("`flow` has room again before `http 1`; messages dropped meanwhile: 10") == 1


async def test_at_the_end_what_is_inside_is_finished_and_published(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    text = (
        f"subscribe: in\nsteps:\n  - http: {{url: {server.url}/x, timeout: 20s}}\n  - publish: {{topic: out, qos: 1}}\n"
    )
    settings = mosquitto.settings()
    async with Hand(settings, "out") as hand:
        async with running(settings, *programs(tmp_path, flow=text)) as runner:  # type: ignore[arg-type]
            for _ in range(3):
                await hand.publish("in")
            await until(lambda: runner.flows["flow"].waits[0].count == 3)
            closing = asyncio.create_task(runner.close())
            gate.set()
            await closing
        await until(lambda: len(hand.got) == 3)


async def test_an_edit_lets_what_is_inside_finish_in_the_old_version_and_keeps_the_order(
    mosquitto: Mosquitto, server: Server, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.answers["/x"] = Answer(b"ok", wait=gate)
    text = "subscribe: in\nsteps:\n  - http: {{url: {url}/x, timeout: 20s}}\n  - publish: {topic}\n"
    old, new = (programs(tmp_path, flow=text.format(url=server.url, topic=topic)) for topic in ("old", "new"))
    settings = mosquitto.settings()
    async with running(settings, *old) as runner, Hand(settings, "old", "new") as hand:  # type: ignore[arg-type]
        for _ in range(2):
            await hand.publish("in")
        await until(lambda: runner.flows["flow"].waits[0].count == 2)
        await runner.apply(new)  # type: ignore[arg-type]
        await hand.publish("in")
        await until(lambda: runner.flows["flow"].waits[0].count == 1)
        gate.set()
        await until(lambda: len(hand.got) == 3)
        assert [message.topic for message in hand.got] == ["old", "old", "new"]
