import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Literal

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from flowrunner.broker import Broker
from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.run import client as client_module
from flowrunner.run import links
from flowrunner.run import network as network_module
from flowrunner.run.client import Client
from flowrunner.run.plain import PlainLink
from flowrunner.run.router import Router
from flowrunner.run.window import NUMBERS
from flowrunner.run.wire import WireLink
from flowrunner.run.wire_socket import WireSocket
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run import test_connection
from tests.run.fake_broker import fake_broker, version_of
from tests.run.fakes import FakeProgram, Hand, Told, ready, running, subscribe, until

CONNACK = bytes.fromhex("2003000000")


def make() -> object:
    return links.make_link(Router(lambda *_: None), lambda *_: None)


def test_the_wire_is_what_carries_messages_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWRUNNER_WIRE", raising=False)
    assert isinstance(make(), WireLink)
    monkeypatch.setenv("FLOWRUNNER_WIRE", "off")
    assert isinstance(make(), PlainLink)


def test_what_paho_keeps_private_and_is_touched_is_still_there() -> None:
    """If this fails, paho has changed: flowrunner runs on as it can, and says so, but slowly."""
    assert links.knows_paho()
    overridden = {name for name in vars(Client) if name.startswith("_") and hasattr(paho.Client, name)}
    assert {name for name in overridden if not name.startswith("__")} == set(links.PRIVATE)


def test_an_answer_to_a_ping_of_paho_is_not_taken_for_one_to_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router(lambda *_: None)
    client = Client(ConnectionSettings(), MQTTProtocolVersion.MQTTv5, "id", WireLink(router, lambda *_: None))
    monkeypatch.setattr(paho.Client, "_send_pingreq", lambda _: MQTTErrorCode.MQTT_ERR_SUCCESS)
    monkeypatch.setattr(paho.Client, "_handle_pingresp", lambda _: MQTTErrorCode.MQTT_ERR_SUCCESS)
    answered: list[str] = []
    client._send_pingreq()
    client.ping(lambda: answered.append("ours"))
    client._handle_pingresp()
    assert answered == []
    client._handle_pingresp()
    client._handle_pingresp()  # which nobody has asked for
    assert answered == ["ours"]


@pytest.mark.parametrize("kind", ["wire", "plain"])
def test_publishes_and_subscriptions_never_share_a_packet_identifier(kind: str) -> None:
    router = Router(lambda *_: None)
    link = WireLink(router, lambda *_: None) if kind == "wire" else PlainLink(router.deliver, lambda *_: None)
    client = Client(ConnectionSettings(), MQTTProtocolVersion.MQTTv5, "id", link)
    if isinstance(link, PlainLink):
        link._outbox.in_flight.update({1: None, 2: None, 4: None})  # type: ignore[dict-item]
        assert [client._mid_generate() for _ in range(3)] == [3, 5, 6]
    else:
        given = [client._mid_generate() for _ in range(40_000)]
        assert set(given) == set(range(1, NUMBERS.start))


@pytest.mark.broker
@pytest.mark.parametrize("keep", [None, 3600.0])
async def test_an_unknown_paho_is_used_as_it_is_and_that_is_said_once(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, keep: float | None
) -> None:
    for name in links.PRIVATE:
        monkeypatch.delattr(Client, name)
    monkeypatch.setattr(links, "PRIVATE", ("_is_not_there",))
    told, flow = Told(), FakeProgram("flow", subscribe("in/#", qos=1))
    flow.work = lambda host, message, _entry: host.publisher("default")("out", message.payload, 1)
    settings = mosquitto.settings(keep=keep)
    async with Hand(settings, "out") as hand, running(settings, flow, told=told) as runner:
        connection = runner.connections["default"]
        assert isinstance(connection.link, PlainLink)
        for number in range(50):
            await hand.publish("in/a", b"%d" % number * 1000)
        await until(lambda: len(hand.got) == 50)
        assert connection._network is not None
        connection._network.abort()
        await until(lambda: "back on" in told.text)
        await ready(runner)
        await hand.publish("in/a", b"again")
        await until(lambda: b"again" in hand.payloads)
    assert told.count("warning: this version of paho-mqtt is not known here") == 1


@pytest.mark.broker
async def test_an_unknown_paho_reads_tls_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_mosquitto()
    monkeypatch.delattr(Client, "_create_socket")
    monkeypatch.setattr(links, "PRIVATE", ("_is_not_there",))
    await test_connection.test_tls(tmp_path)


