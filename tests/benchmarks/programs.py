"""Starts the programs that are measured, and reads from /proc what they take."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = ("flowrunner", "paho by hand")

_TICKS = os.sysconf("SC_CLK_TCK")


def flows_for(qos: int) -> Path:
    """The folder with the flow of this quality of service."""
    return HERE / ("flows-qos1" if qos else "flows")


BARE = ("--no-reload", "--no-web")
"""What the programs beside it have not, either."""


def command(name: str, port: int, flows: Path, options: Sequence[str] = BARE) -> list[str]:
    """How a program is started."""
    if name == "paho by hand":
        return [sys.executable, str(HERE / "by_hand.py")]
    url = f"mqtt://127.0.0.1:{port}"
    return [sys.executable, "-m", "flowrunner", "run", str(flows), "--broker", url, *options]


def pinned(core: int) -> list[str]:
    """Run on this core, where there are two: what measures and what is measured shall not take turns on one."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


@contextmanager
def started(name: str, port: int, qos: int, flows: Path | None = None, options: Sequence[str] = BARE) -> Iterator[int]:
    """Run a program; gives its process identifier."""
    # PYTHONDONTWRITEBYTECODE would make every start compile what was edited
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PORT": str(port), "QOS": str(qos), "PYTHONPATH": str(HERE.parents[1])}
    arguments = [*pinned(1), *command(name, port, flows or flows_for(qos), options)]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def cpu_seconds(process: int) -> float:
    """Seconds of processor time so far, the system's for it included."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(process: int) -> float:
    """Memory in RAM."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
