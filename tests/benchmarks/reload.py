"""Measures what an edit costs among many flows: `python -m tests.benchmarks.reload [--flows 1000] [--edits 30]`.

Nothing here is a test. Times are medians in milliseconds; the last ones are with a mosquitto, which must be installed.
"""

import argparse
import asyncio
import gc
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from flowrunner.clock import VirtualClock
from flowrunner.compile import Program, compile_flow
from flowrunner.compile.outline import outline
from flowrunner.compile.plan import difference_of_flows
from flowrunner.compile.relocation import relocate
from flowrunner.message import NO_PROPERTIES
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library
from flowrunner.run.disk import SystemDisk
from flowrunner.run.dry_host import DryHost
from flowrunner.run.following import Edits, Following
from flowrunner.run.live import LiveFlow
from flowrunner.run.previews import compare
from flowrunner.run.recent import Arrived, Recent
from flowrunner.run.reload import Reloader
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from flowrunner.run.watch import Changes
from tests.mosquitto import Mosquitto
from tests.run.fake_runner import FakeRunner

FLOW = """\
# flow {number}, edit {edit}
subscribe: sensors/{number}/+room/climate
steps:
  - json
  - filter: payload.temperature > {limit}
  - debounce: {{for: 2s, by: room}}
  - set:
      level: ${{"hot" if payload.temperature > 30 else "warm"}}
  - publish: alerts/${{room}}
"""


def text_of(number: int, edit: int = 0, *, is_cosmetic: bool = False) -> str:
    return FLOW.format(number=number, edit=edit, limit=25 if is_cosmetic else 25 + edit)


class Bench:
    """A folder of flows, and how often one was compiled."""

    def __init__(self, folder: Path, flows: int) -> None:
        self.folder = folder
        self.flows = flows
        self.compiled = 0
        for number in range(flows):
            self.path(number).write_text(text_of(number))
        self.library: Library[Program] = Library([folder], self.compile, environment={})

    def compile(self, flow: Flow) -> Program:
        self.compiled += 1
        return compile_flow(flow)

    def path(self, number: int) -> Path:
        return self.folder / f"flow{number:05}.yaml"

    def save(self, edit: int) -> None:
        number = edit * 7 % self.flows
        self.path(number).write_text(text_of(number, edit))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=1_000)
    parser.add_argument("--edits", type=int, default=30)
    given = parser.parse_args()
    alone = measure(1, given.edits)
    many = measure(given.flows, given.edits)
    print(f"{'':44}{'1 flow':>12}{f'{given.flows} flows':>14}{'ratio':>9}")
    for name, value in many.items():
        ratio = f"{value / alone[name]:8.1f}x" if alone[name] else ""
        print(f"{name:44}{alone[name]:12.2f}{value:14.2f}{ratio:>9}")
    print()
    for name, value in asyncio.run(measure_recording()).items():
        print(f"{name:44}{value:12.0f}")
    print()
    for name, value in asyncio.run(measure_with_a_broker(given.flows, given.edits)).items():
        print(f"{name:44}{value:12.1f}")


def measure(flows: int, edits: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), flows)
        return {**dict(measure_library(bench, edits)), **asyncio.run(measure_saving(bench, edits))}


def measure_library(bench: Bench, edits: int) -> Iterator[tuple[str, float]]:
    """Reading and comparing, without a disk that tells."""
    yield "read and compile everything, ms per flow", milliseconds(bench.library.refresh) / bench.flows
    yield "look at all files where nothing changed, ms", median(times(edits, lambda _: bench.library.refresh()))
    bench.compiled = 0
    read: list[int] = []

    def edit(number: int) -> None:
        bench.save(number + 1)
        read.append(len(bench.library.refresh().read))

    yield "edit one file: read and compile, ms", median(times(edits, edit))
    yield "files read per edit", sum(read) / edits
    yield "flows compiled per edit", bench.compiled / edits
    flows = {name: version.flow for name, version in bench.library.contents.versions.items()}
    name = next(iter(flows))
    bench.path(int(name.removeprefix("flow"))).write_text(text_of(0, edits + 1))
    after = {name: version.flow for name, version in bench.library.refresh().versions.items()}
    yield "difference of all flows, one edited, ms", median(times(edits, lambda _: difference_of_flows(flows, after)))
    yield "outline of one flow, ms", median(times(edits, lambda _: outline(flows[name])))


