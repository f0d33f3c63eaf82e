"""Measures QoS 0 and 1 throughput of the embedded broker, and of mosquitto in the same run.

    taskset -c 1 python tests/benchmarks/broker_throughput.py [--seconds 3] [--window 1000] [--qos 0]

One process publishes and subscribes on raw sockets with packets that are encoded before; each broker runs in a process
of its own, pinned to core 0 where there are two. At most WINDOW messages are on their way at once. Prints one line for
each broker, and the ratio.
"""

import argparse
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.broker.wire import Wire, packet, text, u16
from tests.mosquitto import Mosquitto

CONFIG = """allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
sys_interval 0
"""
OURS = """
import asyncio, sys
from flowrunner.broker import Broker

async def main():
    async with Broker(port=0) as broker:
        print(broker.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
BATCH = 100


class Figure(NamedTuple):
    """Messages per second, and what the broker's processor did meanwhile (1 is a whole core)."""

    rate: float
    load: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--qos", type=int, choices=(0, 1), default=0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    best: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder), CONFIG) as theirs:
        assert theirs._child is not None
        pin(theirs._child.pid)
        with subprocess.Popen([sys.executable, "-c", OURS], stdout=subprocess.PIPE, text=True) as ours:
            assert ours.stdout is not None
            pin(ours.pid)
            port = int(ours.stdout.readline())
            for _ in range(given.rounds):
                for name, where, pid in (("flowrunner", port, ours.pid), ("mosquitto", theirs.port, theirs._child.pid)):
                    figure = measure(where, pid, given)
                    print(f"{name:10}  {figure.rate:9,.0f} messages/s  {figure.load:5.2f} cores", flush=True)
                    best[name] = max(figure, best.get(name, figure))
            ours.terminate()
    print(f"flowrunner / mosquitto = {best['flowrunner'].rate / best['mosquitto'].rate:.2f} (the best of each)")


def pin(pid: int) -> None:
    """Keep a broker on the first core."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {0})


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, given: argparse.Namespace) -> Figure:
    """Let messages go through a broker for a while."""
    with Wire(port) as sender, Wire(port) as receiver:
        sender.connect("sender")
        receiver.connect("receiver")
        receiver.subscribe(("sensors/+/climate", given.qos))
        flow = Flow(sender.socket, receiver.socket, given.qos, given.window)
        flow.run(given.seconds / 4)
        received, computed, started = flow.received, cpu_seconds(pid), time.perf_counter()
        flow.run(given.seconds)
        elapsed = time.perf_counter() - started
        return Figure((flow.received - received) / elapsed, (cpu_seconds(pid) - computed) / elapsed)


class Flow:
    """Messages that one socket sends and another one counts."""

    def __init__(self, sender: socket.socket, receiver: socket.socket, qos: int, window: int) -> None:
        self.sent = self.received = 0
        self._sender, self._receiver, self._qos, self._window = sender, receiver, qos, window
        payload = b'{"device":"d%02d","temperature":21.5,"humidity":40,"ts":1700000000}'
        self._batch = b"".join(
            packet(0x30 | qos << 1, text(f"sensors/{index}/climate"), u16(index + 1) if qos else b"", payload % index)
            for index in range(BATCH)
        )
        self._rest = b""
        for each in (sender, receiver):
            each.setblocking(False)

    def run(self, seconds: float) -> None:
        """Keep the window full."""
        deadline = time.perf_counter() + seconds
        outgoing = memoryview(b"")
        while time.perf_counter() < deadline:
            if not outgoing and self.sent - self.received + BATCH <= self._window:
                outgoing = memoryview(self._batch)
                self.sent += BATCH
            writers = [self._sender] if outgoing else []
            readable, writable, _ = select.select([self._receiver, self._sender], writers, [], 0.1)
            if writable:
                outgoing = outgoing[self._sender.send(outgoing) :]
            if self._receiver in readable:
                self._count(self._receiver.recv(1 << 18))
            if self._sender in readable:
                self._sender.recv(1 << 18)
        self._sender.setblocking(True)
        self._sender.sendall(outgoing)
        self._sender.setblocking(False)

    def _count(self, data: bytes) -> None:
        data, place, answers = self._rest + data, 0, []
        while len(data) - place > 1 and len(data) - place >= 2 + data[place + 1]:
            if self._qos:
                size = data[place + 3]
                answers.append(b"\x40\x02" + data[place + 4 + size : place + 6 + size])
            place += 2 + data[place + 1]
            self.received += 1
        self._rest = data[place:]
        if answers:
            self._receiver.setblocking(True)
            self._receiver.sendall(b"".join(answers))
            self._receiver.setblocking(False)


if __name__ == "__main__":
    main()
