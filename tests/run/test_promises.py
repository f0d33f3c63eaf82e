"""What users of other programs ran into, numbered as in the list of such scenarios: MQTT (12-18)."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from flowrunner.compile import compile_flow
from flowrunner.errors import StepError
from flowrunner.run import outbox
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.flow_host import read
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, running, subscribe, until

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("each_link")]


def program(text: str, name: str = "flow") -> Any:
    return compile_flow(read(text, name=name))


COPY = "subscribe: {topic: in/#, qos: 1}\nsteps:\n  - publish: {topic: out, qos: 1}\n"


async def test_scenario_12_a_broker_that_is_absent_at_the_start_and_again_later(tmp_path: Path) -> None:
    require_mosquitto()
    told, broker = Told(), Mosquitto(tmp_path)
    async with running(broker.settings(), program(COPY), told=told, is_ready=False) as runner:
        await until(lambda: "nothing answers at" in told.text)
        for turn in range(2):
            with broker:
                await ready(runner, told)
                async with Hand(broker.settings(), "out") as hand:
                    await hand.publish("in/a", b"%d" % turn)
                    await until(lambda: hand.got)
            await until(lambda turn=turn: told.count("lost the connection to") == turn + 1)  # type: ignore[misc]
    assert told.count("is the broker running? trying again and again") <= 3  # once for each absence
    assert told.count("back on") == 2


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_scenario_13_a_broker_that_restarts_without_persistence(mosquitto: Mosquitto, protocol: str) -> None:
    told, settings = Told(), mosquitto.settings(protocol=protocol, keep=60.0, client_id="steady")
    async with running(settings, program(COPY), told=told) as runner:
        for turn in range(2):
            async with Hand(mosquitto.settings(), "out") as hand:
                await hand.publish("in/a", b"%d" % turn)
                await until(lambda: hand.got)
                await hand.publish("out", b"end")
                await until(lambda: b"end" in hand.payloads)
                assert hand.payloads == [b"%d" % turn, b"end"]
            mosquitto.stop()
            await until(lambda turn=turn: told.count("lost the connection to") == turn + 1)  # type: ignore[misc]
            mosquitto.start()
            await until(lambda turn=turn: told.count("back on") == turn + 1)  # type: ignore[misc]
            await ready(runner, told)
    assert told.count("the broker did not keep the session: what it held for us meanwhile is lost") == 2


async def test_scenario_14_a_topic_that_is_removed_is_unsubscribed_in_the_kept_session(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also if it was removed while nothing ran."""
    settings = mosquitto.settings(keep=60.0, client_id="steady")
    both, one, none = (FakeProgram("flow", *topics) for topics in (("a", "b", "c"), ("a", "b"), ("a",)))

    async def run(*programs: FakeProgram) -> None:
        runner = Runner({"default": settings}, Report(Told().lines.append), folder=tmp_path, backoff=quick_backoff)
        try:
            for given in programs:
                await runner.apply([given])
                await ready(runner)
        finally:
            await runner.close()

    await run(both, one)
    await until(lambda: "Received UNSUBSCRIBE from steady\n" in mosquitto.log)
    assert mosquitto.log.count("\tc\n") == 1
    await run(none)
    await until(lambda: mosquitto.log.count("\tb\n") == 1)
    await until(lambda: mosquitto.log.count("Received UNSUBSCRIBE from steady\n") >= 2)  # that of `c` may be sent again


async def test_scenario_15_a_client_id_that_is_used_twice_is_named_within_ten_seconds_and_not_fought_for(
    mosquitto: Mosquitto,
) -> None:
    for protocol in ("5", "3.1.1"):
        one, two = Told(), Told()
        settings = mosquitto.settings(protocol=protocol, client_id=f"same-{protocol}")
        began = time.monotonic()
        async with (
            running(settings, FakeProgram("one", "a"), told=one),
            running(settings, FakeProgram("two", "a"), told=two, is_ready=False),
        ):
            named = "is flowrunner running twice? give one of them another `client_id` than"
            await until(lambda one=one, two=two, named=named: named in one.text + two.text)  # type: ignore[misc]
            assert time.monotonic() - began < 10
            wait = re.search(r"trying again in (\d+) s", one.text + two.text)
            assert wait is not None
            assert int(wait[1]) >= 30
            connects = mosquitto.log.count(f"as same-{protocol} ")
            assert connects < 12
            await asyncio.sleep(0.3)  # a fight would go on at ten connections a second
            assert mosquitto.log.count(f"as same-{protocol} ") <= connects + 1


async def test_scenario_16_a_poison_publish_costs_itself_and_no_connection(tmp_path: Path) -> None:
    require_mosquitto()
    told = Told()
    text = """
        subscribe: in/#
        steps:
          - json
          - publish: {topic: "${payload.topic}", payload: "${'x' * payload.size}", qos: 1}
    """
    with Mosquitto(tmp_path, OPEN + "max_packet_size 2000\n") as broker:
        async with (
            running(broker.settings(), program(text), told=told) as runner,
            Hand(broker.settings(), "o/#") as hand,
        ):
            for topic, size in (("o/+", 1), ("o/\\u0000", 1), ("", 1), ("o/large", 3_000), ("o/fine", 1)):
                await hand.publish("in/a", b'{"topic": "%s", "size": %d}' % (topic.encode(), size))
            await until(lambda: hand.got)
            assert runner.flows["flow"].dropped == 4
            assert [message.topic for message in hand.got] == ["o/fine"]
        assert broker.log.count("New client connected") == 2
    assert told.count("error[bad-topic]") == 1  # equal errors are counted, not repeated
    assert told.count("error[packet-too-large]") == 1
    assert "lost the connection" not in told.text


@pytest.mark.parametrize("qos", [1, 2])
async def test_scenario_17_publishes_while_the_link_is_down_are_delivered_up_to_the_bound(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, qos: int
) -> None:
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"most_messages": 50, "most_bytes": 10_000})
    told, flow = Told(), FakeProgram("flow", subscribe("out", qos=qos))
    async with running(mosquitto.settings(), flow, told=told) as runner:
        publish = runner.publisher("default")
        mosquitto.stop()
        await until(lambda: "lost the connection to" in told.text)
        for number in range(50):
            publish("out", b"%d" % number, qos, False, {})
        with pytest.raises(StepError, match="50 publishes wait for the broker already") as caught:
            publish("out", b"too many", qos, False, {})
        assert caught.value.code == "queue-full"
        mosquitto.start()
        await until(lambda: len(flow.got) == 50)
    assert flow.payloads == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_scenario_18_overlapping_filters_run_a_flow_once_and_retained_is_seen(
    mosquitto: Mosquitto, protocol: str
) -> None:
    text = """
        subscribe: [o/#, o/+, o/a]
        steps:
          - filter: {when}
          - publish: out/${{'kept' if retain else 'live'}}
    """
    flows = [
        program(text.format(when="true"), "all"),
        program(text.format(when="retain").replace("out/", "only/"), "retained"),
    ]
    settings = mosquitto.settings(protocol=protocol)
    async with Hand(mosquitto.settings(), "out/+", "only/+") as hand:
        await hand.publish("o/a", b"old", retain=True)
        async with running(settings, *flows):
            await until(lambda: len(hand.got) == 2)
            await hand.publish("o/a", b"new")
            await until(lambda: len(hand.got) == 3)
            await hand.publish("o/b", b"last")
            await until(lambda: b"last" in hand.payloads)
    seen = sorted((message.topic, message.payload) for message in hand.got)
    assert seen == [("only/kept", b"old"), ("out/kept", b"old"), ("out/live", b"last"), ("out/live", b"new")]
