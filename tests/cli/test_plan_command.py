"""What `flowrunner plan` says of edits."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from flowrunner.compile.outline import outline
from flowrunner.read.load import load
from flowrunner.run.running import Running, shown_paths, write_running
from tests.cli.command_line import Run

HEAT = """
subscribe: sensors/+room/climate
steps:
  - json
  - debounce: {for: 2s, by: room}
  - window: {every: 1m, by: room}
  - publish: alerts/${room}
"""
LIGHT = "subscribe: {topic: light, connection: cloud}\nsteps: [json]\n"
SETTINGS = "connections: {cloud: mqtt://cloud.example.org}\n"


@pytest.fixture
def flows(folder: Path) -> Path:
    found = folder / "flows"
    found.mkdir()
    write(found, heat=HEAT, light=LIGHT, flowrunner=SETTINGS)
    return found


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def start(folder: Path = Path("flows"), *, since: float | None = None, ended: float | None = None) -> None:
    """Note that what is in the folder runs, as a runner does."""
    loaded = load([folder])
    assert not loaded.diagnostics
    found = tuple(outline(flow) for flow in loaded.flows if flow.is_enabled)
    since = time.time() if since is None else since
    write_running(folder, Running(os.getpid(), since, str(Path.cwd()), shown_paths([folder]), found, {}, ended))


def planned(run: Run, *arguments: object) -> list[str]:
    """The lines behind the first, which says what is compared."""
    result = run("plan", *arguments)
    assert result.code == 0
    return result.out.splitlines()[1:]


def test_without_a_runner_everything_is_new(run: Run, flows: Path) -> None:
    assert run("plan").out.splitlines() == [
        "no runner has noted anything here: all of it would be new",
        "  + heat   flows/heat.yaml",
        "      + sensors/+/climate",
        "  + light  flows/light.yaml",
        "      + light on cloud",
        "2 added, 0 kept; subscriptions +2 -0",
    ]


def test_what_runs_is_kept(run: Run, flows: Path) -> None:
    start()
    assert planned(run) == ["nothing would change: 2 kept"]
    write(flows, heat=f"# a comment\n{HEAT}")
    assert planned(run) == ["nothing would change: 2 kept"]


def test_edit_is_told_with_subscriptions_and_state(run: Run, flows: Path) -> None:
    start()
    edited = HEAT.replace("sensors/+room/climate", "sensors/+room/weather").replace("1m, by: room", "1m, by: topic")
    write(flows, heat=edited.replace("2s", "3s"))
    assert planned(run) == [
        "  ~ heat  flows/heat.yaml",
        "      - sensors/+/climate",
        "      + sensors/+/weather",
        "      state kept: debounce 1",
        "      state reset: window 1 (`by` changed)",
        "1 changed, 1 kept; subscriptions +1 -1",
    ]


def test_flows_come_and_go(run: Run, flows: Path) -> None:
    start()
    (flows / "heat.yaml").rename(flows / "warmth.yaml")
    write(flows, light=f"enabled: false\n{LIGHT}")
    assert planned(run) == [
        "  - heat    flows/heat.yaml",
        "      - sensors/+/climate",
        "  - light   flows/light.yaml",
        "      - light on cloud",
        "  + warmth  flows/warmth.yaml",
        "      + sensors/+/climate",
        "1 added, 2 removed, 0 kept; subscriptions +0 -1",
    ]


def test_flow_with_mistakes_stays_as_it_is(run: Run, flows: Path) -> None:
    start()
    write(flows, heat=HEAT.replace("json", "jsn"))
    result = run("plan")
    assert result.code == 0
    assert "error[unknown-step]: there is no step `jsn`" in result.err
    assert result.out.splitlines()[1:] == [
        "  ! heat  flows/heat.yaml",
        "      has mistakes, and stays as it is",
        "nothing would change: 2 kept",
    ]


def test_new_flow_with_mistakes_would_not_run(run: Run, flows: Path) -> None:
    start()
    write(flows, new="subscribe: a/#/b\nsteps: []\n")
    result = run("plan")
    assert "error[bad-topic-filter]" in result.err
    assert result.out.splitlines()[1:] == ["nothing would change: 2 kept"]


def test_it_says_what_is_compared(run: Run, flows: Path) -> None:
    today = time.mktime((*time.localtime()[:3], 0, 0, 0, 0, 0, -1))
    start(since=today)
    assert run("plan").out.startswith(f"compared with what runs since 00:00:00 (process {os.getpid()})\n")
    start(since=today, ended=today)
    assert run("plan").out.startswith("compared with what ran until 00:00:00: no runner runs now\n")
    write_running(flows, Running(2**22 + 1, today, str(Path.cwd()), ()))
    assert run("plan").out.startswith("compared with what ran since 00:00:00: that runner is gone\n")


def test_copy_is_compared_with_what_runs_elsewhere(run: Run, flows: Path) -> None:
    start()
    draft = flows.with_name("draft")
    draft.mkdir()
    write(draft, heat=HEAT, light=LIGHT.replace("light", "lamp"), flowrunner=SETTINGS)
    assert planned(run, "draft", "--running", "flows") == [
        "  ~ light  draft/light.yaml",
        "      - light on cloud",
        "      + lamp on cloud",
        "1 changed, 1 kept; subscriptions +1 -1",
    ]


def test_programs_get_all_of_it(run: Run, flows: Path) -> None:
    start(since=1.0)
    write(
        flows, heat=HEAT.replace("2s, by: room", "2s"), new="subscribe: new\nsteps: [json]\n", bad="subscribe: '#/a'\n"
    )
    (flows / "light.yaml").unlink()
    found: dict[str, Any] = json.loads(run("plan", "--json").out)
    assert [error["file"] for error in found.pop("errors")] == ["flows/bad.yaml"]
    assert found == {
        "compared_with": {"process": os.getpid(), "since": 1.0, "ended": None, "is_alive": True},
        "added": [
            {
                "flow": "new",
                "file": "flows/new.yaml",
                "subscriptions": {"added": [{"connection": "default", "filter": "new"}], "removed": []},
            }
        ],
        "changed": [
            {
                "flow": "heat",
                "file": "flows/heat.yaml",
                "subscriptions": {"added": [], "removed": []},
                "state": {"kept": ["window 1"], "reset": {"debounce 1": "`by` changed"}},
            }
        ],
        "removed": [
            {
                "flow": "light",
                "file": "flows/light.yaml",
                "subscriptions": {"added": [], "removed": [{"connection": "cloud", "filter": "light"}]},
            }
        ],
        "kept": [],
        "stale": [],
        "subscriptions": {
            "added": [{"connection": "default", "filter": "new"}],
            "removed": [{"connection": "cloud", "filter": "light"}],
        },
    }


def test_nothing_is_run_or_written(run: Run, flows: Path) -> None:
    (flows / "work.py").write_text("raise SystemExit('run')\ndef go(message):\n    return 1\n")
    write(flows, work="subscribe: in\nsteps:\n  - python: work.py:go\n  - exec: [rm, -rf, /]\n")
    before = sorted(flows.rglob("*"))
    assert "  + work   flows/work.yaml" in planned(run)
    assert sorted(flows.rglob("*")) == before


def test_colours_are_for_terminals(run: Run, flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("plan").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m+ heat " in run("plan").out


@pytest.mark.parametrize("arguments", [["missing"], ["flows", "--running", "missing"]])
def test_path_that_is_not_there_is_misuse(run: Run, flows: Path, arguments: list[str]) -> None:
    result = run("plan", *arguments)
    assert result.code == 2
    assert "missing" in result.err
