"""The protocol in words, as `run --explain` tells it, and the hint about filters that hear nothing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.broker import Broker
from flowrunner.clock import VirtualClock
from flowrunner.connections import ConnectionSettings
from flowrunner.run import explaining as explaining_module
from flowrunner.run.explaining import SILENCE, Explaining
from flowrunner.run.narrator import MOST_IN_A_SECOND, Narrator
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.mosquitto import Mosquitto
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, subscribe, until


class FakeSocket:
    def __init__(self, data: bytes = b"", most: int = 1 << 20) -> None:
        self.data, self.most, self.sent = data, most, b""

    def recv(self, buffer_size: int) -> bytes:
        data, self.data = self.data[:buffer_size], self.data[buffer_size:]
        return data

    def send(self, buffer: bytes) -> int:
        data = bytes(buffer[: self.most])
        self.sent += data
        return len(data)

    def pending(self) -> int:
        return 7


def narrated(*packets: tuple[str, bytes], now: object = None) -> list[str]:
    said: list[str] = []
    narrator = Narrator(said.append, now=now or (lambda: 0.0))  # type: ignore[arg-type]
    for direction, data in packets:
        socket = FakeSocket(data)
        tapped = narrator.tap(socket)  # type: ignore[arg-type]
        if direction == "in":
            while tapped.recv(1000):
                pass
        else:
            tapped.send(data)
    narrator.stop()
    return said


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.usefixtures("each_link")
async def test_a_conversation_in_words(mosquitto: Mosquitto, protocol: str) -> None:
    told = Told()
    explaining = Explaining(Report(told.lines.append))
    async with Hand(mosquitto.settings()) as hand:
        await hand.publish("in/kept", b"r", retain=True)
        settings = mosquitto.settings(protocol=protocol, client_id="me", keepalive=1, keep=60.0, username="tina")
        runner = Runner({"default": settings}, Report(told.lines.append), explaining=explaining, backoff=quick_backoff)
        flow = FakeProgram("flow", subscribe("in/#", qos=2))
        try:
            await runner.apply([flow])
            await ready(runner)
            await hand.publish("in/a", b"x", 1)
            await until(lambda: len(flow.got) == 2)
            runner.publisher("default")("out", b"y", 1, True, {})
            await until(lambda: "← PUBACK" in told.text, what=told.text)
            await until(lambda: "PINGRESP" in told.text, what=told.text)
            await runner.apply([])
        finally:
            await runner.close()
            explaining.stop()
    for words in (
        f"→ CONNECT: let us in as `me`, MQTT {protocol}, go on with our session, a sign of life every 1 s",
        ", a user name",
        "← CONNACK: we are in; the session is new",
        "→ SUBSCRIBE: we want `in/#` at QoS 2",
        "← SUBACK: `in/#` granted at QoS 2",
        "← PUBLISH `in/kept`: QoS 1, number 1, retained: the broker had kept it",
        "← PUBLISH `in/a`: QoS 1, number 2, live",
        "→ PUBACK 2 of `in/a`: we have it",
        "→ PUBLISH `out`: QoS 1, number ",
        " of `out`: the broker has it",
        "the line was quiet, so we asked (PINGREQ); the broker is there (PINGRESP)",
        "→ DISCONNECT: we leave; the broker forgets the will",
    ):
        assert words in told.text, f"{words}\n{told.text}"
    assert told.text.count("PINGREQ") <= 2


def test_many_packets_of_messages_are_folded() -> None:
    one = bytes.fromhex("30050001613132")
    clock = iter([1.0] * 50 + [2.5] * 50)
    said = narrated(("in", one * 100), now=lambda: next(clock))
    assert sum("← PUBLISH `a`" in line for line in said) == 2 * MOST_IN_A_SECOND
    assert said.count(f"... and {50 - MOST_IN_A_SECOND} more packets of messages") == 2


def test_a_large_packet_is_told_by_its_beginning() -> None:
    body = b"\x00\x01a\x00" + b"x" * 300_000
    packet = b"\x30" + bytes((len(body) & 127 | 128, len(body) >> 7 & 127 | 128, len(body) >> 14)) + body
    assert narrated(("in", packet + bytes.fromhex("e000"))) == [
        "← PUBLISH `a`: QoS 0, live",
        "← DISCONNECT: the broker ended it",
    ]


def test_no_password_is_ever_told() -> None:
    connect = bytes.fromhex("10270004 4d515454 05c2 003c 00 0002 6d65 0004 74696e61 0009 68756e746572323221")
    said = narrated(("out", bytes((0x10, len(connect) - 2)) + connect[2:]))
    assert said == [
        "→ CONNECT: let us in as `me`, MQTT 5, begin a new session, a sign of life every 60 s, a user name and a password"
    ]
    assert "tina" not in said[0]


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.binary(max_size=80)), max_size=6))
def test_any_bytes_are_borne(packets: list[tuple[str, bytes]]) -> None:
    narrated(*packets)


def test_a_socket_that_takes_part_of_it_is_told_that_part() -> None:
    said: list[str] = []
    tapped = Narrator(said.append).tap(FakeSocket(most=3))  # type: ignore[arg-type]
    packet = bytes.fromhex("e000" + "e000")
    sent = 0
    while sent < len(packet):
        sent += tapped.send(packet[sent:])
    assert len(said) == 2
    assert tapped.pending() == 7  # type: ignore[attr-defined]


async def test_scenario_19_a_filter_that_hears_nothing_is_explained_after_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explaining_module, "LOOK", 0.05)
    told, clock = Told(), VirtualClock()
    explaining = Explaining(Report(told.lines.append))
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
        async with Hand(settings) as hand:
            await hand.publish("sensors/kitchen/temp", b"21", retain=True)
            runner = Runner({"default": settings}, Report(told.lines.append), clock=clock, explaining=explaining)
            flows = [FakeProgram("flow", "sensor/+/temp", "lamps/#"), FakeProgram("other", "doors/+")]
            try:
                await runner.apply(flows)
                explaining.watch(runner, lambda: runner.connections)
                await ready(runner)
                await hand.publish("doors/front", b"open")
                await until(lambda: flows[1].got)
                clock.advance(SILENCE - 1)
                await asyncio.sleep(0)
                assert "no message on" not in told.text
                clock.advance(SILENCE)
                await until(lambda: "no message on lamps/# so far" in told.text, what=told.text)
                clock.advance(10 * SILENCE)
            finally:
                explaining.stop()
                await runner.close()
    hint = "warning: no message on sensor/+/temp, but there are messages on sensors/kitchen/temp\n"
    assert told.count(hint) == 1
    assert "doors/+" not in told.text.replace("`doors/+`", "")
