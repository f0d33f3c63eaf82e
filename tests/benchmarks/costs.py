"""Measures what a broker and Redis take: `python -m tests.benchmarks.costs > tests/benchmarks/costs.json`.

Devices are connections of their own, which send one message at QoS 1 after the other, as devices do; who takes them is
one member of a shared subscription. Nothing here is fast but what is measured: what counts is the processor time and
the memory that mosquitto takes, and the rate at which one Redis runs a script that `dedupe` would need, by the batch.
"""

import json
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.programs import cpu_seconds
from tests.broker.wire import Wire, packet, text, u16
from tests.mosquitto import Mosquitto, free_port

DEVICES = 2_000
SECONDS = 6.0
WINDOW = 200
QUEUED = 50_000
PAYLOAD = b'{"device":"d0001","temperature":21.5,"humidity":40,"ts":1700000000,"state":"running","n":1}'

CONFIG = "allow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\nsys_interval 0\n"
FIRST_IN = "return redis.call('set', KEYS[1], ARGV[1], 'NX', 'EX', '60')"


def resident(process: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def message(device: int) -> bytes:
    return packet(0x32, text(f"sensors/{device:07}/climate"), u16(1), PAYLOAD)


def through_mosquitto() -> dict[str, float]:
    """Memory for a connection, and processor time for a message from one of many devices to one member of a group."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        broker = stack.enter_context(Mosquitto(Path(folder), CONFIG, is_talkative=False))
        assert broker._child is not None
        process = broker._child.pid
        member = stack.enter_context(Wire(broker.port))
        member.connect("member")
        member.subscribe(("$share/group/sensors/+/climate", 1))
        before = resident(process)
        devices = [stack.enter_context(Wire(broker.port)) for _ in range(DEVICES)]
        for number, device in enumerate(devices):
            device.connect(f"device-{number:07}")
        connection = (resident(process) - before) / DEVICES
        begun, handled = cpu_seconds(process), pump([device.socket for device in devices], member.socket)
        return {
            "mosquitto, bytes for a connection": round(connection),
            "mosquitto, CPU us for a message": round((cpu_seconds(process) - begun) / handled * 1e6, 2),
        }


def pump(devices: list[socket.socket], member: socket.socket) -> int:
    """Have the devices send in turn, with so many messages on their way; returns how many the member got."""
    packets = [message(number) for number in range(len(devices))]
    size = len(packets[0])
    sent = received = 0
    deadline = time.monotonic() + SECONDS
    rest = b""
    while time.monotonic() < deadline:
        while sent - received < WINDOW:
            turn = sent % len(devices)
            if sent >= len(devices):
                devices[turn].recv(4)  # what the broker has acknowledged long ago
            devices[turn].sendall(packets[turn])
            sent += 1
        if select.select([member], [], [], 0.1)[0]:
            rest += member.recv(1 << 18)
            count = len(rest) // size
            answers = b"".join(b"\x40\x02" + rest[at * size + size - len(PAYLOAD) - 2 :][:2] for at in range(count))
            rest, received = rest[count * size :], received + count
            member.sendall(answers)
    return received


def queued() -> dict[str, float]:
    """Memory for a message that waits for a member that is away."""
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder), CONFIG, is_talkative=False) as broker:
        assert broker._child is not None
        with Wire(broker.port) as member:
            member.connect("member", clean=False)
            member.subscribe(("$share/group/sensors/+/climate", 1))
        with Wire(broker.port) as sender:
            sender.connect("sender")
            before = resident(broker._child.pid)
            for number in range(QUEUED):
                sender.socket.sendall(message(number))
                sender.socket.recv(4)
            return {"mosquitto, bytes for a message that waits": round((resident(broker._child.pid) - before) / QUEUED)}


def redis() -> dict[str, float]:
    """How many keys a second one Redis tells whether they are new, when sixty-four are asked for at a time."""
    port = free_port()
    server = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(server, cwd=folder, stdout=subprocess.DEVNULL) as child,
    ):
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            asked = ["eval", FIRST_IN, "1", "key:__rand_int__", "x"]
            words = [
                "redis-benchmark",
                "-p",
                str(port),
                "-P",
                "64",
                "-c",
                "4",
                "-n",
                "400000",
                "-r",
                "1000000",
                "--csv",
            ]
            begun = cpu_seconds(child.pid)
            subprocess.run([*words, *asked], capture_output=True, text=True, timeout=120, check=True)
            return {"Redis, CPU us for a key": round((cpu_seconds(child.pid) - begun) / 400_000 * 1e6, 2)}
        finally:
            child.terminate()


def main() -> None:
    """Measure all, and write it as JSON."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * DEVICES)), hard))
    json.dump({**through_mosquitto(), **queued(), **redis()}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
