"""Turns what happens while flows run into lines for people, or into JSON for other programs."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, Literal

from flowrunner.diagnostics import Diagnostic, as_json
from flowrunner.frame import draw, visible, width_of
from flowrunner.records import dataclass
from flowrunner.run.preview import preview

Format = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class News:
    """What a report told, for those who listen besides: an event with its text, or a mistake with its place."""

    event: str
    level: str
    flow: str
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    diagnostic: Diagnostic | None = None


_STYLES = {
    "time": "2",
    "flow": "1;36",
    "in": "32",
    "out": "35",
    "good": "1;32",
    "warning": "1;33",
    "error": "1;31",
    "dim": "2",
    "bold": "1",
}
_NEWS = {"connected": "good", "state-connected": "good", "state-back": "good", "started": "bold"}
_WIDEST_PIPE = 240


class Report:
    """What a person or a log collector reads. Text is for the former; `fields` are for the latter.

    `listeners` hear of news and mistakes besides, but not of messages.
    """

    def __init__(self, write: Callable[[str], object], *, format: Format = "text", color: bool = False) -> None:
        self._write = write
        self._is_json = format == "json"
        self._color = color
        self._names = 0
        self.listeners: list[Callable[[News], object]] = []

    def say(self, event: str, text: str, *, level: str = "info", flow: str = "", **fields: Any) -> None:
        """A line of news. `event` is kebab-case and never changes; the text may."""
        self._tell(News(event, level, flow, text, fields))
        if self._is_json:
            self._object(event, level, flow, message=text, **fields)
            return
        mark = self.paint(f"{level}: ", level) if level in ("warning", "error") else ""
        self._write(f"{mark}{self.paint(visible(text), _NEWS.get(event, 'info'))}\n")

    def show(self, lines: str) -> None:
        """Lines for people only, as they are."""
        if not self._is_json:
            self._write(lines)

    def frame(self, diagnostic: Diagnostic, *, event: str = "mistake", flow: str = "", **fields: Any) -> None:
        """A mistake with its place in the file."""
        self._tell(News(event, diagnostic.severity, flow, diagnostic.message, diagnostic=diagnostic))
        if self._is_json:
            self._object(event, diagnostic.severity, flow, **as_json(diagnostic), **fields)
        else:
            self._write(draw(diagnostic, color=self._color))

    def logged(self, flow: str, level: str, text: str, **fields: Any) -> None:
        """What a `log` step has to say."""
        if self._is_json:
            self._object("log", level, flow, message=text, **fields)
        else:
            self._line(flow, self.paint("·", "dim"), self._leveled(text, level))

    def message(self, flow: str, topic: str, payload: Any, *, is_out: bool, **fields: Any) -> None:
        """A message on its way into a flow or out of it."""
        if self._is_json:
            self._object(
                "published" if is_out else "received", "debug", flow, topic=topic, payload=preview(payload), **fields
            )
            return
        style, arrow = ("out", "→") if is_out else ("in", "←")
        topic = visible(topic)
        room = self._room() - width_of(topic)
        self._line(
            flow, self.paint(arrow, style), f"{self.paint(topic, style)}  {preview(payload, most=max(room, 16))}"
        )

    def more(self, text: str, *, count: int) -> None:
        """What was not shown, in a number, which stands in the text for `{count}`."""
        text = text.replace("{count}", f"{count:,}".replace(",", " "))
        if self._is_json:
            self._object("left-out", "debug", "", message=text)
        else:
            self._write(self.paint(f"         ... {text}", "dim") + "\n")

    def _tell(self, news: News) -> None:
        for listener in self.listeners:
            listener(news)

    def align(self, names: list[str]) -> None:
        """Line up what follows behind the longest of these names of flows."""
        self._names = min(max(map(len, names), default=0), 24)

    def paint(self, text: str, style: str) -> str:
        """The text in colour, where that is wanted."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._color and style != "info" else text

    def _leveled(self, text: str, level: str) -> str:
        shown = visible(text.rstrip("\n"))
        return f"{self.paint(level, level)}: {shown}" if level in ("warning", "error") else shown

    def _line(self, flow: str, mark: str, text: str) -> None:
        at = self.paint(time.strftime("%H:%M:%S"), "time")
        self._write(f"{at} {self.paint(flow.ljust(self._names), 'flow')} {mark} {text}\n")

    def _room(self) -> int:
        """Cells of a line behind time, flow and arrow, less those between topic and payload."""
        width = shutil.get_terminal_size((_WIDEST_PIPE, 24)).columns
        return width - (8 + 1 + self._names + 1 + 1 + 1 + 2 + 1)

    def _object(self, event: str, level: str, flow: str, **fields: Any) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"time": at, "level": level, "event": event} | ({"flow": flow} if flow else {})
        self._write(json.dumps(head | fields, ensure_ascii=False, default=str) + "\n")
