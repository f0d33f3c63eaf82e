"""From a broker into a recording, out of it into a test, and back to a broker where the flow runs: all say the same."""

import subprocess
from pathlib import Path

import pytest

from flowrunner.read.load import load
from flowrunner.run.recording import read_recording
from flowrunner.trial.compare import meets
from flowrunner.trial.host import Published
from tests.cli.command_line import Run, finish, start, wait_for
from tests.mosquitto import Mosquitto

FLOW = """\
subscribe: sensors/+room/climate
steps:
  - json
  - changed: {value: payload.temperature, by: room}
  - publish: {topic: "alerts/${room}", qos: 1, properties: {user: {unit: °C}}}
"""
SENT = [("kitchen", "21.5"), ("bath", "19"), ("kitchen", "21.50"), ("kitchen", "nonsense"), ("bath", "20")]


def record(broker: Mosquitto, name: str, *words: object) -> "subprocess.Popen[bytes]":
    process = start("record", "-p", broker.port, "-i", name, *words)
    wait_for(lambda: f"Sending SUBACK to {name}" in broker.log, f"the subscription of {name}")
    return process


@pytest.mark.broker
def test_recorded_tested_and_replayed(run: Run, mosquitto: Mosquitto, folder: Path) -> None:
    recorder = record(mosquitto, "recorder", "sensors/#", "-C", len(SENT))
    for room, value in SENT:
        payload = f'{{"temperature": {value}}}'
        assert run("pub", "-p", mosquitto.port, "-q", 1, "-t", f"sensors/{room}/climate", "-m", payload).code == 0
    (folder / "day.jsonl").write_bytes(finish(recorder).raw)
    (folder / "flows").mkdir()
    (folder / "flows" / "heat.yaml").write_text(FLOW, encoding="utf-8")

    assert run("test", "--from", "day.jsonl", "--write", "heat").code == 0
    tested = run("test")
    assert tested.code == 0, tested.out
    ((case,),) = [flow.tests for flow in load([folder / "flows"]).flows]
    assert len(case.expect) == 3

    runner = start("run", "flows", "--broker", f"mqtt://127.0.0.1:{mosquitto.port}")
    wait_for(lambda: "sensors/+/climate" in mosquitto.log, "the subscription of the flow")
    listener = record(mosquitto, "listener", "alerts/#", "-C", len(case.expect))
    assert run("replay", "day.jsonl", "-p", mosquitto.port, "--speed", "max").code == 0
    heard = [one.message for one in read_recording(finish(listener).raw.splitlines(keepends=True), "heard")]
    runner.terminate()
    finish(runner)
    for expected, message in zip(case.expect, heard, strict=True):
        sent = Published(message.topic, message.payload, message.qos, message.retain, message.properties)
        assert meets(sent, expected)
