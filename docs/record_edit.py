"""Turns a real run of flowrunner whose flow is edited meanwhile into a moving picture: `record_edit.py FILE`."""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path

from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from flowrunner.broker import BrokerThread

ROOT = Path(__file__).parents[1]
FLOW = """\
subscribe: sensors/+room/climate
steps:
  - json
  - filter: payload.temperature > 25
  - publish: alerts/${room}
"""
LOWER = FLOW.replace("> 25", "> 20")
BROKEN = LOWER.replace("filter", "filtr")
MENDED = LOWER.replace(
    "  - publish", "  - set: {level: \"${'hot' if payload.temperature > 30 else 'warm'}\"}\n  - publish"
)

COLUMNS, ROWS, FILE_COLUMNS = 78, 25, 72
SIZE, LEADING, WIDTH = 13, 18, 7.83
PATIENCE = 20.0
_THEME = TerminalTheme(
    (24, 26, 31),
    (214, 218, 224),
    [
        *((90, 96, 106), (240, 113, 120), (143, 200, 120), (230, 190, 110)),
        *((110, 170, 240), (200, 140, 230), (100, 200, 210), (214, 218, 224)),
    ],
)
_FONT = f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{SIZE}"'
_TITLE = (
    "A flow is edited while messages go through it: flowrunner takes it up, shows what the last messages would have"
    " become, and explains a mistake while the old version goes on"
)
_PORT = re.compile(r"localhost:\d+")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done at a time of the picture (seconds): a file that is saved, or a message."""

    at: float
    flow: str = ""
    topic: str = ""
    payload: str = ""
    until: str = ""


ACTS = (
    Act(1.5, topic="sensors/kitchen/climate", payload='{"temperature": 26}', until="→ alerts"),
    Act(3.0, topic="sensors/bath/climate", payload='{"temperature": 22}', until="sensors/bath"),
    Act(5.0, flow=LOWER, until="alerts/bath"),
    Act(9.0, topic="sensors/bath/climate", payload='{"temperature": 22}', until="→ alerts"),
    Act(11.0, flow=BROKEN, until="the running version"),
    Act(15.5, topic="sensors/attic/climate", payload='{"temperature": 31}', until="→ alerts"),
    Act(17.5, flow=MENDED, until="level"),
    Act(22.0, topic="sensors/attic/climate", payload='{"temperature": 31}', until="level"),
)
END = 26.0


@dataclass(slots=True)
class Recording:
    """What was to be seen, and from when on: versions of the file, and lines of the terminal."""

    files: list[tuple[float, str]] = field(default_factory=list)
    lines: list[tuple[float, Text]] = field(default_factory=list)

    def add_output(self, at: float, text: str) -> None:
        """Lines that came in answer to what was done at this time."""
        text = _PORT.sub("localhost:1883", text.replace("\r", "")).rstrip("\n")
        for number, line in enumerate(text.split("\n")):
            for part in _folded(Text.from_ansi(line)):
                self.lines.append((at + 0.15 + 0.04 * number, part))


def _folded(line: Text) -> list[Text]:
    """A line as a terminal breaks it."""
    return [line[start : start + COLUMNS] for start in range(0, max(len(line), 1), COLUMNS)]


class Run:
    """flowrunner in a terminal of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self._side, inner = pty.openpty()
        colors = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "TZ": "UTC"}
        environment = {**os.environ, **colors, "PYTHONPATH": str(ROOT)}
        environment.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "flowrunner", "run", "flows", "--broker", url, "--no-web"]
        self._child = subprocess.Popen(command, cwd=folder, stdout=inner, stderr=inner, env=environment)  # noqa: S603 - ours
        os.close(inner)

    def read_until(self, words: str) -> str:
        """What it prints until these words have come, and the rest of that; raises TimeoutError."""
        found, deadline = "", time.monotonic() + PATIENCE
        while words not in Text.from_ansi(found).plain:
            if time.monotonic() > deadline:
                raise TimeoutError(f"`{words}` did not come:\n{found}")
            found += self._read(1.0)
        while rest := self._read(0.3):
            found += rest
        return found

    def _read(self, seconds: float) -> str:
        ready, _, _ = select.select([self._side], [], [], seconds)
        with suppress(OSError):
            return os.read(self._side, 65_536).decode().replace("\r", "") if ready else ""
        return ""

    def end(self) -> None:
        """Stop it."""
        self._child.terminate()
        self._child.wait(PATIENCE)
        os.close(self._side)


def record() -> Recording:
    """Run, publish and edit as `ACTS` says."""
    recording = Recording(files=[(0.0, FLOW)])
    with tempfile.TemporaryDirectory() as name, BrokerThread() as broker:
        file = Path(name) / "flows" / "warm.yaml"
        file.parent.mkdir()
        file.write_text(FLOW, encoding="utf-8")
        run = Run(Path(name), broker.url.replace("127.0.0.1", "localhost"))
        try:
            recording.add_output(0.0, run.read_until("connected"))
            for act in ACTS:
                if act.flow:
                    file.write_text(act.flow, encoding="utf-8")
                    recording.files.append((act.at, act.flow))
                else:
                    broker.publish(act.topic, act.payload.encode())
                recording.add_output(act.at, run.read_until(act.until))
        finally:
            run.end()
    return recording


