"""Turns what a command has to say into text that fits the terminal, file or pipe it goes to."""

import io
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from flowrunner.errors import ConnectionFailed

ERRORS, USAGE, UNREACHABLE, FAILED_INSIDE, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 70, 130, 141
"""Exit codes beside 0; `sub -W` adds 27, as mosquitto_sub does."""

_RED, _CYAN, _BOLD = "1;31", "1;36", "1"


def wants_color(stream: IO[str]) -> bool:
    """Whether to write colours to `stream`: `NO_COLOR` says no, `FORCE_COLOR` says yes, else only on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, style: str, *, color: bool) -> str:
    """The text in an ANSI style such as `1;31`, or as it is where `color` is false."""
    return f"\x1b[{style}m{text}\x1b[0m" if color and text else text


def width(stream: IO[str], most: int) -> int:
    """How many cells a line of prose on `stream` may take: at most so many, and no more than a terminal has."""
    if not stream.isatty():
        return most
    return max(min(shutil.get_terminal_size((most, 24)).columns, most), 30)


def say(text: str) -> None:
    """Write a line to standard error: news about the command itself, never its output."""
    print(text, file=sys.stderr, flush=True)


def complain(message: str, helps: Iterable[str] = ()) -> None:
    """Write a mistake that has no place in a file to standard error, in the words of a frame."""
    color = wants_color(sys.stderr)
    lines = [paint("error", _RED, color=color) + paint(f": {message}", _BOLD, color=color)]
    lines += [f"{paint('help', _CYAN, color=color)}: {text}" for text in helps if text]
    say("\n".join(lines))


def prepare_streams() -> None:
    """Let the standard streams escape what their encoding cannot hold, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def polite_end() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what is open gets closed; the exit code says which it was."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def quiet_failure(*, is_quiet: bool) -> Iterator[None]:
    """Where it is wanted, say nothing about a connection that fails; the exit code tells."""
    try:
        yield
    except ConnectionFailed:
        if is_quiet:
            raise SystemExit(UNREACHABLE) from None
        raise
