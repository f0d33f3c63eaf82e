"""Edits under load: 100 of them in 20 seconds, while 5 000 messages a second come in at QoS 1."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.workshop import Workshop, copy, workshop

#: Seconds of load, in which there are five edits each; a short run is enough to see that nothing is broken.
SECONDS = float(os.environ.get("FLOWRUNNER_SOAK_SECONDS", "20"))
RATE = 5_000

#: What the versions of the edited flow listen to, one after the other.
FILTERS = ("load/+", "load/+", "load/#", "load/x", "+/x")

#: A publisher in a process of its own: port, messages, messages a second.
LOAD = """
import sys, time
import paho.mqtt.client as paho

port, count, rate = map(int, sys.argv[1:])
client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
client.max_inflight_messages_set(0)
client.connect("127.0.0.1", port)
client.loop_start()
begun = time.monotonic()
for number in range(1, count + 1):
    info = client.publish("load/x", str(number), 1)
    while number > (time.monotonic() - begun) * rate:
        time.sleep(0.001)
info.wait_for_publish(60)
client.disconnect()
print(time.monotonic() - begun)
"""


@pytest.mark.soak
@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_edits_under_load_lose_nothing_and_repeat_nothing(tmp_path: Path, protocol: str) -> None:
    """What comes out is at QoS 0: the bounds of what waits for a slow broker are not what is looked at."""
    require_mosquitto()
    listener = shutil.which("mosquitto_sub")
    assert listener is not None
    count = int(SECONDS * RATE)
    config = f"{OPEN}max_queued_messages 0\nmax_inflight_messages 0\n"
    with Mosquitto(tmp_path / "broker", config) as mosquitto, (tmp_path / "heard").open("w") as heard:
        settings = mosquitto.settings(protocol=protocol)
        first, kept = copy("edited/0", "load/+", out_qos=0), copy("kept/0", "load/#", out_qos=0)
        words = [listener, "-p", str(mosquitto.port), "-q", "1", "-t", "out/#", "-F", "%t %p"]
        listening = await asyncio.create_subprocess_exec(*words, stdout=heard)
        try:
            async with workshop(tmp_path / "flows", settings, {"edited.yaml": first, "kept.yaml": kept}) as bench:
                publishing = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", LOAD, str(mosquitto.port), str(count), str(RATE), stdout=subprocess.PIPE
                )
                edits = await edit_while_it_runs(bench, publishing)
                await until_all_came(tmp_path / "heard", 2 * count)
                assert bench.told.count("reloaded in") == edits
                assert edits >= SECONDS
                lost = [line for line in bench.told.text.splitlines() if "error" in line or "lost" in line]
                assert [(flow.received, flow.dropped) for flow in bench.runner.flows.values()] == [(count, 0)] * 2, lost
        finally:
            listening.kill()
            await listening.wait()
    met: dict[str, list[int]] = {"edited": [], "kept": []}
    versions: list[int] = []
    for line in (tmp_path / "heard").read_text().splitlines():
        topic, payload = line.split()
        _, name, stamp = topic.split("/")
        met[name].append(int(payload))
        if name == "edited":
            versions.append(int(stamp))
    assert met["kept"] == list(range(1, count + 1))
    assert met["edited"] == list(range(1, count + 1))
    assert versions == sorted(versions)
    assert len(set(versions)) > edits // 2


async def edit_while_it_runs(bench: Workshop, publishing: asyncio.subprocess.Process) -> int:
    """Save again and again until the load is over; returns how often."""
    edits = 0
    ending = asyncio.create_task(publishing.wait())
    while not ending.done() and edits < 5 * SECONDS:
        edits += 1
        source = FILTERS[edits % len(FILTERS)]
        await bench.edit("edited.yaml", copy(f"edited/{edits}", source, out_qos=0))
        await asyncio.wait([ending], timeout=0.2)
    assert await ending == 0
    return edits


async def until_all_came(heard: Path, count: int) -> None:
    """Wait until so many lines were heard, as long as more come."""
    lines, before = 0, -1
    while before < lines < count:
        before = lines
        await asyncio.sleep(2)
        lines = heard.read_bytes().count(b"\n")
