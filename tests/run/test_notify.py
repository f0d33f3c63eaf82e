"""What systemd is told, through a real datagram socket; and `run` as the first process of a container."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowrunner.run.first_process import stay_behind_if_first
from flowrunner.run.notify import STATUS_EVERY, Notify
from tests.mosquitto import Mosquitto
from tests.run.fakes import until

FLOW = "subscribe: in/#\nsteps:\n  - publish: out\n"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening


def environment(listening: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listening.getsockname(), **more}


async def test_ready_beats_and_the_end(systemd: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    count = 0

    def status() -> str:
        nonlocal count
        count += 1
        return f"turn {count}"

    notify = Notify(loop, environment(systemd, WATCHDOG_USEC="20000", WATCHDOG_PID=str(os.getpid())))
    notify.begin(status)
    await until(lambda: count >= 3)
    notify.end()
    said = [systemd.recv(1000).decode() for _ in range(5)]
    assert said[0] == f"READY=1\nMAINPID={os.getpid()}"
    assert said[1:4] == [f"WATCHDOG=1\nSTATUS=turn {number}" for number in (1, 2, 3)]
    assert said[4].startswith("STOPPING=1\n")


@pytest.mark.parametrize(
    "given", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}]
)
async def test_without_a_watchdog_the_status_comes_now_and_then(systemd: socket.socket, given: dict[str, str]) -> None:
    notify = Notify(asyncio.get_running_loop(), environment(systemd, **given))
    assert notify._every == STATUS_EVERY


async def test_an_abstract_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{tmp_path}")
        listening.settimeout(20)
        notify = Notify(asyncio.get_running_loop(), {"NOTIFY_SOCKET": f"@{tmp_path}"})
        notify.begin(str)
        notify.end()
        assert listening.recv(1000).startswith(b"READY=1")


async def test_nobody_and_somebody_who_is_gone(tmp_path: Path) -> None:
    for given in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nothing")}):
        notify = Notify(asyncio.get_running_loop(), given)
        notify.begin(str)
        notify.end()


@pytest.mark.broker
def test_run_says_ready_behind_the_subscriptions(mosquitto: Mosquitto, systemd: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "copy.yaml").write_text(FLOW)
    words = [sys.executable, "-m", "flowrunner", "run", "flows", "--broker", f"127.0.0.1:{mosquitto.port}"]
    child = subprocess.Popen(words, cwd=tmp_path, env=os.environ | environment(systemd), stdout=subprocess.DEVNULL)
    try:
        assert systemd.recv(1000) == f"READY=1\nMAINPID={child.pid}".encode()
        assert "Sending SUBACK" in mosquitto.log
        assert systemd.recv(1000) == b"WATCHDOG=1\nSTATUS=1 flow, connected, 0 messages so far"
        child.send_signal(signal.SIGTERM)
        assert systemd.recv(1000).startswith(b"STOPPING=1")
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait(20)


def can_unshare() -> bool:
    """Whether a process may have a name space of its own for processes here, as in a container."""
    if shutil.which("unshare") is None:
        return False
    words = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(words, check=False, capture_output=True, timeout=20).returncode == 0


@pytest.mark.broker
@pytest.mark.skipif(not can_unshare(), reason="name spaces are not allowed here")
def test_as_the_first_process_it_ends_when_asked_and_leaves_no_zombies(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Nobody else buries children there: those that `exec` leaves behind become ours."""
    (tmp_path / "flows").mkdir()
    orphan = "(sleep 0.05 &) ; echo x"
    steps = f"  - exec: [sh, -c, {orphan!r}]\n  - publish: zombies\n"
    (tmp_path / "flows" / "copy.yaml").write_text(f"subscribe: in\nsteps:\n{steps}")
    words = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-m",
        "flowrunner",
        "run",
        "flows",
    ]
    words += ["--broker", f"127.0.0.1:{mosquitto.port}", "--allow", "exec"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(words, cwd=tmp_path, stdout=out, stderr=out)
    try:
        wait(lambda: "Sending SUBACK" in mosquitto.log, log)
        for _ in range(5):
            subprocess.run(["mosquitto_pub", "-p", str(mosquitto.port), "-t", "in", "-m", "x"], check=True, timeout=20)
        wait(lambda: log.read_text().count("→ zombies") >= 5, log)
        inside = first_inside(child.pid)
        wait(lambda: zombies_of(inside) == 0, log)
        os.kill(inside, signal.SIGTERM)
        assert child.wait(20) == 0
        assert "stopped after 5 messages" in log.read_text()
    finally:
        child.kill()
        child.wait(20)


def first_inside(outer: int) -> int:
    children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(children[0])


def zombies_of(process: int) -> int:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return sum(") Z " in Path(f"/proc/{child}/stat").read_text() for child in children)


def wait(condition: object, log: Path) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_exit_codes_and_signals_go_through_the_first_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        "from flowrunner.run.first_process import stay_behind_if_first\n"
        "stay_behind_if_first(1)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\n"
        "time.sleep(20)\n"
    )
    for number, code in ((signal.SIGTERM, 7), (signal.SIGUSR1, 128 + signal.SIGUSR1)):
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(number)
        assert child.wait(20) == code
        child.stdout.close()


def test_anywhere_else_nothing_happens() -> None:
    before = os.getpid()
    stay_behind_if_first()
    assert os.getpid() == before
