"""What others hear of a runner: that it is there, that it broke, that it went; and what MQTT 5 carries besides."""

import asyncio

import pytest

from flowrunner.connections import Notice
from flowrunner.message import Message
from tests.mosquitto import Mosquitto
from tests.run.fakes import FakeProgram, Hand, running, subscribe, until

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("each_link")]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_birth_and_close_are_published_and_no_will(mosquitto: Mosquitto, protocol: str) -> None:
    settings = mosquitto.settings(
        protocol=protocol,
        birth=Notice("state/runner", b"here", 1, True),
        will=Notice("state/runner", b"broken", 1, True),
        close=Notice("state/runner", b"gone", 1, True),
    )
    async with Hand(mosquitto.settings(), "state/#") as hand:
        async with running(settings, FakeProgram("flow", "a")):
            await until(lambda: hand.payloads == [b"here"])
        await until(lambda: len(hand.payloads) == 2)
    assert hand.payloads == [b"here", b"gone"]
    async with Hand(mosquitto.settings(), "state/#") as hand:
        await until(lambda: hand.payloads == [b"gone"])


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broken_connection_leaves_the_will_and_comes_back_with_a_birth(
    mosquitto: Mosquitto, protocol: str
) -> None:
    settings = mosquitto.settings(
        protocol=protocol, birth=Notice("state/runner", b"here"), will=Notice("state/runner", b"broken", 1)
    )
    async with Hand(mosquitto.settings(), "state/#") as hand, running(settings, FakeProgram("flow", "a")) as runner:
        await until(lambda: hand.payloads == [b"here"])
        connection = runner.connections["default"]
        assert connection._network is not None
        connection._network.abort()
        await until(lambda: hand.payloads == [b"here", b"broken", b"here"])


async def test_a_will_that_waits_is_not_published_if_we_are_back_in_time(mosquitto: Mosquitto) -> None:
    settings = mosquitto.settings(
        keep=60.0, client_id="patient", birth=Notice("state", b"here"), will=Notice("state", b"broken", delay=30.0)
    )
    async with Hand(mosquitto.settings(), "state") as hand, running(settings, FakeProgram("flow", "a")) as runner:
        connection = runner.connections["default"]
        assert connection._network is not None
        connection._network.abort()
        await until(lambda: hand.payloads == [b"here", b"here"])
        await hand.publish("state", b"end")
        await until(lambda: hand.payloads[2:] == [b"end"])


async def test_mosquitto_sends_as_many_as_the_receive_maximum_before_it_waits(mosquitto: Mosquitto) -> None:
    """Its own limit is 20 where a client says nothing; all that is held comes at once with ours."""
    holds = []

    def keep(_host: object, _message: Message, _entry: int) -> None:
        holds.append(runner.connections["default"].link.hold())

    flow = FakeProgram("flow", subscribe("in", qos=1), work=keep)
    for most, arrived in ((65_535, 100), (7, 7)):
        holds.clear()
        flow.got.clear()
        async with (
            running(mosquitto.settings(receive_maximum=most), flow) as runner,
            Hand(mosquitto.settings()) as hand,
        ):
            for number in range(100):
                await hand.publish("in", b"%d" % number)
            await until(lambda arrived=arrived: len(flow.got) == arrived)  # type: ignore[misc]
            await asyncio.sleep(0.05)  # what must not come had its chance
            assert len(flow.got) == arrived
            for hold in holds:
                hold.release()
            await until(lambda arrived=arrived: len(flow.got) >= min(100, 2 * arrived))  # type: ignore[misc]


async def test_properties_of_mqtt_5_go_in_and_out(mosquitto: Mosquitto) -> None:
    properties = {
        "content_type": "text/plain",
        "response_topic": "answers/1",
        "correlation_data": b"\x00\xff",
        "message_expiry": 60,
        "user": {"a": "1", "ü": "ö"},
    }

    def answer(host: object, message: Message, _entry: int) -> None:
        if message.topic == "in":
            host.publisher("default")("out", b"y", 1, False, message.properties)  # type: ignore[attr-defined]

    flow = FakeProgram("flow", subscribe("in", qos=1), subscribe("out", qos=1), work=answer)
    async with running(mosquitto.settings(), flow) as runner:
        runner.publisher("default")("in", b"x", 1, False, properties)
        await until(lambda: len(flow.got) == 2)
    for message in flow.got:
        assert message.properties == properties
