"""Programs run only where whoever starts flowrunner allows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.compile import compile_flow
from flowrunner.read.load import load
from tests.mosquitto import Mosquitto
from tests.run.fakes import Hand, running, until

SHOUT = "subscribe: in\nsteps:\n  - exec: [tr, a-z, A-Z]\n  - publish: out\n"


def flowrunner(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "NO_COLOR": "1"}
    environment.pop("FLOWRUNNER_BROKER", None)
    command = [sys.executable, "-m", "flowrunner", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shout.yaml").write_text(SHOUT)
    return tmp_path


def test_run_refuses_a_flow_that_runs_programs(folder: Path) -> None:
    done = flowrunner("run", str(folder))
    assert done.returncode == 1
    assert "error[not-allowed]" in done.stdout + done.stderr
    assert "--allow exec" in done.stdout + done.stderr


def test_check_warns_and_is_content(folder: Path) -> None:
    done = flowrunner("check", str(folder))
    assert done.returncode == 0
    assert "warning[not-allowed]" in done.stdout


def test_who_loads_flows_and_says_nothing_does_not_allow_it(folder: Path) -> None:
    assert load([folder], environment={}).flows == ()
    assert [flow.name for flow in load([folder], environment={}, allow=frozenset({"exec"})).flows] == ["shout"]


@pytest.mark.broker
async def test_what_is_allowed_runs(mosquitto: Mosquitto, folder: Path) -> None:
    programs = [compile_flow(flow) for flow in load([folder], environment={}, allow=frozenset({"exec"})).flows]
    settings = mosquitto.settings()
    async with running(settings, *programs), Hand(settings, "out") as hand:  # type: ignore[arg-type]
        await hand.publish("in", b"hello")
        await until(lambda: hand.payloads == [b"HELLO"])
