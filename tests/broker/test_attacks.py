"""Broken streams and crowds of clients: the broker goes on serving, and says nothing about it."""

import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from flowrunner.broker import BrokerThread, Limits
from tests.broker.wire import Wire, packet, properties, text, u16, u32

SECONDS = float(os.environ.get("FLOWRUNNER_SOAK_SECONDS", "60"))


def streams() -> Iterator[bytes]:
    """Whole conversations of clients, one for each version."""
    for version in (3, 4, 5):
        new = version == 5
        empty = properties() if new else b""
        will = (properties(b"\x18" + u32(1)) if new else b"") + text("will") + text("gone")
        user = properties(b"\x26" + text("a") + text("b") + b"\x02" + u32(9) + b"\x23" + u16(1)) if new else b""
        hello = packet(
            0x10, text("MQIsdp" if version == 3 else "MQTT"), bytes((version, 0x2E)), u16(9),
            properties(b"\x11" + u32(5) + b"\x21" + u16(3) + b"\x27" + u32(500)) if new else b"", text("fuzz"), will,
        )  # fmt: skip
        yield b"".join(
            (
                hello,
                packet(
                    0x82, u16(1), properties(b"\x0b\x07") if new else b"", text("a/#"), b"\x02", text("+/b"), b"\x01"
                ),
                packet(0x31, text("a/b"), user, b"kept"),
                packet(0x32, text("a/c"), u16(2), empty, b"x" * 200),
                packet(0x34, text("a/d"), u16(3), empty, b"y"),
                packet(0x62, u16(3)),
                packet(0x40, u16(1)),
                packet(0x50, u16(2)),
                packet(0x70, u16(2)),
                packet(0x82, u16(4), empty, text("$share/g/a/b"), b"\x00"),
                packet(0xA2, u16(5), empty, text("a/#")),
                b"\xc0\x00\xe0\x00",
            )
        )


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The stream with a few bytes changed, cut, doubled or moved."""
    result = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(result)) if result else 0
        what = chance.randrange(6)
        if what == 0 and result:
            result[place] = chance.randrange(256)
        elif what == 1 and result:
            result[place] ^= 1 << chance.randrange(8)
        elif what == 2:
            del result[place : place + chance.randint(1, 20)]
        elif what == 3:
            result[place:place] = chance.randbytes(chance.randint(1, 10))
        elif what == 4:
            result[place:place] = result[place : place + chance.randint(1, 40)]
        else:
            del result[place:]
    return bytes(result)


def attack(port: int, data: bytes) -> None:
    """Send a stream and go, now and then after reading what comes."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as enemy:
        enemy.sendall(data)
        if len(data) % 3:
            enemy.shutdown(socket.SHUT_WR)
            while enemy.recv(65_536):
                pass


def expect_service(port: int) -> None:
    """Everything still works, for clients of both versions."""
    for version in (4, 5):
        with Wire(port, version) as one, Wire(port, version) as other:
            one.connect(f"one{version}")
            other.connect(f"other{version}")
            one.subscribe(("service/+", 2))
            for qos in (0, 1, 2):
                other.publish("service/check", b"%d" % qos, qos=qos)
            other.waiting()
            assert [each.payload for each in one.messages()] == [b"0", b"1", b"2"]


def serve_under_attack(count: int, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(packet_size=100_000, connect_timeout=0.5)
    originals = list(streams())
    chance = random.Random(20_261_122)
    deadline = time.monotonic() + seconds
    with BrokerThread(limits=limits, status_interval=0.1) as broker, Wire(broker.port) as bystander:
        bystander.connect("bystander")
        bystander.subscribe("#")
        for number in range(count):
            if time.monotonic() > deadline:
                break
            attack(broker.port, mutated(chance.choice(originals), chance))
            if number % 100 == 0:
                bystander.messages()
                expect_service(broker.port)
        expect_service(broker.port)
        bystander.messages()
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert errors == [], "a traceback of the broker"


def test_the_streams_themselves_are_understood(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for stream in streams():
        with BrokerThread(status_interval=0) as broker:
            attack(broker.port, stream)
        assert not [each.getMessage() for each in caplog.records if ": " in each.getMessage()]


def test_mutated_streams_leave_it_serving(caplog: pytest.LogCaptureFixture) -> None:
    serve_under_attack(500, 10, caplog)


@pytest.mark.soak
def test_10_000_mutated_streams_leave_it_serving(caplog: pytest.LogCaptureFixture) -> None:
    serve_under_attack(10_000, SECONDS * 10, caplog)


@pytest.mark.soak
def test_500_clients_that_come_and_go_leave_it_serving(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(1)
    deadline = time.monotonic() + SECONDS
    with BrokerThread(status_interval=0.1) as broker:
        wires: list[Wire] = []
        for index in range(500):
            wires.append(Wire(broker.port, chance.choice((4, 5))))
            wires[-1].connect(f"c{index}", clean=chance.random() < 0.5)
            wires[-1].subscribe((f"own/{index % 50}", index % 3), ("all", 1))
        while time.monotonic() < deadline:
            place = chance.randrange(500)
            wires[place].close()
            wires[place] = Wire(broker.port, chance.choice((4, 5)))
            wires[place].connect(f"c{place}", clean=chance.random() < 0.5)
            wires[place].subscribe((f"own/{place % 50}", place % 3))
            wires[place].publish(f"own/{chance.randrange(50)}", b"x" * 100, qos=chance.randrange(3))
            wires[place].publish("all", b"y")
            wires[chance.randrange(500)].messages()
        expect_service(broker.port)
        for wire in wires:
            wire.close()
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []
