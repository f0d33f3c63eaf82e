"""`eject`: scripts that run by themselves, and publish what the flows publish."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from flowrunner.read.load import load
from flowrunner.sources import Subscribe
from tests.cli.command_line import PATIENCE, Run, start, wait_for
from tests.cli.conftest import StartMosquitto
from tests.flow_host import FlowHost
from tests.mosquitto import Mosquitto

FLOWS = Path(__file__).parents[2] / "flows"

#: The last message of each flow leads to one that is published: when that is there, so are all before it.
GIVEN: list[tuple[str, str | bytes]] = [
    ("devices/garden/json", '{"t": "21.5", "h": 48, "firmware": 3}'),
    ("devices/garden/csv", "boot 1.0.3"),
    ("devices/cellar/csv", "warm;48"),
    ("devices/cellar/csv", "12.0;71\n"),
    ("gateway/barn", '{"readings": [{"sensor": "door", "battery": 12}, {"battery": 1}, {"sensor": "silo", "battery": 80}]}'),
    ("gateway/barn", '{"readings": []}'),
    ("gateway/house", '{"readings": {"x": {"sensor": "attic", "battery": 19.5}}}'),
    ("/random/topic", "  "),
    ("/random/topic", b"\xff"),
    ("/random/topic", " hällo "),
    ("sensors/kitchen/climate", "no json"),
    ("sensors/kitchen/climate", '{"temperature": 12, "humidity": 40}'),
    ("sensors/bath/climate", '{"temperature": 25.04, "humidity": null}'),
    ("sensors/attic/climate", '{"temperature": 31}'),
    ("switches/lamp/set", "dim"),
    ("switches/lamp/set", " on"),
    ("weather/roof/fahrenheit", "-999"),
    ("weather/roof/fahrenheit", "77"),
]  # fmt: skip
LAST = {
    "readings/garden", "readings/cellar", "sites/house/battery", "/random/answer", "display/attic", "alerts/attic",
    "switches/attic-fan/state", "switches/lamp/state", "weather/roof/celsius",
}  # fmt: skip
Sent = list[tuple[str, bytes, int, bool]]


@contextmanager
def heard(broker: Mosquitto) -> Iterator[tuple[paho.Client, Sent]]:
    """A client that hears everything, and what it has heard."""
    sent: Sent = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="judge", protocol=paho.MQTTv5)
    client.on_message = lambda _client, _data, one: sent.append((one.topic, bytes(one.payload), one.qos, one.retain))
    client.connect("127.0.0.1", broker.port)
    client.subscribe("#", options=SubscribeOptions(qos=2, retainAsPublished=True))
    client.loop_start()
    wait_for(lambda: "Sending SUBACK to judge" in broker.log, "the subscription of the judge")
    try:
        yield client, sent
    finally:
        client.disconnect()
        client.loop_stop()


def published(broker: Mosquitto, filters: list[str]) -> dict[str, list[tuple[bytes, int, bool]]]:
    """What is published for the given messages, by topic and in order, by whoever subscribes to these filters."""
    wait_for(lambda: all(f"\t{one} (QoS" in broker.log for one in filters), "the subscriptions")
    with heard(broker) as (client, sent):
        for topic, payload in GIVEN:
            client.publish(topic, payload)
        wait_for(lambda: {topic for topic, *_ in sent} >= LAST, "what is published last")
    found: dict[str, list[tuple[bytes, int, bool]]] = {}
    for topic, payload, qos, is_retained in sent:
        if not topic.startswith("flowrunner/"):  # what a runner says of itself
            found.setdefault(topic, []).append((payload, qos, is_retained))
    return found


@pytest.mark.broker
def test_scripts_of_the_samples_publish_what_the_flows_publish(
    start_mosquitto: StartMosquitto, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(FLOWS, tmp_path / "flows", ignore=shutil.ignore_patterns(".*", "rooms.yaml"))
    flows = load([folder]).flows
    filters = [one.filter.mqtt for flow in flows for one in flow.sources if isinstance(one, Subscribe)]
    first, second = start_mosquitto(), start_mosquitto()
    runner = start("run", folder, "--broker", f"mqtt://127.0.0.1:{first.port}", "--no-reload", "--no-web")
    wanted = published(first, filters)
    runner.terminate()
    monkeypatch.setenv("FLOWRUNNER_BROKER", f"mqtt://127.0.0.1:{second.port}")
    texts = {flow.name: run("eject", flow.name, folder).raw for flow in flows}
    with scripts(tmp_path, texts):
        wait_for(lambda: second.log.count("Sending SUBACK to") >= len(flows), "the scripts")
        assert published(second, filters) == wanted
    assert len(wanted) > len(LAST) + 5


@contextmanager
def scripts(tmp_path: Path, texts: dict[str, bytes]) -> Iterator[None]:
    """Scripts with these names, each in a process of its own."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, text in texts.items():
            script = tmp_path / f"{name}.py"
            script.write_bytes(text)
            processes.append(subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL))
        yield
        assert all(process.poll() is None for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait(PATIENCE)


_FIRST_TICK = """
import random, runpy, sys, threading, time
random.seed(7)
rest, calls = time.sleep, []

def sleep(seconds):
    if threading.current_thread() is not threading.main_thread():
        return rest(seconds)
    calls.append(seconds)
    if len(calls) > 1:
        rest(1)
        raise KeyboardInterrupt

time.sleep = sleep
runpy.run_path(sys.argv[1], run_name="__main__")
assert calls == [3, 3]
"""


@pytest.mark.broker
def test_the_script_of_a_flow_that_ticks_publishes_what_the_flow_publishes(
    mosquitto: Mosquitto, run: Run, tmp_path: Path
) -> None:
    script = tmp_path / "rooms.py"
    script.write_bytes(run("eject", "rooms", FLOWS).raw)
    (flow,) = [flow for flow in load([FLOWS]).flows if flow.name == "rooms"]
    state = random.getstate()
    random.seed(7)
    host = FlowHost(flow)
    host.enter("every/rooms", 1)
    random.setstate(state)
    environment = {**os.environ, "FLOWRUNNER_BROKER": f"mqtt://127.0.0.1:{mosquitto.port}"}
    with heard(mosquitto) as (_, sent):
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_TICK, script], env=environment, timeout=PATIENCE, check=False
        )
        wait_for(lambda: len(sent) >= 3, "three messages")
    assert done.returncode == 0
    assert [(topic, payload) for topic, payload, _, _ in sent] == [
        (one.topic, one.payload) for one in host.outcome.published
    ]