def draw(recording: Recording) -> str:
    """The recording as an SVG that moves by itself, also as a picture on a page."""
    left, right = FILE_COLUMNS * WIDTH + 24, COLUMNS * WIDTH + 24
    file_rows = max(text.count("\n") for _, text in recording.files)
    height = (file_rows + ROWS) * LEADING + 100
    width = max(left, right) + 24
    below = file_rows * LEADING + 62
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" {_FONT}>',
        f"<title>{_TITLE}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{_hex(_THEME.background_color)}"/>',
        *_caption("flows/warm.yaml", 24.0),
        *_files(recording),
        *_caption("$ flowrunner run flows/", below - 6),
        f'<clipPath id="window"><rect y="{below + 7:.0f}" width="100%" height="{ROWS * LEADING + 8}"/></clipPath>',
        f'<g clip-path="url(#window)"><g transform="translate(0 {-_scrolled(len(recording.lines))})">',
        *_scroll(recording),
        *(_line(at, text, below + 20 + number * LEADING) for number, (at, text) in enumerate(recording.lines)),
        "</g></g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _caption(text: str, y: float) -> Iterator[str]:
    yield f'<text x="24" y="{y:.0f}" fill="#8b93a1">{escape(text)}</text>'


def _files(recording: Recording) -> Iterator[str]:
    """Each version of the file while it is the one; what differs from the one before stands on a bar."""
    ends = [at for at, _ in recording.files[1:]] + [END]
    before = recording.files[0][1].splitlines()
    bar = f'width="{FILE_COLUMNS * WIDTH:.0f}" height="{LEADING}" fill="#2d3f5f"'
    for (begin, text), end in zip(recording.files, ends, strict=True):
        lines = text.splitlines()
        yield f'<g visibility="{"visible" if end == END else "hidden"}">{_shown_from(begin, end)}'
        for number, line in enumerate(lines):
            y = 50 + number * LEADING
            if line not in before:
                yield f'<rect x="18" y="{y - 13}" {bar}/>'
            yield f'<text x="24" y="{y}" fill="#d6dae0" xml:space="preserve">{escape(line)}</text>'
        yield "</g>"
        before = lines


def _line(at: float, text: Text, y: float) -> str:
    return f'<text x="24" y="{y:.0f}" xml:space="preserve">{_shown_from(at, END)}{_spans(text)}</text>'


def _spans(text: Text) -> str:
    """The parts of a line, each in its colour."""
    edges = sorted({0, len(text), *(edge for span in text.spans for edge in (span.start, span.end))})
    found = []
    for start, end in pairwise(edges):
        over = [span.style for span in text.spans if span.start <= start and span.end >= end]
        style = Style.combine([Style.null(), *(Style.parse(str(one)) for one in over)])
        color = style.color.get_truecolor(_THEME) if style.color else _THEME.foreground_color
        looks = ' font-weight="bold"' if style.bold else ""
        looks += ' opacity="0.65"' if style.dim else ""
        found.append(f'<tspan fill="{_hex(color)}"{looks}>{escape(text.plain[start:end])}</tspan>')
    return "".join(found)


def _hex(color: tuple[int, ...]) -> str:
    return "#" + "".join(f"{part:02x}" for part in color)


def _shown_from(begin: float, end: float) -> str:
    """Makes what it stands in visible for a part of each round."""
    if begin == 0 and end == END:
        return ""
    times = [0.0, begin / END, end / END] if begin else [0.0, end / END]
    values = ["hidden", "visible", "hidden"] if begin else ["visible", "hidden"]
    if end == END:
        times, values = times[:-1], values[:-1]
    shown = ";".join(f"{moment:.4f}" for moment in times)
    return (
        f'<animate attributeName="visibility" values="{";".join(values)}" keyTimes="{shown}" dur="{END:g}s"'
        ' calcMode="discrete" repeatCount="indefinite"/>'
    )


def _scrolled(lines: int) -> int:
    """How far so many lines have moved up."""
    return max(0, lines - ROWS) * LEADING


def _scroll(recording: Recording) -> Iterator[str]:
    moments = [(0.0, 0)]
    for number, (at, _) in enumerate(recording.lines, 1):
        if _scrolled(number) > moments[-1][1]:
            moments.append((at, _scrolled(number)))
    times = ";".join(f"{at / END:.4f}" for at, _ in moments)
    places = ";".join(f"0 {-up}" for _, up in moments)
    yield (
        f'<animateTransform attributeName="transform" type="translate" values="{places}" keyTimes="{times}"'
        f' dur="{END:g}s" calcMode="discrete" repeatCount="indefinite"/>'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(record()), encoding="utf-8")
