"""Measures what the page costs: not served, served with nobody there, and with viewers who look into the flow.

    python tests/benchmarks/page.py [--seconds 5] [--viewers 2] [--rate 20000]

The runner works against a serving end that is never the bottleneck. First as fast as it can; then at a fixed rate,
where it must carry what is sent, and where the time that the page takes for an answer is measured, too. Each variant is
measured in turn, several times, and the best round of each counts: a machine that does something else only slows down.
"""

import argparse
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import serving
from tests.benchmarks.programs import cpu_seconds
from tests.web.browser import Runner, runner

FLOW = (Path(__file__).parent / "flows" / "alarm.yaml").read_text()
NAME, STEP = "alarm", "map 1"
VARIANTS = ("not served", "served, nobody there", "open")
PIECES = 50
"""Blocks at a fixed rate are sent so many times a second at most."""


@dataclass(frozen=True)
class Figure:
    """Messages a second as fast as it can, seconds of processor time for a million of them, share carried at the fixed
    rate, milliseconds of an answer (median, p99)."""

    fastest: float
    cpu: float
    carried: float = 0.0
    median: float = 0.0
    slowest: float = 0.0


class Viewer(threading.Thread):
    """Somebody who looks at the numbers of the flow, and at the messages of one of its steps."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.url, self.viewer = url, name
        self.is_looking = threading.Event()
        self.events = 0

    def run(self) -> None:
        """Listen until the page is gone."""
        with urllib.request.urlopen(f"{self.url}api/events?viewer={self.viewer}", timeout=60) as events:
            for line in events:
                if line.startswith(b"event: "):
                    self.events += 1
                    if not self.is_looking.is_set():
                        self.look()

    def look(self) -> None:
        """Say what is on the screen."""
        body = {"viewer": self.viewer, "flows": [NAME], "flow": NAME, "step": STEP}
        head = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}api/look", json.dumps(body).encode(), head)
        urllib.request.urlopen(request, timeout=60).close()
        self.is_looking.set()


@contextmanager
def running(variant: str, viewers: int) -> Iterator[tuple[serving.Runner, Runner]]:
    """A runner in one of the variants, and its end of the connection."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server, port = stack.enter_context(serving.listening())
        page = ["--no-web"] if variant == "not served" else []
        found = stack.enter_context(
            runner(
                folder, {f"{NAME}.yaml": FLOW}, f"mqtt://127.0.0.1:{port}", *page, awaited="started" if page else "page"
            )
        )
        end = stack.enter_context(serving.accepted(server, 0))
        if variant == "open":
            seen = [Viewer(found.plain_url, f"viewer-{number}") for number in range(viewers)]
            for viewer in seen:
                viewer.start()
            for viewer in seen:
                assert viewer.is_looking.wait(20), "a viewer sees nothing"
            time.sleep(0.5)
        yield end, found


def carry(end: serving.Runner, rate: int, seconds: float) -> float:
    """The share of what is sent at a rate that is answered for within the time, and a moment more."""
    block, before = serving.packed(end), end.alarms
    begin, sent = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        while sent < now * rate / serving.MESSAGES:
            end.out += block
            sent += 1
        end.flush()
        end.take(0 if end.out else 1 / PIECES)
    deadline = time.monotonic() + 0.25
    while time.monotonic() < deadline:
        end.flush()
        end.take(0.05)
    return (end.alarms - before) * 2 / (sent * serving.MESSAGES)


def answer_times(url: str, seconds: float) -> list[float]:
    """How long (milliseconds) the page takes for an answer, again and again."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        urllib.request.urlopen(f"{url}api/session", timeout=20).close()
        found.append((time.perf_counter() - begin) * 1000)
        time.sleep(0.05)
    return found


def measure(variant: str, seconds: float, viewers: int, rate: int) -> Figure:
    """One round of a variant."""
    with running(variant, viewers) as (end, found):
        serving.pump(end, 0.5)
        before = cpu_seconds(found.process.pid)
        fastest = serving.pump(end, seconds)
        cpu = (cpu_seconds(found.process.pid) - before) / fastest.messages * 1e6
        times: list[float] = []
        asking = threading.Thread(target=lambda: times.extend(answer_times(found.plain_url, seconds)))
        if variant == "open":
            asking.start()
        carried = carry(end, rate, seconds)
        if variant == "open":
            asking.join()
        rate_found = fastest.messages / fastest.seconds
        if len(times) < 2:
            return Figure(rate_found, cpu, carried)
        return Figure(rate_found, cpu, carried, quantiles(times, n=2)[0], quantiles(times, n=100)[98])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--viewers", type=int, default=2)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    best: dict[str, Figure] = {}
    for _ in range(given.rounds):
        for variant in VARIANTS:
            found = measure(variant, given.seconds, given.viewers, given.rate)
            if variant not in best or found.fastest > best[variant].fastest:
                best[variant] = found
    whole = best[VARIANTS[0]].fastest
    for variant, found in best.items():
        line = f"{variant:22} {found.fastest:9,.0f} messages/s ({found.fastest / whole:4.0%})"
        line += f", {found.cpu:.2f} CPU s/million, {found.carried:4.0%} of {given.rate} a second"
        answers = f"; an answer of the page {found.median:.1f} ms, p99 {found.slowest:.1f} ms" if found.median else ""
        print(line + answers, flush=True)


if __name__ == "__main__":
    main()
