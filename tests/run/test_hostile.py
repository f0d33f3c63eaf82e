"""Anyone can publish anything: one counted error at most, and memory within bounds."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from flowrunner.broker import Broker
from flowrunner.compile import compile_flow
from flowrunner.connections import ConnectionSettings
from flowrunner.run.runner import Runner
from tests.flow_host import read
from tests.run.fake_broker import fake_broker, version_of
from tests.run.fakes import Hand, Told, running, until
from tests.run.peer import packet, publish

CONNACK_5 = bytes.fromhex("2003000000")

#: A flow that looks at everything, counts by topic, and sends on what it made of it.
FLOW = """
subscribe: in/#rest
steps:
  - json
  - changed: {value: payload, by: topic, max_keys: 1000}
  - map: {value: "${payload}", of: "${rest}"}
  - publish: out
"""

PAYLOADS: dict[str, bytes] = {
    "nothing": b"",
    "a NUL": b"\0",
    "broken UTF-8": b"\xff\xfe\xfd",
    "half a character": b'"\xe2\x82',
    "half a surrogate pair": b'"\\ud800"',
    "NaN": b"NaN",
    "NaN inside": b'{"a": [NaN, Infinity, -Infinity]}',
    "beyond floats": b"1e400",
    "beyond floats below": b"-1e400",
    "a huge integer": b"9" * 5_000,
    "beyond 64 bits": str(2**64).encode(),
    "just 64 bits": str(2**64 - 1).encode(),
    "many digits": b"0." + b"1" * 100_000,
    "depth without end": b"[" * 100_000,
    "maps without end": b'{"a":' * 100_000,
    "depth 100 000": b"[" * 100_000 + b"]" * 100_000,
    "depth 1 000": b"[" * 1_000 + b"]" * 1_000,
    "depth 100": b"[" * 100 + b"]" * 100,
    "a key twice": b'{"a": 1, "a": 2}',
    "many keys": json.dumps({str(number): number for number in range(20_000)}).encode(),
    "a long key": json.dumps({"k" * 100_000: 1}).encode(),
    "an empty key": b'{"": {"": ""}}',
    "foreign keys": b'{"__class__": 1, "__proto__": {}, "constructor": null}',
    "template": b'"${payload} {0.__class__}"',
    "escapes": b'"\\u0000\\u001b[2J\\u202e"',
    "blanks": b" " * 100_000,
    "a megabyte": b'"' + b"x" * 1_000_000 + b'"',
    "four megabytes": b"[" + b"0," * 2_000_000 + b"0]",
}


@pytest.mark.usefixtures("each_link")
async def test_a_hostile_payload_costs_one_counted_error_at_most() -> None:
    told = Told()
    program = compile_flow(read(FLOW, name="flow"))
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port)
        async with running(settings, program, told=told) as runner, Hand(settings, "out") as hand:  # type: ignore[arg-type]
            flow = runner.flows["flow"]
            for turn, (name, payload) in enumerate(PAYLOADS.items(), start=1):
                before = flow.dropped
                await hand.publish("in/" + name.replace("+", "").replace("#", ""), payload, 1)
                await until(lambda turn=turn: flow.received == turn, what=f"{name}: {told.text[-300:]}")  # type: ignore[misc]
                assert flow.dropped - before <= 1, name
            await hand.publish("in/end", b'"fine"', 1)
            await until(lambda: any(message.payload == b'{"value":"fine","of":"end"}' for message in hand.got))
            for message in hand.got:
                json.loads(message.payload)
    assert told.count("lost the connection") == 0
    assert "Traceback" not in told.text
    assert "\x1b[2J" not in told.text
    assert max(map(len, told.text.splitlines())) < 2_000


TOPICS = {
    "NUL": b"\x30\x07\x00\x03a\x00b\x00x",
    "broken UTF-8": b"\x30\x06\x00\x02\xff\xfe\x00x",
    "surrogates": b"\x30\x07\x00\x03\xed\xa0\x80\x00x",
    "empty": b"\x30\x04\x00\x00\x00x",
    "wildcards": publish("in/+/#"),
    "longest": publish("in/" + "x" * 65_532, b"1"),
    "levels": publish("in/" + "/" * 65_000, b"1"),
    "QoS 3": b"\x36\x06\x00\x01a\x00\x01\x00",
    "cut off": b"\x30\x02\x00\x09",
    "length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a packet of no kind": b"\x00\x00",
    "an answer nobody wants": b"\x40\x02\x12\x34",
    "a second CONNACK": CONNACK_5,
    "unknown properties": packet(0x30, b"\x00\x04in/a", b"\x02\x7f\x00", b"1"),
    "an identifier of zero": packet(0x30, b"\x00\x04in/a", b"\x02\x0b\x00", b"1"),
    "properties without end": packet(0x30, b"\x00\x04in/a", b"\xff\xff\x03", b"1"),
}


@pytest.mark.usefixtures("each_link")
@pytest.mark.parametrize("name", TOPICS)
async def test_a_hostile_packet_costs_a_connection_at_most(name: str) -> None:
    """What the standard forbids ends the connection (MQTT 5.0 section 4.13); the next one works as ever."""
    told, connects = Told(), 0

    async def answer(data: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(data):
            connects += 1
            writer.write(CONNACK_5)
        elif data[0] == 0x82:
            writer.write(b"\x90\x04" + data[2:4] + b"\x00\x00")
            if connects == 1:
                writer.write(TOPICS[name])
                writer.write(publish("in/fine", b"1"))
                await writer.drain()
                writer.close()
            else:
                writer.write(publish("in/fine", b"2"))

    program = compile_flow(read(FLOW.replace("- publish: out", "- log: ${payload}"), name="flow"))
    async with (
        fake_broker(answer) as settings,
        running(settings, program, told=told, is_ready=False) as runner,  # type: ignore[arg-type]
    ):
        await until(lambda: '"value":2' in told.text or "'value': 2" in told.text, what=told.text)
        assert runner.flows["flow"].dropped <= 2
    assert "Traceback" not in told.text


def resident() -> int:
    """Bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flood:
    """Sends a numbered message on a topic of its own to whoever connects, again and again."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.halfway = asyncio.Event()

    async def answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(data):
            writer.write(CONNACK_5)
        elif data[0] == 0x82:
            writer.write(b"\x90\x04" + data[2:4] + b"\x00\x00")
            for start in range(0, self.count, 500):
                writer.write(b"".join(publish(f"in/{number}", b"%d" % number) for number in range(start, start + 500)))
                await writer.drain()


async def flood(count: int) -> int:
    """Bytes by which memory grows in the second half of so many topics."""
    sender = Flood(count)
    program = compile_flow(read(FLOW, name="flow"))
    async with fake_broker(sender.answer) as settings, _patient(settings, program) as runner:
        flow = runner.flows["flow"]
        half = 0
        async for received in progress(flow):
            if not half and received >= count // 2:
                half = resident()
            if received >= count:
                break
        assert flow.dropped == 0
        assert runner.connections["default"].link.published > 0
        return resident() - half


@asynccontextmanager
async def _patient(settings: ConnectionSettings, program: object) -> AsyncIterator[Runner]:
    async with running(settings, program, is_ready=False) as runner:  # type: ignore[arg-type]
        yield runner


async def progress(flow: object) -> AsyncIterator[int]:
    deadline = asyncio.get_running_loop().time() + 300
    while asyncio.get_running_loop().time() < deadline:
        yield flow.received  # type: ignore[attr-defined]
        await asyncio.sleep(0.002)
    raise AssertionError(flow)


async def test_distinct_topics_do_not_fill_the_memory() -> None:
    assert await flood(60_000) < 8_000_000


@pytest.mark.soak
async def test_a_million_distinct_topics_do_not_fill_the_memory() -> None:
    assert await flood(1_000_000) < 8_000_000


def largest() -> Iterator[bytes]:
    """A PUBLISH as large as MQTT allows, in pieces: 256 MB."""
    body = 268_435_455 - 7
    yield b"\x30\xff\xff\xff\x7f\x00\x04in/a\x00"
    piece = b"[" * 1_000_000
    while body > 0:
        yield piece[:body]
        body -= len(piece)


@pytest.mark.soak
async def test_the_largest_packet_costs_one_counted_error() -> None:
    async def answer(data: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(data):
            writer.write(CONNACK_5)
        elif data[0] == 0x82:
            writer.write(b"\x90\x04" + data[2:4] + b"\x00\x00")
            for piece in largest():
                writer.write(piece)
                await writer.drain()
            writer.write(publish("in/fine", b"1"))

    program = compile_flow(read(FLOW, name="flow"))
    told = Told()
    async with fake_broker(answer) as settings, running(settings, program, told=told, is_ready=False) as runner:  # type: ignore[arg-type]
        flow = runner.flows["flow"]
        async for received in progress(flow):
            if received == 2:
                break
        assert flow.dropped == 1
    assert told.count("error[") == 1
    assert resident() < 2_000_000_000