def test_a_script_stands_alone(run: Run) -> None:
    result = run("eject", "overheat", FLOWS)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith('"""Warn when a room gets too warm.\n')
    assert "    pip install paho-mqtt\n" in result.out
    assert "import flowrunner" not in result.out
    compile(result.out, "overheat.py", "exec")


def test_other_packages_are_named(run: Run, folder: Path) -> None:
    (folder / "f.yaml").write_text(
        "subscribe: a\nsteps: [{decode: msgpack}, {validate: {schema: {type: object}}}, publish: b]\n"
    )
    out = run("eject", "f", ".").out
    assert "    pip install paho-mqtt msgpack jsonschema\n" in out
    assert "import msgpack\n" in out


def test_a_script_says_which_step_it_cannot_hold(run: Run, folder: Path) -> None:
    (folder / "f.yaml").write_text("subscribe: a\nsteps:\n  - debounce: 5s\n  - publish: b\n")
    result = run("eject", "f", ".")
    assert (result.code, result.out) == (1, "")
    assert "error[not-ejectable]: no short script does the same as `debounce`\n --> f.yaml:3:5\n" in result.err
    assert "help: it needs a timer for every key, beside the network loop\n" in result.err


def test_an_unknown_flow_is_told(run: Run) -> None:
    result = run("eject", "overhet", FLOWS)
    assert (result.code, "did you mean `overheat`?" in result.err) == (2, True)


def test_the_broker_is_that_of_the_environment(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "greeting.py"
    script.write_bytes(run("eject", "greeting", FLOWS).raw)
    environment = {**os.environ, "FLOWRUNNER_BROKER": "mqtt://127.0.0.1:1"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, timeout=PATIENCE, check=False)
    assert b"ConnectionRefusedError" in done.stderr
