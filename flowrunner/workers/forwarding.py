"""Turns what a worker has to report into messages to its supervisor, which shows it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.run.preview import preview
from flowrunner.run.report import Report
from flowrunner.workers.orders import Said

#: Seconds for which lines are gathered, and bytes that the supervisor may be behind before lines are left out.
PAUSE = 0.02
MOST_BEHIND = 4_000_000

#: Bytes of a payload of which no line shows more than the beginning.
_SHOWN_WHOLE = 1_600

_log = logging.getLogger("flowrunner.workers")


class Forwarding(Report):
    """A report of which another process shows the lines; `tell` takes them to it, `behind` says how far that is."""

    def __init__(self, tell: Callable[[object], object], behind: Callable[[], int]) -> None:
        super().__init__(lambda _: None)
        self._tell_supervisor = tell
        self._behind = behind
        self._lines: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def say(self, event: str, text: str, *, level: str = "info", flow: str = "", **fields: Any) -> None:
        """See `Report`."""
        self._put("say", event, text, level=level, flow=flow, **fields)

    def show(self, lines: str) -> None:
        """See `Report`."""
        self._put("show", lines)

    def frame(self, diagnostic: Diagnostic, *, event: str = "mistake", flow: str = "", **fields: Any) -> None:
        """See `Report`."""
        self._put("frame", diagnostic, event=event, flow=flow, **fields)

    def logged(self, flow: str, level: str, text: str, **fields: Any) -> None:
        """See `Report`."""
        self._put("logged", flow, level, text, **fields)

    def message(self, flow: str, topic: str, payload: Any, *, is_out: bool, **fields: Any) -> None:
        """See `Report`."""
        shown = payload if isinstance(payload, bytes) and len(payload) <= _SHOWN_WHOLE else preview(payload)
        self._put("message", flow, topic, shown, is_out=is_out, **fields)

    def more(self, text: str, *, count: int) -> None:
        """See `Report`."""
        self._put("more", text, count=count)

    def flush(self) -> None:
        """Tell what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._left_out and self._behind() <= MOST_BEHIND:
            self._lines.append(("more", ("and {count} more lines that nobody read",), {"count": self._left_out}))
            self._left_out = 0
        if self._lines:
            lines, self._lines = self._lines, []
            try:
                self._tell_supervisor(Said(tuple(lines)))
            except Exception:  # noqa: BLE001 - a line, and nothing more
                _log.exception("lines could not be shown")

    def _put(self, method: str, *given: Any, **named: Any) -> None:
        if self._behind() > MOST_BEHIND:
            self._left_out += 1
            return
        self._lines.append((method, given, named))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self.flush)
