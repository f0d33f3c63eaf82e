"""`graph`: formats, JSON, and flows with mistakes."""

import json
from pathlib import Path

import pytest

from tests.cli.command_line import Run

FLOWS = Path(__file__).parents[2] / "flows"


@pytest.mark.parametrize(
    ("format", "beginning"), [("text", "╭─ "), ("mermaid", "flowchart LR\n"), ("dot", "digraph flows {"), ("svg", "<svg ")]
)  # fmt: skip
def test_every_format_is_drawn(run: Run, format: str, beginning: str) -> None:
    result = run("graph", "--format", format, FLOWS)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(beginning)
    assert "overheat" in result.out


def test_json_is_for_others(run: Run) -> None:
    found = json.loads(run("graph", "--json", FLOWS).out)
    assert {"from": "rooms", "to": "overheat", "topic": "sensors/+/climate", "connection": "default"} in found["joins"]
    (overheat,) = [flow for flow in found["flows"] if flow["name"] == "overheat"]
    assert [step["step"] for step in overheat["steps"]] == ["decode", "json", "filter", "set", "publish"]
    assert overheat["publishes"] == [{"topic": "alerts/+", "connection": "default", "text": "alerts/${room}"}]


def test_colours_are_for_terminals(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("graph", FLOWS).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1moverheat\x1b[0m" in run("graph", FLOWS).out


def test_flows_with_mistakes_are_left_out_and_told(run: Run, folder: Path) -> None:
    (folder / "good.yaml").write_text("subscribe: a\nsteps: [publish: b]\n")
    (folder / "bad.yaml").write_text("subscribe: a\nsteps: [publsh: b]\n")
    result = run("graph", ".")
    assert result.code == 1
    assert "error[unknown-step]" in result.err
    assert "╭─ good" in result.out
    (folder / "good.yaml").unlink()
    assert run("graph", ".").code == 1
    assert run("graph", "--format", "png").code == 2
