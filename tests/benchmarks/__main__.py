"""Measures flowrunner, with paho by hand beside it in the same run.

    python -m tests.benchmarks [--seconds 2] [--rounds 3] [--json results.json] [MEASURE...]

Measures are `serving` (a serving end that is never the bottleneck), `broker` (through mosquitto), `latency` (at 5 000
messages a second through mosquitto), `start` (the command until SUBSCRIBE) and `idle` (memory without messages). Each
is taken in turns, so that both meet the same machine, and the median counts. How it is done and what came of it:
docs/explanation/performance.md, whose plot `python -m tests.benchmarks.plot results.json` draws.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from tests.benchmarks import serving, through_broker
from tests.benchmarks.programs import BARE, PROGRAMS, cpu_seconds, flows_for, pinned, resident_megabytes, started
from tests.mosquitto import Mosquitto

RATE = 5_000

Figures = dict[str, float]


def serve(name: str, qos: int, seconds: float) -> Figures:
    """What a program does when nothing but itself limits it."""
    with (
        serving.listening() as (server, port),
        started(name, port, qos) as process,
        serving.accepted(server, qos) as end,
    ):
        serving.pump(end, 0.5)
        before = cpu_seconds(process)
        found = serving.pump(end, seconds)
        cpu = cpu_seconds(process) - before
        return {
            "messages/s": found.messages / found.seconds,
            "CPU s/million": cpu / found.messages * 1e6,
            "MB": resident_megabytes(process),
        }


def through(name: str, qos: int, seconds: float) -> Figures:
    """What it does behind a broker."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Mosquitto(Path(folder), through_broker.CONFIG) as mosquitto,
        started(name, mosquitto.port, qos) as process,
        through_broker.ends(mosquitto, qos) as (sender, hearer),
    ):
        through_broker.wait_until_heard(sender, hearer, qos)
        before = cpu_seconds(process)
        found = through_broker.pump(sender, hearer, seconds)
        cpu = cpu_seconds(process) - before
        return {"messages/s": found.messages / found.seconds, "CPU s/million": cpu / found.messages * 1e6}


def latency(name: str, qos: int, seconds: float) -> Figures:
    """How long it takes from a message to its alarm."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Mosquitto(Path(folder), through_broker.CONFIG) as mosquitto,
        started(name, mosquitto.port, qos),
        through_broker.ends(mosquitto, qos) as (sender, hearer),
    ):
        through_broker.wait_until_heard(sender, hearer, qos)
        took = sorted(through_broker.pace(sender, hearer, RATE, seconds))
        return {"p50 us": took[len(took) // 2] * 1e6, "p99 us": took[len(took) * 99 // 100] * 1e6}


def start(name: str, qos: int, _seconds: float) -> Figures:
    """From the command to SUBSCRIBE."""
    ways = {"ms": BARE} | ({"ms with page and reload": ("--web", "127.0.0.1:0")} if name == "flowrunner" else {})
    return {key: milliseconds_to_start(name, qos, options) for key, options in ways.items()}


def milliseconds_to_start(name: str, qos: int, options: Sequence[str]) -> float:
    """From the command with these options to SUBSCRIBE."""
    with serving.listening() as (server, port):
        begin = monotonic()
        with started(name, port, qos, None, options), serving.accepted(server, qos):
            return (monotonic() - begin) * 1e3


def idle(name: str, qos: int, _seconds: float) -> Figures:
    """Memory with one flow, and with a thousand of them."""
    found: Figures = {}
    for count in (1, 1_000) if name == "flowrunner" else (1,):
        with tempfile.TemporaryDirectory() as folder:
            text = (flows_for(qos) / "alarm.yaml").read_text()
            for number in range(count):
                other = text.replace("plant/", f"plant{number}/") if number else text
                (Path(folder) / f"alarm{number}.yaml").write_text(other)
            with (
                serving.listening() as (server, port),
                started(name, port, qos, Path(folder)) as process,
                serving.accepted(server, qos) as end,
            ):
                deadline = monotonic() + 1
                while monotonic() < deadline:  # until all of them are subscribed
                    end.take(0.2)
                found[f"MB, {count} flow{'s' if count > 1 else ''}"] = resident_megabytes(process)
    return found


MEASURES: Mapping[str, tuple[Callable[[str, int, float], Figures], tuple[int, ...]]] = {
    "serving": (serve, (0, 1)),
    "broker": (through, (0, 1)),
    "latency": (latency, (0,)),
    "start": (start, (0,)),
    "idle": (idle, (0,)),
}


def measure(name: str, qos: int, seconds: float, rounds: int) -> dict[str, Figures]:
    """Medians of each program, which take turns."""
    run = MEASURES[name][0]
    found: dict[str, list[Figures]] = {program: [] for program in PROGRAMS}
    for _ in range(1 if name == "idle" else rounds):
        for program in PROGRAMS:
            found[program].append(run(program, qos, seconds))
    return {
        program: {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        for program, figures in found.items()
    }


def show(title: str, found: Mapping[str, Figures]) -> None:
    """One line for each program, and how many times the other one."""
    print(f"\n{title}")
    other = found["paho by hand"]
    for program, figures in found.items():
        texts = [
            f"{value:,.0f} {key}".replace(",", " ") if value >= 100 else f"{value:.2f} {key}"
            for key, value in figures.items()
        ]
        if program == "flowrunner":
            texts += [f"x {figures[key] / other[key]:.2f} {key}" for key in figures if key in other]
        print(f"  {program:13}", " · ".join(texts), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"{', '.join(MEASURES)}; all of them without")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results are written")
    given = parser.parse_args()
    if unknown := set(given.measures) - set(MEASURES):
        parser.error(f"there is no measure {', '.join(sorted(unknown))}")
    python = f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})"
    results: dict[str, object] = {"python": python, "machine": platform.machine(), "pinned": bool(pinned(0))}
    for name in given.measures or MEASURES:
        for qos in MEASURES[name][1]:
            title = f"{name}, QoS {qos}"
            found = measure(name, qos, given.seconds, given.rounds)
            show(title, found)
            results[title] = found
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
