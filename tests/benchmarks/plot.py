"""Draws the results of `python -m tests.benchmarks --json FILE`: `python -m tests.benchmarks.plot FILE > plot.svg`.

With `--table` it writes them as a table of Markdown.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH, ROW, LEFT, BAR = 720, 26, 190, 400
COLOURS = {"flowrunner": "#2f6f9f", "paho by hand": "#c9862c"}
ROWS = [
    ("messages/s, QoS 0", "serving, QoS 0", "messages/s"),
    ("messages/s, QoS 1", "serving, QoS 1", "messages/s"),
    ("through mosquitto, QoS 0", "broker, QoS 0", "messages/s"),
    ("through mosquitto, QoS 1", "broker, QoS 1", "messages/s"),
    ("CPU s per million, QoS 0", "broker, QoS 0", "CPU s/million"),
    ("CPU s per million, QoS 1", "broker, QoS 1", "CPU s/million"),
    ("p50 at 5 000/s, µs", "latency, QoS 0", "p50 us"),
    ("p99 at 5 000/s, µs", "latency, QoS 0", "p99 us"),
]


def draw(results: dict[str, Any]) -> str:
    """The plot: for each figure two bars, the longer one as long as the others' longer ones."""
    rows = [row for row in ROWS if row[1] in results]
    height = len(rows) * (2 * ROW + 12) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<title>flowrunner and a callback written by hand with paho</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *legend(),
    ]
    top = 44
    for label, title, key in rows:
        parts += bars(label, {name: results[title][name][key] for name in COLOURS}, top)
        top += 2 * ROW + 12
    return "\n".join([*parts, "</svg>", ""])


def legend() -> Iterator[str]:
    for index, (name, colour) in enumerate(COLOURS.items()):
        left = LEFT + index * 150
        yield f'<rect x="{left}" y="12" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{left + 20}" y="24" fill="#222222">{name}</text>'


def bars(label: str, figures: dict[str, float], top: int) -> Iterator[str]:
    yield f'<text x="{LEFT - 10}" y="{top + ROW + 5}" text-anchor="end" fill="#222222">{label}</text>'
    most = max(figures.values())
    for index, (name, value) in enumerate(figures.items()):
        y, width = top + index * ROW, max(1, round(value / most * BAR))
        yield f'<rect x="{LEFT}" y="{y}" width="{width}" height="{ROW - 4}" fill="{COLOURS[name]}"/>'
        yield f'<text x="{LEFT + width + 6}" y="{y + 16}" fill="#222222">{rounded(value)}</text>'


def table(results: dict[str, Any]) -> str:
    """The same in words: a row for each figure, and how many times the other's flowrunner's is."""
    lines = ["| | flowrunner | paho by hand | ratio |", "|---|---|---|---|"]
    for title, found in results.items():
        if not isinstance(found, dict):
            continue
        for key, value in found["flowrunner"].items():
            other = found["paho by hand"].get(key)
            ratio = f"{value / other:.2g}" if other else ""
            lines.append(f"| {title}: {key} | {rounded(value)} | {rounded(other) if other else ''} | {ratio} |")
    return "\n".join([*lines, ""])


def rounded(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    make = table if "--table" in sys.argv else draw
    sys.stdout.write(make(json.loads(Path(sys.argv[1]).read_text())))