async def measure_saving(bench: Bench, edits: int) -> dict[str, float]:
    """From the save of a file to the swap, with everything but the broker."""
    runner = FakeRunner()
    changes = Changes(lambda: bench.library.contents.places, SystemDisk())
    reloader = Reloader(bench.library, runner, Report(lambda _: None))
    await runner.apply(version.program for version in bench.library.contents.versions.values())
    found: dict[str, list[float]] = {"real": [], "cosmetic": []}
    try:
        await anext(changes)
        await reloader.reload()
        for edit in range(2 * edits):
            is_cosmetic = edit % 2 == 1
            number = edit // 2 * 7 % bench.flows
            before = bench.library.contents
            began = perf_counter()
            bench.path(number).write_text(
                text_of(number, 1_000 + edit // 2, is_cosmetic=False) + "# more\n" * is_cosmetic
            )
            while bench.library.contents is before or not bench.library.contents.edited:
                await reloader.reload(await anext(changes))
            found["cosmetic" if is_cosmetic else "real"].append((perf_counter() - began) * 1000)
    finally:
        await changes.aclose()
    return {
        "save to swap, an edit, ms": median(found["real"]),
        "save to swap, a comment, ms": median(found["cosmetic"]),
    }


async def measure_with_a_broker(flows: int, edits: int) -> dict[str, float]:
    """From the save of a file to the swap, with all that `flowrunner run` does, and what else an edit touches."""
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder) / "broker") as mosquitto:
        (Path(folder) / "flows").mkdir()
        bench = Bench(Path(folder) / "flows", flows)
        began = perf_counter()
        contents = bench.library.refresh()
        report = Report(lambda _: None)
        runner = Runner({"default": mosquitto.settings()}, report, folder=bench.folder)
        await runner.apply(version.program for version in contents.versions.values())
        await runner.connections["default"].subscriptions.complete.wait()
        start = perf_counter() - began
        following = Following(Edits(bench.library, [bench.folder], bench.folder), runner, report)
        touched: list[int] = []
        seconds: list[float] = []
        try:
            await following.quiet()
            gc.freeze()  # as `flowrunner run` does
            for edit in range(edits):
                await asyncio.sleep(0.1)
                before, bench.compiled, asked = dict(runner.flows), 0, mosquitto.log.count("Received SUBSCRIBE")
                began = perf_counter()
                bench.save(2_000 + edit)
                while runner.flows == before:
                    await asyncio.sleep(0.001)
                seconds.append(perf_counter() - began)
                touched.append(sum(before[name] is not flow for name, flow in runner.flows.items()))
                assert (bench.compiled, mosquitto.log.count("Received SUBSCRIBE") - asked) == (1, 1)
        finally:
            gc.unfreeze()
            await following.aclose()
            await runner.close()
    return {
        "read, compile, connect, subscribe, ms": start * 1000,
        "save to swap with a broker, median, ms": median(seconds) * 1000,
        "save to swap with a broker, worst, ms": max(seconds) * 1000,
        "flows exchanged per edit": sum(touched) / edits,
    }


async def measure_recording() -> dict[str, float]:
    """What it costs to remember the last messages, and to try them again."""
    flow = next(iter(_flows(text_of(1))))
    program = compile_flow(flow)
    clock = VirtualClock()
    live = LiveFlow(program)
    live.bind(DryHost(program, clock))
    payload = b'{"temperature": 20}'

    def deliver() -> None:
        for _ in range(2_000):
            live.handler("sensors/1/attic/climate", payload, 0, False, NO_PROPERTIES, 0)

    off = min(times(20, lambda _: deliver())) / 2_000 * 1e6
    recent = Recent(clock)
    recent.watch([live])
    deliver()
    flood = min(times(20, lambda _: deliver())) / 2_000 * 1e6
    arrived = [Arrived(float(n), "sensors/1/attic/climate", payload, 0, False, NO_PROPERTIES) for n in range(20)]
    preview = median(times(20, lambda _: compare(program, program, arrived, until=20.0, now=0.0)))
    moved = compile_flow(next(iter(_flows(f"# more\n{text_of(1)}"))))
    relocation = median(times(20, lambda _: relocate(live.plain, program, moved)))
    return {
        "a message, nothing remembered, ns": off,
        "a message in a flood, remembered, ns": flood,
        "preview of 20 messages, us": preview * 1000,
        "relocation of a flow, us": relocation * 1000,
    }


def _flows(text: str) -> list[Flow]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "flow.yaml").write_text(text)
        library: Library[None] = Library([Path(folder)], lambda _: None)
        return [version.flow for version in library.refresh().versions.values()]


def times(count: int, work: Callable[[int], object]) -> list[float]:
    """Milliseconds of each of some runs."""
    return [milliseconds(lambda number=number: work(number)) for number in range(count)]  # type: ignore[misc]


def milliseconds(work: Callable[[], object]) -> float:
    """Milliseconds of one run."""
    began = perf_counter()
    work()
    return (perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
