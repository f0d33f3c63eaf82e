"""Measures what a message costs where several processes share the work, against one: CPU time, through a real mosquitto.

    python -m tests.benchmarks.workers [SECONDS]

As many messages are sent as come back, to one process and to two workers in turn. The supervisor is part of the sum.
What counts is the ratio within one run, the median of five.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.through_broker import CONFIG, ends, pump, wait_until_heard
from tests.mosquitto import Mosquitto

FLOWS = Path(__file__).parent / "flows"
SECONDS = 5.0
ROUNDS = 5
MOST = 1.15


@contextmanager
def started(port: int, workers: int) -> Iterator["subprocess.Popen[str]"]:
    """`flowrunner run`, as soon as it is subscribed."""
    words = ["run", str(FLOWS), "--broker", f"mqtt://127.0.0.1:{port}", "--workers", str(workers)]
    words += ["--no-web", "--no-reload", "--no-preview", "--log-format", "json"]
    command = [sys.executable, "-m", "flowrunner", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if json.loads(line)["event"] == "connected":
                    break
            yield child
        finally:
            child.terminate()
            child.communicate()


def processes_of(process: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [process, *map(int, children.split())]


def cpu_of(process: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(workers: int, seconds: float, folder: Path) -> float:
    """Microseconds of CPU for a message, over all processes."""
    with Mosquitto(folder, CONFIG) as mosquitto, ends(mosquitto, 0) as (sender, hearer), started(
        mosquitto.port, workers
    ) as child:  # fmt: skip
        wait_until_heard(sender, hearer, 0)
        every = processes_of(child.pid)
        before = sum(map(cpu_of, every))
        measured = pump(sender, hearer, seconds)
        return (sum(map(cpu_of, every)) - before) / measured.messages * 1e6


def main() -> None:
    """Measure, print, and fail where it costs more than it may."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    ratios = []
    with TemporaryDirectory() as place:
        for number in range(ROUNDS):
            one, two = (cost(workers, seconds, Path(place, f"{number}-{workers}")) for workers in (1, 2))
            ratios.append(two / one)
            print(f"one process {one:.1f} us, two workers {two:.1f} us: {two / one:.3f}", flush=True)
    print(f"median {median(ratios):.3f}, at most {MOST}")
    sys.exit(median(ratios) > MOST)


if __name__ == "__main__":
    main()
