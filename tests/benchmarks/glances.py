"""Measures what it costs to glance at a worker: `python -m tests.benchmarks.glances` prints CPU time per glance."""

import asyncio
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

from flowrunner.workers.asking import Ask
from tests.workers.company import company

TIMES = 30
FLOW = """
subscribe: sensors/{number}/+room
steps:
  - json
  - filter: payload.t > 25
  - set: {{level: warm}}
  - changed: {{value: payload.t, by: room}}
"""


def microseconds(work: Callable[[], object], before: Callable[[], object]) -> float:
    """What one call takes, as a rule; something happens before each."""
    took = []
    for _ in range(TIMES):
        before()
        began = process_time()
        work()
        took.append(process_time() - began)
    return median(took) * 1e6


async def measure(count: int) -> None:
    """Glance at a worker with so many flows, while nothing happens and while all of them are busy."""
    files = {f"f{number}.yaml": FLOW.format(number=number) for number in range(count)}
    with tempfile.TemporaryDirectory() as folder:
        async with company(Path(folder) / "flows", files, workers=1) as found:
            hand = found.hands[1]

            def traffic() -> None:
                for number in range(count):
                    hand.deliver(f"f{number}", b'{"t": 30}', topic=f"sensors/{number}/attic")

            def glance() -> bytes:
                return pickle.dumps(hand.onlooker.look(Ask()))

            idle = microseconds(glance, lambda: None)
            busy = microseconds(glance, traffic)
            states = microseconds(lambda: pickle.dumps(hand.onlooker.look(Ask(states=None))), traffic)
            traffic()
            answer = glance()
            taken = microseconds(lambda: found.looking.take(1, pickle.loads(answer)), lambda: None)
    print(f"{count} flows: idle {idle:.0f} us, busy {busy:.0f} us ({len(answer)} bytes), "
          f"with what steps remember {states:.0f} us; taken in {taken:.0f} us")  # fmt: skip


if __name__ == "__main__":
    for flows in (20, 1000):
        asyncio.run(measure(flows))
