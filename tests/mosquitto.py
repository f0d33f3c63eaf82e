"""Runs a real mosquitto as a child of a test, on a free port."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import Self
from weakref import finalize

import pytest

from flowrunner.connections import ConnectionSettings

PATIENCE = 10.0
OPEN = "allow_anonymous true\n"


def require_mosquitto() -> None:
    """Skip the test where mosquitto is not installed; fail it where it must be."""
    if shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists():
        return
    if os.environ.get("FLOWRUNNER_REQUIRE_MOSQUITTO") == "1":
        pytest.fail("mosquitto is not installed, and FLOWRUNNER_REQUIRE_MOSQUITTO=1 wants it")
    pytest.skip("mosquitto is not installed")


def free_port() -> int:
    """A port on the loopback interface that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def held_port(owner: object) -> int:
    """A port on the loopback interface that a server may listen on, and nobody else gets while its owner is there."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    finalize(owner, holder.close)
    port: int = holder.getsockname()[1]
    return port


class Mosquitto:
    """A mosquitto that can be started, stopped and started again on the same port, which nobody else gets meanwhile."""

    def __init__(self, folder: Path, config: str = OPEN, *, is_talkative: bool = True) -> None:
        self.folder = folder
        self.port = held_port(self)
        self._config = config
        self._talks = ["-v"] if is_talkative else []
        self._child: subprocess.Popen[bytes] | None = None
        self._has_listened = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # `stop` takes a tenth of a second

    @property
    def log(self) -> str:
        """What it has said so far."""
        path = self.folder / "mosquitto.log"
        return path.read_text() if path.exists() else ""

    def settings(self, **changes: object) -> ConnectionSettings:
        """Settings of a connection to it."""
        return ConnectionSettings(**{"host": "127.0.0.1", "port": self.port, **changes})  # type: ignore[arg-type]

    def start(self) -> None:
        """Start it and wait until it listens; on another port if somebody has taken this one before it ever did."""
        deadline = time.monotonic() + PATIENCE
        while not self._try_to_start(deadline):
            if not self._has_listened:
                self.port = held_port(self)

    def _try_to_start(self, deadline: float) -> bool:
        """Start it and wait until it listens; false if somebody else does there."""
        before = len(self.log)
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "mosquitto.conf"
        config.write_text(f"user {getuser()}\nlistener {self.port} 127.0.0.1\n{self._config}")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._child = subprocess.Popen(
                [program, *self._talks, "-c", str(config)], stdout=log, stderr=log, cwd=self.folder
            )
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                if "Address already in use" in self.log[before:]:
                    return False
                raise AssertionError(f"mosquitto did not start:\n{self.log}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                pass
            else:
                if " running" in self.log[before:]:  # it was not somebody else who answered
                    self._has_listened = True
                    return True
            time.sleep(0.005)
        raise AssertionError(f"mosquitto does not listen:\n{self.log}")

    def stop(self) -> None:
        """Ask it to end, as its service does."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Let it die without a word."""
        self._end(subprocess.Popen.kill)

    def _end(self, how: object) -> None:
        child, self._child = self._child, None
        if child is not None:
            how(child)  # type: ignore[operator]
            child.wait(PATIENCE)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto that lets everybody in."""
    require_mosquitto()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker
