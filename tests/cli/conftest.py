"""Turns command lines, and brokers of several kinds, into fixtures."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flowrunner.cli import main
from tests.cli.command_line import Result, Run, end_all
from tests.mosquitto import OPEN, Mosquitto, mosquitto, require_mosquitto

__all__ = ["mosquitto"]

StartMosquitto = Callable[..., Mosquitto]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWRUNNER_BROKER", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(autouse=True)
def _no_process_stays() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """A function that runs one command line in this process."""

    def run_here(*arguments: object) -> Result:
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        raw, errors = capfdbinary.readouterr()
        return Result(code, raw, errors.decode())

    return run_here


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the commands work."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartMosquitto]:
    """A function that starts a mosquitto with a configuration."""
    require_mosquitto()
    with ExitStack() as stack:
        yield lambda config=OPEN: stack.enter_context(Mosquitto(tmp_path_factory.mktemp("mosquitto"), config))
