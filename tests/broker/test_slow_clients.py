"""A client that does not read loses messages, is told so in the log, and holds up nobody."""

import asyncio
from typing import Any

import pytest

from flowrunner.broker import Broker, BrokerThread, Limits
from flowrunner.broker.connection import Connection
from flowrunner.broker.server import make_connection
from tests.broker.wire import PUBLISH, SUBACK, Wire, packet, text

LIMITS = Limits(buffered_bytes=100_000, queued_messages=50)
PAYLOAD = b"x" * 10_000


@pytest.mark.parametrize("qos", [0, 1])
def test_a_slow_consumer_holds_up_nobody(qos: int, caplog: pytest.LogCaptureFixture) -> None:
    with (
        BrokerThread(limits=LIMITS, status_interval=0) as broker,
        Wire(broker.port, receive_buffer=4096) as slow,
        Wire(broker.port) as quick,
        Wire(broker.port) as sender,
    ):
        for name, wire in (("slow", slow), ("quick", quick), ("sender", sender)):
            wire.connect(name)
        for wire in (slow, quick):
            wire.subscribe(("t", qos))
        count = 3000
        for index in range(count):
            sender.publish("t", b"%d " % index + PAYLOAD, qos=qos)
            sender.waiting()
            assert quick.message().payload.split()[0] == b"%d" % index
        received = [each.payload.split()[0] for each in slow.messages()]
        assert 0 < len(received) < count
        assert received[:3] == [b"0", b"1", b"2"]
        sender.publish("t", b"afterwards", qos=qos)
        sender.waiting()
        assert slow.messages()[-1].payload == b"afterwards"
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warnings == ["slow takes messages too slowly: those over the limit are dropped"]


def test_what_was_dropped_is_counted() -> None:
    with (
        BrokerThread(limits=LIMITS, status_interval=0.05) as broker,
        Wire(broker.port, receive_buffer=4096) as slow,
        Wire(broker.port) as sender,
    ):
        slow.connect("slow")
        sender.connect("sender")
        slow.subscribe("t")
        for _ in range(2000):
            sender.publish("t", PAYLOAD)
        sender.waiting()
        sender.subscribe("$SYS/broker/publish/messages/dropped")
        while int(sender.message().payload) == 0:
            pass


class FullTransport(asyncio.Transport):
    """A socket whose other side reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.is_aborted = False
        self.protocol: Connection | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        self.high = high or 0

    def write(self, data: Any) -> None:
        self.size += len(data)
        if self.size > self.high and self.protocol is not None:
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


async def test_who_asks_on_and_on_and_never_reads_is_closed() -> None:
    limits = Limits(buffered_bytes=1_000, most_unread_bytes=5_000)
    async with Broker(port=0, limits=limits, status_interval=0) as broker:
        transport = FullTransport()
        connection = make_connection(broker.hub)
        transport.protocol = connection
        connection.connection_made(transport)
        connection.data_received(packet(0x10, text("MQTT"), b"\x04\x02\x00\x00", text("greedy")))
        asked = 0
        while not transport.is_aborted:
            connection.data_received(b"\xc0\x00" * 100)
            asked += 1
        assert 25 <= asked <= 27
        connection.connection_lost(None)


def test_a_slow_reader_of_retained_messages_gets_them_all_and_what_follows_after_them() -> None:
    limits = Limits(buffered_bytes=100_000)
    with (
        BrokerThread(limits=limits, status_interval=0) as broker,
        Wire(broker.port) as slow,
        Wire(broker.port) as sender,
    ):
        slow.connect("slow")
        sender.connect("sender")
        for index in range(2000):
            sender.publish(f"kept/{index}", PAYLOAD, retain=True)
        sender.waiting()
        slow.send_subscribe(["kept/#"])
        assert slow.read().kind == SUBACK
        sender.publish("kept/0", b"newer")
        sender.waiting()
        found = [slow.take_apart(slow.expect(PUBLISH)) for _ in range(2001)]
        assert len({each.topic for each in found}) == 2000
        assert [each.payload[:5] for each in found if each.topic == "kept/0"] == [b"xxxxx", b"newer"]


def test_a_stream_of_small_packets_in_one_go() -> None:
    with BrokerThread(status_interval=0) as broker, Wire(broker.port) as wire:
        wire.connect("me")
        wire.subscribe("t")
        wire.send(packet(0x30, text("t"), b"x") * 30_000)
        assert len(wire.messages()) == 30_000
