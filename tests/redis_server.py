"""Runs a real Redis as a child of a test, on a socket file and, where a test wants it, on a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from flowrunner.remote.address import StateSettings
from tests.mosquitto import PATIENCE, held_port


def require_redis() -> None:
    """Skip the test where redis-server is not installed; fail it where it must be."""
    if shutil.which("redis-server"):
        return
    if os.environ.get("FLOWRUNNER_REQUIRE_REDIS") == "1":
        pytest.fail("redis-server is not installed, and FLOWRUNNER_REQUIRE_REDIS=1 wants it")
    pytest.skip("redis-server is not installed")


class RedisServer:
    """A Redis that can be started, stopped and started again on the same port; it keeps what it holds if `is_kept`."""

    def __init__(self, folder: Path, *options: str, is_kept: bool = False) -> None:
        self.folder = folder
        self.port = held_port(self)
        self.is_kept = is_kept
        self.options = options
        self._sockets = tempfile.TemporaryDirectory(prefix="fr-")  # the path of a socket has 108 bytes at most
        self.path = Path(self._sockets.name) / "redis.sock"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._sockets.cleanup()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def settings(self) -> StateSettings:
        """Its address, for a runner."""
        return StateSettings("redis", "127.0.0.1", self.port)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self.is_kept else ["--appendonly", "no"]
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.path)]
        command = ["redis-server", *place, "--save", "", *kept, "--dir", str(self.folder), *self.options]
        with (self.folder / "redis.log").open("ab") as log:
            self._child = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise AssertionError((self.folder / "redis.log").read_text())
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.005)
        raise AssertionError("Redis does not answer")

    def kill(self) -> None:
        """Let it die without a word."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait(PATIENCE)

    def client(self, **rest: Any) -> Any:
        """A client of it."""
        import redis

        return redis.Redis(unix_socket_path=str(self.path), **rest)

    def calls(self, command: str) -> int:
        """How often it was given a command."""
        with self.client() as client:
            return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that lets everybody in and is empty."""
    require_redis()
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def common_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that many tests share, each under a name of its own."""
    require_redis()
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
