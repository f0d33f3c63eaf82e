"""Measures `dedupe` in memory and over Redis, alternately in one run: `python tests/benchmarks/redis_state.py`.

Messages are handed to a compiled flow by the hundred in one turn of the loop, as a busy connection does; each has a key
of its own. The flow does nothing else. Redis runs beside it, on a socket file or a port of this machine.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from flowrunner.remote.address import StateSettings
from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.flow_host import FlowHost, read
from tests.redis_server import RedisServer

MESSAGES = 20_000
BURSTS = 500  # at most in one round
ROUNDS = 5
FLOW = "subscribe: in/+k\nsteps:\n  - dedupe: {key: k, within: 1h, max_keys: 100000}\n"


async def take(host: FlowHost, first: int, burst: int) -> tuple[float, float]:
    """Messages a second, and microseconds of this process for each."""
    handle = host.handler
    began, cpu = perf_counter(), process_time()
    messages = min(MESSAGES, BURSTS * burst)
    for start in range(first, first + messages, burst):
        for number in range(start, start + burst):
            handle(f"in/{number}", b"", 0, False, {}, 0)
        await host.settled()
    return messages / (perf_counter() - began), (process_time() - cpu) / messages * 1e6


def made(state: RedisState | None) -> FlowHost:
    """A host of the flow."""
    FlowHost.remote = None if state is None else lambda _: state
    try:
        return FlowHost(read(FLOW))
    finally:
        FlowHost.remote = None


async def measure(server: RedisServer) -> None:
    """Print a table: each way, messages a second, and the ratio to memory in the same round."""
    local = StateSettings("unix", "", 0, str(server.path))
    ways = {"memory": None, "Redis, socket file": local, "Redis, TCP": server.settings}
    print(f"{'':20} {'burst':>6} {'messages/s':>11} {'us of CPU':>10} {'of memory':>10} {'round trips':>12}")
    for burst in (1, 10, 100, 1000):
        states = {name: RedisState(place, name, Report(lambda _: None)) for name, place in ways.items() if place}
        hosts = {name: made(states.get(name)) for name in ways}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(ROUNDS):
            for name, host in hosts.items():
                found[name].append(await take(host, turn * MESSAGES, burst))
        for name, figures in found.items():
            rate, cpu = (median(each) for each in zip(*figures, strict=True))
            ratio = median(one[0] / other[0] for one, other in zip(figures, found["memory"], strict=True))
            trips = states[name].round_trips if name in states else 0
            print(f"{name:20} {burst:6} {rate:11,.0f} {cpu:10.1f} {ratio:10.3f} {trips:12,}")
        for state in states.values():
            await state.aclose()
        with server.client() as client:
            client.flushall()


def main() -> None:
    """Start a Redis, and measure."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        asyncio.run(measure(server))


if __name__ == "__main__":
    main()
