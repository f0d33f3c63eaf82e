"""A runner in a process of its own, and a chromium that looks at its page."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def require_chromium() -> str:
    """Where chromium is. Skips the test where there is none, and fails where there must be one."""
    is_there = CHROMIUM is not None and _has_playwright()
    if not is_there and os.environ.get("FLOWRUNNER_REQUIRE_CHROMIUM") == "1":
        pytest.fail("chromium and playwright are needed: apt-get install chromium, pip install '.[browser]'")
    if not is_there or CHROMIUM is None:
        pytest.skip("there is no chromium, or no playwright")
    return CHROMIUM


def _has_playwright() -> bool:
    try:
        import playwright  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass
class Runner:
    """`flowrunner run` on a folder of flows."""

    folder: Path
    url: str
    process: "subprocess.Popen[str]"

    @property
    def plain_url(self) -> str:
        """The address without the token."""
        return self.url.partition("?")[0]

    @property
    def workers(self) -> list[int]:
        """The processes that do the work for it, in the order of their numbers when none was started again."""
        if "--workers" not in self.process.args:  # type: ignore[operator]
            return []
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        return sorted(map(int, found.stdout.split()))

    def save(self, name: str, text: str) -> None:
        """Write a flow as an editor does."""
        (self.folder / name).write_text(plain(text))


def plain(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


@contextmanager
def runner(folder: Path, files: Mapping[str, str], broker: str, *more: str, awaited: str = "page") -> Iterator[Runner]:
    """Start a runner, and wait for a line of its log."""
    flows = folder / "flows"
    flows.mkdir()
    for name, text in files.items():
        (flows / name).write_text(plain(text))
    words = ["run", "flows", "--broker", broker, "--web", "127.0.0.1:0", "--log-format", "json", *more]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flowrunner", *words], stdout=log, stderr=log, text=True, cwd=folder, env=environment
        )
    try:
        yield Runner(flows, _find_url(folder / "log", process, awaited), process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _find_url(log: Path, process: "subprocess.Popen[str]", awaited: str) -> str:
    found: list[str] = []

    def look() -> bool:
        assert process.poll() is None, log.read_text()
        lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        found.extend(str(line.get("url", "")) for line in lines if line["event"] == awaited)
        return bool(found)

    wait_for(look, f"`{awaited}`")
    return found[0]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
