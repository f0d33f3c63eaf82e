"""`flowrunner.testing.run_flow`: flows tested in Python."""

from pathlib import Path
from typing import Any

import pytest

from flowrunner.errors import FlowError
from flowrunner.testing import FlowFailed, Message, run_flow

HEAT = """
subscribe: {topic: sensors/+room/climate, qos: 1}
vars: {limit: 25}
steps:
  - json
  - filter: payload.temperature > limit
  - debounce: 5s
  - publish: {topic: "alerts/${room}", qos: "${qos}"}
"""


@pytest.fixture
def heat(tmp_path: Path) -> Path:
    path = tmp_path / "heat.yaml"
    path.write_text(HEAT, encoding="utf-8")
    return path


def test_messages_in_and_messages_out(heat: Path) -> None:
    kitchen = "sensors/kitchen/climate"
    messages: list[Any] = [
        (kitchen, {"temperature": 26}),
        4,
        (kitchen, b'{"temperature": 27}'),
        "5s",
        (kitchen, {"temperature": 1}),
        60,
    ]
    (alert,) = run_flow(heat, messages)
    assert (alert.topic, alert.value, alert.payload, alert.qos, alert.retain) == (
        "alerts/kitchen", {"temperature": 27}, b'{"temperature":27}', 0, False,
    )  # fmt: skip
    assert alert.time == 9


def test_all_that_a_message_can_have(heat: Path) -> None:
    message = Message("sensors/x/climate", {"temperature": 30}, qos=2, retain=True, properties={"user": {"a": "b"}})
    (alert,) = run_flow(str(heat), [message, 5.0])
    assert alert.qos == 1
    assert run_flow(heat, [message, 5], vars={"limit": 40}) == []


def test_a_step_that_fails_is_an_error_with_its_frame(heat: Path) -> None:
    with pytest.raises(FlowFailed, match="the payload has no field `temperature`") as failed:
        run_flow(heat, [("sensors/x/climate", {"temprature": 1})])
    assert failed.value.diagnostics[0].code == "missing-field"
    assert "  - filter: payload.temperature > limit" in str(failed.value)
    assert run_flow(heat, [("sensors/x/climate", {"temprature": 1})], errors=False) == []


def test_mocks(tmp_path: Path) -> None:
    path = tmp_path / "ask.yaml"
    path.write_text(
        "flows:\n  ask:\n    subscribe: in\n    steps:\n      - {http: 'https://example.com/a', id: one}\n"
        "      - publish: out\n  other:\n    subscribe: in\n    steps: []\n",
        encoding="utf-8",
    )
    twice = [("in", 1), ("in", 2)]
    assert [one.value for one in run_flow(path, twice, flow="ask", mocks={"one": {"x": 1}})] == [{"x": 1}] * 2
    assert [one.value for one in run_flow(path, twice, flow="ask", mocks={"http": [5, 6]})] == [5, 6]
    with pytest.raises(FlowFailed, match="it is away"):
        run_flow(path, twice, flow="ask", mocks={"one": OSError("it is away")})
    with pytest.raises(FlowFailed, match="needs a mock"):
        run_flow(path, twice, flow="ask", errors=False)
    with pytest.raises(ValueError, match="no step `two` can have a mock; there are: one"):
        run_flow(path, twice, flow="ask", mocks={"two": 5})
    with pytest.raises(ValueError, match="holds 2 flows: name one with `flow=`"):
        run_flow(path, twice)
    with pytest.raises(ValueError, match="holds no flow `aks`; did you mean `ask`"):
        run_flow(path, twice, flow="aks")


async def test_a_flow_with_functions_inside_of_a_loop(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("async def double(message):\n    return message.payload * 2\n", encoding="utf-8")
    (tmp_path / "flow.yaml").write_text(
        "subscribe: in\nsteps: [json, {python: 'own.py:double'}, {publish: out}]\n", encoding="utf-8"
    )
    assert [one.value for one in run_flow(tmp_path / "flow.yaml", [("in", 4)])] == [8]


def test_flows_that_it_calls_and_settings_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "flowrunner.yaml").write_text("vars: {site: graz}\n", encoding="utf-8")
    (tmp_path / "name.yaml").write_text("steps: [{map: site}]\n", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "flow.yaml").write_text(
        "subscribe: in\nsteps: [{call: name}, {publish: out}]\n", encoding="utf-8"
    )
    assert [one.payload for one in run_flow(tmp_path / "deep" / "flow.yaml", [("in", 4)])] == [b"graz"]


def test_mistakes_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("subscribe: in\nsteps: [jso]\n", encoding="utf-8")
    with pytest.raises(FlowError, match="there is no step `jso`"):
        run_flow(tmp_path / "flow.yaml")
    with pytest.raises(FileNotFoundError):
        run_flow(tmp_path / "other.yaml")


@pytest.mark.parametrize("message", [("a/+", 1), ("", 1), ("a", {1: object()}), -1, "5"])
def test_what_no_message_can_be(heat: Path, message: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        run_flow(heat, [message])  # type: ignore[list-item]


def test_what_is_published_as_a_value(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("subscribe: in\nsteps: [{publish: out}]\n", encoding="utf-8")
    given = [None, "text", b"\xff", [1], "21.5"]
    found = run_flow(tmp_path / "flow.yaml", [("in", payload) for payload in given])
    assert [one.value for one in found] == [None, "text", b"\xff", [1], 21.5]


def test_pytest_is_not_needed() -> None:
    import subprocess
    import sys

    code = "import sys; sys.modules['pytest'] = None; import flowrunner.testing"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