@pytest.mark.usefixtures("on_the_wire")
@pytest.mark.broker
async def test_paho_reads_and_writes_through_the_wire_and_without_delay(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr(client_module, "send_at_once", made.append)
    async with running(mosquitto.settings(), FakeProgram("flow", "a")) as runner:
        client = runner.connections["default"]._client
        assert client is not None
        found = client.socket()
        assert isinstance(found, WireSocket)
        assert made == [found.fileno()]


# --- the network behind the wire


def listens(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
async def test_what_was_published_before_the_end_arrives(tmp_path: Path, protocol: str, transport: str) -> None:
    """paho closes when its DISCONNECT is sent: everything before must have been."""
    require_mosquitto()
    config = OPEN
    if transport == "tls":
        await asyncio.to_thread(test_connection.make_certificate, tmp_path)
        config += f"certfile {tmp_path / 'ca.pem'}\nkeyfile {tmp_path / 'key.pem'}\n"
    elif transport == "unix":
        config += f"listener 0 {tmp_path / 'socket'}\n"
    with Mosquitto(tmp_path, config) as mosquitto:
        settings = mosquitto.settings(protocol=protocol)
        if transport == "tls":
            settings = replace(settings, scheme="mqtts", tls=TlsSettings(ca=str(tmp_path / "ca.pem")))
        elif transport == "unix":
            settings = replace(settings, scheme="mqtt+unix", host="", port=0, path=str(tmp_path / "socket"))
            await until(lambda: listens(tmp_path / "socket"))
        flow = FakeProgram("flow", "end/#")
        async with running(settings, flow):
            async with running(settings, FakeProgram("other", "x")) as runner:
                publish = runner.publisher("default")
                for number in range(2000):
                    publish(f"end/{number}", b"%d" % number * 200, number % 2, False, {})
            await until(lambda: len(flow.got) == 2000)
    for qos in (0, 1):  # messages of different QoS may overtake each other (MQTT 5.0 section 4.6)
        assert [topic for topic in flow.topics if int(topic[4:]) % 2 == qos] == [
            f"end/{number}" for number in range(qos, 2000, 2)
        ]
    assert mosquitto.log.count("Received DISCONNECT from") == 2


async def test_a_broker_that_does_not_read_is_left_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep-alive works with a full send buffer, too."""
    monkeypatch.setattr(network_module, "HEARTBEAT", 0.05)
    told, stalled = Told(), asyncio.Event()
    connects = 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writer.write(CONNACK)
        elif packet[0] == 0x82:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00")
        elif connects == 1:
            await stalled.wait()

    async with (
        fake_broker(answer) as settings,
        running(replace(settings, keepalive=1), FakeProgram("flow", "a"), told=told) as runner,
    ):
        publish = runner.publisher("default")
        for number in range(200):
            publish("out", b"x" * 100_000, 0, False, {})
            publish("out", b"%d" % number, 1, False, {})
        await until(lambda: "no sign of life within the keep-alive time" in told.text)
        stalled.set()
        await until(lambda: connects >= 2)


@pytest.mark.usefixtures("each_link")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_through_a_websocket_everything_arrives_too(protocol: Literal["5", "3.1.1"]) -> None:
    sizes = [0, 1, 125, 126, 65_535, 65_536, 300_000]
    async with Broker(port=0, websocket_port=0) as broker:
        assert broker.websocket_port
        settings = ConnectionSettings(scheme="ws", host="127.0.0.1", port=broker.websocket_port, protocol=protocol)
        flow = FakeProgram("flow", subscribe("end/#", qos=1))
        async with running(settings, flow):
            async with running(settings, FakeProgram("other", "x")) as runner:
                publish = runner.publisher("default")
                for number in range(500):
                    publish(f"end/{number}", b"%d" % number * 200, number % 3, False, {})
                for number, size in enumerate(sizes, 500):
                    publish(f"end/{number}", b"x" * size, 1, False, {})
            await until(lambda: len(flow.got) == 500 + len(sizes))
    assert sorted(int(topic[4:]) for topic in flow.topics) == list(range(500 + len(sizes)))
    assert [len(message.payload) for message in flow.got if int(message.topic[4:]) >= 500] == sizes


@pytest.mark.usefixtures("on_the_wire")
async def test_a_broker_that_reads_late_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that sends as fast as it can and reads nothing for a while: what comes of it waits, and goes out whole."""
    monkeypatch.setattr("flowrunner.run.wire.MUCH_UNSENT", 50_000)
    messages = 50_000
    flow, got = FakeProgram("flow", "in"), bytearray()
    flow.work = lambda host, *_: host.publisher("default")("out", b"y" * 300)
    may_read = asyncio.Event()
    message = b"\x30\x06\x00\x02in\x00x"

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(CONNACK)
        elif packet[0] == 0x82:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00" + message * messages)
            await may_read.wait()
        elif packet[0] != 0xE0:
            got.extend(packet)

    async with fake_broker(answer) as settings, running(settings, flow) as runner:
        link = runner.connections["default"].link
        await until(lambda: not link.has_room)
        assert len(flow.got) < messages
        may_read.set()
        await until(lambda: got.count(b"y" * 300) == messages)
    assert link.dropped == 0


async def test_three_keep_alives_under_full_load_are_survived() -> None:
    told, flow = Told(), FakeProgram("flow", "load/#")
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(host="127.0.0.1", port=broker.port, keepalive=1)
        async with running(settings, flow, told=told) as runner:
            publish = runner.publisher("default")
            flow.work = lambda _host, message, _entry: publish("load/a", message.payload)
            for _ in range(300):
                publish("load/a", b"round and round")
            end = asyncio.get_running_loop().time() + 3.2
            await until(lambda: asyncio.get_running_loop().time() > end and len(flow.got) > 3_000)
            flow.work = None
    assert "lost the connection" not in told.text


@pytest.mark.usefixtures("on_the_wire")
async def test_other_tasks_have_their_turn_while_a_flood_is_handled() -> None:
    """A flow that is slow, and a broker that sends without a pause."""
    flow = FakeProgram("flow", "flood")
    message = b"\x30\x09\x00\x05flood\x00x"

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(CONNACK)
        elif packet[0] == 0x82:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00" + message * 5_000)

    turns = 0
    async with fake_broker(answer) as settings, running(settings, flow, is_ready=False) as runner:
        flow.work = lambda *_: sorted(range(5_000)).clear()
        await until(lambda: flow.got)
        while len(flow.got) < 5_000:
            before = len(flow.got)
            await asyncio.sleep(0)
            turns += len(flow.got) > before
        assert runner.connections
    assert turns > 5
