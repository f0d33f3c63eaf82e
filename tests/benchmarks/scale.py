"""Computes what so many devices need, and where the limits lie: `python -m tests.benchmarks.scale [--write]`.

What a message costs comes from `results.json` and `costs.json`, which were measured, and from one published figure.
Without an argument it prints the tables of docs/explanation/scale.md; `--write` puts them there, and draws the plot.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "scale.md"
PLOT = PAGE.with_suffix(".svg")
SIZES = [10**power for power in range(8)]

#: What is taken for granted, and said so on the page.
RATE = 0.1  # messages a second from one device
PASSES = 0.5  # of them become a message that is published
LOAD = 0.5  # of a core, on average; the rest is for peaks, and for the work of one that has gone
FROM_DEVICE, TO_RUNNER = 300, 150  # bytes on the wire for a message, with acknowledgements and headers
KERNEL = 8_192  # bytes that the system takes for an open connection
MEMORY = 16e9  # bytes of a broker's machine that connections may have
WIRE = 10e9 / 8  # bytes a second of a broker's machine
ROUND_TRIP = 0.001  # seconds from a runner to the broker and back
WINDOW = 20  # messages on their way to a runner, where nobody has set more (mosquitto)

#: 23 brokers of EMQX 5.0 had 100 million connections and handled 1 million messages a second
#: (https://www.emqx.com/en/blog/reaching-100m-mqtt-connections-with-emqx-5-0); half of that is planned with.
CLUSTER_CONNECTIONS = 100e6 / 23 * LOAD
CLUSTER_RATE = 1e6 / 23 * LOAD
FEWEST_BROKERS = 3  # of a cluster that outlives one of them


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured: seconds of a core for a message, bytes."""

    runner: float
    runner_bytes: float
    broker: float
    connection: float
    waiting: float
    redis: float


@dataclass(frozen=True, slots=True)
class Need:
    """What so many devices need."""

    devices: int
    rate: float
    runners: int
    busy: float
    alone: float
    memory: float
    mosquitto: float
    brokers: int
    network: float
    redis: int


