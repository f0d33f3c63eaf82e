"""A broker from its start to its end: in a loop, on a thread, as a fixture, with TLS."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flowrunner.broker import Broker, BrokerThread
from flowrunner.topics import BadTopic
from tests.broker.wire import Closed, Wire, text

CERTIFICATES = Path(__file__).parents[1] / "tls"


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))


async def connected(port: int) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02me")
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    return writer


async def test_a_broker_runs_in_a_loop_and_starts_again() -> None:
    broker = Broker(port=0)
    for _ in range(2):
        async with broker:
            assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
            writer = await connected(broker.port)
        writer.close()
        with pytest.raises(RuntimeError, match="not running"):
            broker.publish("t", b"")
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", broker.port)


async def test_a_broker_forgets_everything_when_it_stops() -> None:
    broker = Broker(port=0, status_interval=0)
    async with broker:
        broker.publish("kept", b"x", is_retained=True)
        assert len(broker.hub.retained) == 1
    async with broker:
        assert len(broker.hub.retained) == 0


async def test_starting_twice_is_a_mistake() -> None:
    async with Broker(port=0) as broker:
        with pytest.raises(RuntimeError, match="running already"):
            await broker.start()
    await broker.stop()


async def test_stopping_waits_for_no_client_whatever_it_does(caplog: pytest.LogCaptureFixture) -> None:
    async with Broker(port=0, status_interval=0) as broker:
        loop = asyncio.get_running_loop()
        silent = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(20)]
        deaf = Wire(broker.port, receive_buffer=4096)
        await loop.run_in_executor(None, lambda: deaf.connect("deaf"))
        await loop.run_in_executor(None, lambda: deaf.subscribe("t"))
        broker.publish("t", b"x" * 8_000_000)
        hub = broker.hub
        await broker.stop()
        assert not hub.connections
        for each in silent:
            each.close()
        deaf.close()
    assert [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []


async def test_a_port_that_is_taken_is_an_error_and_nothing_stays_open() -> None:
    async with Broker(port=0) as broker:
        second = Broker(port=broker.port)
        with pytest.raises(OSError, match=r"."):
            await second.start()
        third = Broker(port=0, websocket_port=broker.port)
        with pytest.raises(OSError, match=r"."):
            await third.start()
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", third.port)


async def test_localhost_has_one_port_on_all_its_addresses() -> None:
    async with Broker("localhost", 0) as broker:
        writer = await connected(broker.port)
        writer.close()
        for info in socket.getaddrinfo("localhost", broker.port, type=socket.SOCK_STREAM):
            try:
                socket.socket(info[0]).close()
            except OSError:
                continue
            (await asyncio.open_connection(str(info[4][0]), broker.port))[1].close()


async def test_an_address_with_colons_stands_in_brackets() -> None:
    if not socket.has_ipv6:
        return
    async with Broker("::1", 0) as broker:
        assert broker.url == f"mqtt://[::1]:{broker.port}"


async def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(OSError, match=r"."):
        await Broker("no-such-host.invalid", 0).start()


async def test_the_broker_publishes_to_no_wildcard() -> None:
    async with Broker(port=0) as broker:
        with pytest.raises(BadTopic):
            broker.publish("a/#", b"")


def test_a_broker_on_a_thread() -> None:
    broker = BrokerThread()
    with pytest.raises(RuntimeError, match="not running"):
        broker.publish("t", b"")
    for _ in range(2):
        with broker, Wire(broker.port) as wire:
            assert (broker.host, broker.websocket_port) == ("127.0.0.1", None)
            assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
            wire.connect("me")
            wire.subscribe("t")
            broker.publish("t", b"x", qos=1)
            assert wire.message().payload == b"x"
    broker.stop()


def test_a_thread_tells_what_went_wrong() -> None:
    with BrokerThread() as broker:
        with pytest.raises(RuntimeError, match="running already"):
            broker.start()
        second = BrokerThread(port=broker.port)
        with pytest.raises(OSError, match=r"."):
            second.start()
        with pytest.raises(BadTopic):
            broker.publish("", b"")


TEST_OF_SOMEBODY = """
import socket

def test_it(mqtt_broker):
    socket.create_connection((mqtt_broker.host, mqtt_broker.port)).close()
    mqtt_broker.publish("t", b"x")
    assert mqtt_broker.url.startswith("mqtt://127.0.0.1:")
"""


def test_the_fixture_is_there_for_other_peoples_tests(tmp_path: Path) -> None:
    (tmp_path / "test_somebody.py").write_text(TEST_OF_SOMEBODY)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "flowrunner.pytest_plugin",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=alone)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("version", [4, 5])
def test_tls(version: int) -> None:
    with BrokerThread(tls=server_context()) as broker:
        assert broker.url == f"mqtts://127.0.0.1:{broker.port}"
        with Wire(broker.port, version, tls=client_context()) as wire:
            wire.connect("me")
            wire.subscribe(("t", 1))
            wire.publish("t", b"x" * 100_000, qos=1)
            assert [each.payload for each in wire.messages()] == [b"x" * 100_000]
            wire.disconnect()


def test_without_tls_nobody_gets_in_and_nobody_else_notices(caplog: pytest.LogCaptureFixture) -> None:
    with BrokerThread(tls=server_context()) as broker, Wire(broker.port, tls=client_context()) as secure:
        secure.connect("me")
        with socket.create_connection(("127.0.0.1", broker.port)) as plain:
            plain.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00" + text("me"))
            plain.settimeout(10)
            while plain.recv(1000):
                pass
        assert secure.waiting() == []
    assert [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []


def test_a_client_certificate_can_be_asked_for() -> None:
    context = server_context()
    context.load_verify_locations(CERTIFICATES / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with (
        BrokerThread(tls=context) as broker,
        pytest.raises((OSError, Closed)),
        Wire(broker.port, tls=client_context()) as wire,
    ):
        wire.connect("me")


def test_500_connections_at_once() -> None:
    others = {*threading.enumerate()}
    with BrokerThread(status_interval=0) as broker:
        wires = [Wire(broker.port, 4 + index % 2) for index in range(500)]
        try:
            for index, wire in enumerate(wires):
                wire.connect(f"c{index}")
                wire.send_subscribe(["all", f"own/{index}"])
            for wire in wires:
                wire.read()
            wires[0].publish("all", b"x")
            for index in range(500):
                wires[0].publish(f"own/{index}", b"y")
            for wire in wires:
                assert [wire.message().payload for _ in range(2)] == [b"x", b"y"]
        finally:
            for wire in wires:
                wire.close()
    assert {*threading.enumerate()} <= others, "the broker's thread has ended"
