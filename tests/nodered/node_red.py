"""Runs a real Node-RED from npm, headless, with flows of a test; it is installed once, into a folder that stays."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mosquitto import free_port

VERSION = "4.1.8"
INSTALLING, STARTING = 600.0, 90.0
_SETTINGS = """\
module.exports = {
  uiHost: "127.0.0.1", uiPort: %d, flowFile: "flows.json", httpAdminRoot: false, httpNodeRoot: false,
  telemetry: {enabled: false, updateNotification: false}, externalModules: {palette: {allowInstall: false}},
  logging: {console: {level: "info"}}
}
"""


def shelf() -> Path:
    """Where it stays installed."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "flowrunner-tests" / f"node-red-{VERSION}"


def require(program: str) -> str:
    """The path of a program; where it is missing, a failure if everything must be there, else a skip."""
    if found := shutil.which(program):
        return found
    if os.environ.get("FLOWRUNNER_REQUIRE_MOSQUITTO") == "1":
        pytest.fail(f"{program} is not installed")
    pytest.skip(f"{program} is not installed")


def installed() -> Path:
    """Install it where it is not there yet, and return its program."""
    folder, npm = shelf(), require("npm")
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--prefix",
            folder,
            f"node-red@{VERSION}",
        ]
        subprocess.run(command, check=True, timeout=INSTALLING, capture_output=True)
        (folder / "complete").touch()
    return folder / "node_modules" / "node-red" / "red.js"


@contextmanager
def node_red(folder: Path, flows: list[dict[str, Any]]) -> Iterator[Path]:
    """Run it with these flows in a folder of its own, until the block ends; gives the file with what it says."""
    program = installed()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flows.json").write_text(json.dumps(flows), encoding="utf-8")
    (folder / "settings.js").write_text(_SETTINGS % free_port(), encoding="utf-8")
    log = folder / "log"
    with log.open("wb") as out:
        command: list[str | Path] = [
            require("node"),
            program,
            "--userDir",
            folder,
            "--settings",
            folder / "settings.js",
        ]
        child = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
    try:
        deadline = time.monotonic() + STARTING
        while "Started flows" not in log.read_text():
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield log
    finally:
        child.kill()
        child.wait(10)