def measured(folder: Path = HERE) -> Costs:
    """The figures, from the files in which they were kept."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    costs: dict[str, float] = json.loads((folder / "costs.json").read_text())
    return Costs(
        runner=results["broker, QoS 1"]["flowrunner"]["CPU s/million"] * 1e-6,
        runner_bytes=results["idle, QoS 0"]["flowrunner"]["MB, 1 flow"] * 1e6,
        broker=costs["mosquitto, CPU us for a message"] * 1e-6,
        connection=costs["mosquitto, bytes for a connection"] + KERNEL,
        waiting=costs["mosquitto, bytes for a message that waits"],
        redis=costs["Redis, CPU us for a key"] * 1e-6,
    )


def need(devices: int, costs: Costs) -> Need:
    """What so many devices need; a runner is a process, with a core of its own where it is busy."""
    rate = devices * RATE
    work = rate * costs.runner
    runners = max(1, ceil(work / LOAD))
    through_broker = rate * (1 + PASSES)
    mosquitto = through_broker * costs.broker
    brokers = 1
    if mosquitto > LOAD:
        brokers = max(FEWEST_BROKERS, ceil(devices / CLUSTER_CONNECTIONS), ceil(through_broker / CLUSTER_RATE))
    return Need(
        devices=devices,
        rate=rate,
        runners=runners,
        busy=work / runners,
        alone=work / (runners - 1) if runners > 1 else work,
        memory=runners * costs.runner_bytes,
        mosquitto=mosquitto,
        brokers=brokers,
        network=rate * (FROM_DEVICE + TO_RUNNER * (1 + PASSES)) * 8,
        redis=ceil(rate * costs.redis / LOAD),
    )


def limits(costs: Costs) -> list[tuple[str, str, float, str]]:
    """Where something ends: what, why, at how many devices, and what to change there; the nearest first."""
    found = [
        ("a single mosquitto", f"one core, {1e6 * costs.broker:.1f} us for a message in and out",
         LOAD / costs.broker / (1 + PASSES) / RATE, "a cluster; or one broker for each site, and `connections:`"),
        ("one member of a group with the defaults of mosquitto", f"{WINDOW} messages on their way in each ms",
         WINDOW / ROUND_TRIP / RATE, "`max_inflight_messages`, `receive_maximum`"),
        ("a flow with one owner", f"one core, {1e6 * costs.runner:.1f} us for a message",
         LOAD / costs.runner / RATE, "`state: redis://...`; or split it by topic, such as `plant/a/#` and `plant/b/#`"),
        ("one Redis", f"one core, {1e6 * costs.redis:.1f} us for a key",
         LOAD / costs.redis / RATE, "one for each group of flows; several behind a cluster"),
        ("connections of one machine", f"{MEMORY / 1e9:.0f} GB at {costs.connection / 1e3:.1f} kB each",
         MEMORY / costs.connection, "more brokers"),
        ("the network of one machine", f"{WIRE * 8e-9:.0f} Gbit/s, half full",
         WIRE * LOAD / (FROM_DEVICE + TO_RUNNER * (1 + PASSES)) / RATE, "more brokers; QoS 0; fewer and larger messages"),
    ]  # fmt: skip
    return sorted(found, key=lambda limit: limit[2])


def table(needs: Sequence[Need]) -> str:
    """What each size needs, as a table of Markdown."""
    lines = [
        "| devices | messages/s | runners | their memory | each busy | with one gone | mosquitto's core | brokers | network | Redis |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in needs:
        gone = f"{one.alone:.0%}" if one.runners > 1 else "nobody"
        lines.append(
            f"| {number(one.devices)} | {number(one.rate)} | {one.runners} | {one.memory / 1e6:.0f} MB | {percent(one.busy)} | {gone} "
            f"| {percent(one.mosquitto) if one.mosquitto <= LOAD else f'{one.mosquitto:.1f} cores'} | {one.brokers} "
            f"| {bits(one.network)} | {one.redis} |"
        )
    return "\n".join([*lines, ""])


def limit_table(costs: Costs) -> str:
    """The limits as a table of Markdown."""
    lines = ["| what ends | because | at devices | then |", "|---|---|---|---|"]
    lines += [f"| {what} | {why} | {number(float(f'{at:.2g}'))} | {then} |" for what, why, at, then in limits(costs)]
    return "\n".join([*lines, ""])


def number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:g}"


def percent(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 else "<1%"


def bits(value: float) -> str:
    for name, unit in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g} bit/s"


WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 60, 44, 20, 40
COLOURS = {"runners": "#2f6f9f", "brokers": "#c9862c", "Redis": "#7a4f9a"}
MOST = 2.0  # decades upwards


def draw(needs: Sequence[Need]) -> str:
    """The plot: how many of each, as devices grow; both scales count decades."""
    series = {
        "runners": [one.runners for one in needs],
        "brokers": [one.brokers for one in needs],
        "Redis": [one.redis for one in needs],
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        "<title>runners, brokers and Redis servers as devices grow to ten million</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *axes(),
    ]
    for index, (name, counts) in enumerate(series.items()):
        points = " ".join(f"{x(one.devices):.0f},{y(count):.0f}" for one, count in zip(needs, counts, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5"/>')
        left = LEFT + index * 130
        parts.append(f'<rect x="{left}" y="12" width="14" height="14" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{left + 20}" y="24" fill="#222222">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def axes() -> Iterator[str]:
    for count in (1, 3, 10, 30, 100):
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(count):.0f}" y2="{y(count):.0f}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y(count) + 4:.0f}" text-anchor="end" fill="#222222">{count}</text>'
    for devices in SIZES:
        label = {1_000: "1k", 10_000: "10k", 100_000: "100k", 1_000_000: "1M", 10_000_000: "10M"}.get(devices, devices)
        yield f'<text x="{x(devices):.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#222222">{label}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end" fill="#222222">devices</text>'


def x(devices: float) -> float:
    return LEFT + log10(devices) / (len(SIZES) - 1) * (WIDTH - LEFT - RIGHT)


def y(count: float) -> float:
    return HEIGHT - BOTTOM - log10(max(count, 1)) / MOST * (HEIGHT - TOP - BOTTOM)


def written(page: str, costs: Costs) -> str:
    """The page with both tables as they are now."""
    for name, text in (("sizes", table([need(size, costs) for size in SIZES])), ("limits", limit_table(costs))):
        page, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>\n{text}\n\g<2>", page, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"{PAGE.name} has no place for `{name}`")
    return page


def main() -> None:
    """Print the tables, or write them into the page."""
    costs = measured()
    needs = [need(size, costs) for size in SIZES]
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), costs), encoding="utf-8")
        PLOT.write_text(draw(needs), encoding="utf-8")
    else:
        sys.stdout.write(f"{table(needs)}\n{limit_table(costs)}")


if __name__ == "__main__":
    main()
