"""Turns command lines into what they print and return, in this process or in one of their own."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

PATIENCE = 20.0
"""Seconds after which something that should happen never will."""


@dataclass(frozen=True)
class Result:
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


Run = Callable[..., Result]


def start(*arguments: object, program: str = "") -> "subprocess.Popen[bytes]":
    """The command, or a Python program that calls it, in a process of its own."""
    pipe = subprocess.PIPE
    command = [sys.executable, *(["-c", program] if program else ["-m", "flowrunner"]), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    _started.append(process)
    return process


_started: "list[subprocess.Popen[bytes]]" = []


def end_all() -> None:
    """Leave no process behind, whatever a test failed on."""
    while _started:
        with _started.pop() as process:
            process.kill()


def finish(process: "subprocess.Popen[bytes]", given: bytes = b"") -> Result:
    """Give a process its input and wait for its end."""
    raw, errors = process.communicate(given, timeout=PATIENCE)
    return Result(process.returncode, raw, errors.decode())


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain for {what}")
        time.sleep(0.01)
