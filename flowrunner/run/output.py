"""Writes lines to a terminal or pipe from a thread of its own, so that a stopped reader never stops the flows."""

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import TextIO

#: Pieces of text that may wait for a slow reader; what comes on top is left out and counted.
MOST_WAITING = 2_000

#: Seconds for the last lines at the end.
LAST_LINES = 1.0


class Output:
    """A bounded queue of text in front of a stream. `write` never blocks and never raises."""

    def __init__(self, stream: TextIO, *, closed: Callable[[], object] = lambda: None) -> None:
        self._stream = stream
        self._closed = closed
        self._waiting: deque[str] = deque()
        self._left_out = 0
        self._is_ending = False
        self._has_news = Condition()
        self._thread: Thread | None = None

    def write(self, text: str) -> None:
        """Queue text that ends with a line end."""
        with self._has_news:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="flowrunner-output", daemon=True)
                self._thread.start()
            if len(self._waiting) >= MOST_WAITING:
                self._left_out += 1
                return
            self._waiting.append(text)
            self._has_news.notify()

    def close(self) -> None:
        """Write what waits, for a second at most."""
        with self._has_news:
            self._is_ending = True
            self._has_news.notify()
        if self._thread is not None:
            self._thread.join(LAST_LINES)

    def _run(self) -> None:
        while (text := self._take()) is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads on, or the stream is closed
                self._closed()
                return

    def _take(self) -> str | None:
        with self._has_news:
            while not self._waiting and not self._is_ending:
                self._has_news.wait()
            if not self._waiting:
                return None
            text = "".join(self._waiting)
            self._waiting.clear()
            left_out, self._left_out = self._left_out, 0
        return text + (f"... {left_out:,} lines were left out: nobody read them\n" if left_out else "")
