"""The same flows and messages in Node-RED and, imported, in flowrunner: what comes out must be the same."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from flowrunner.nodered import translate
from tests.mosquitto import Mosquitto, require_mosquitto
from tests.nodered.node_red import node_red
from tests.nodered.shapes import PAUSE, SHAPES, Given, Shape, broker, heard, sent

pytestmark = pytest.mark.clients

PATIENCE = 30.0
EXTRA = 0.6
"""Seconds in which comes what should not: longer than any time in the flows."""

NODE_RED, OURS = "nr", "fr"
_PING = Shape("ping", [heard("P/in", "out"), sent()], [], 0)


@dataclass(frozen=True)
class Sent:
    """What a flow published; `payload` is JSON by value where it is JSON, else the bytes."""

    topic: str
    payload: str
    qos: int
    retain: bool


@dataclass
class Listener:
    """Hears all that both publish."""

    port: int
    heard: dict[tuple[str, str], list[Sent]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self.hear
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = 1000
        self.client.connect("127.0.0.1", self.port, properties=properties)
        self.client.loop_start()
        options = SubscribeOptions(qos=2, retainAsPublished=True)
        self.client.subscribe([(f"{side}/+/out/#", options) for side in (NODE_RED, OURS)])

    def hear(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        side, name, rest = message.topic.split("/", 2)
        payload = message.payload.replace(f"{OURS}/".encode(), f"{NODE_RED}/".encode())
        sent = Sent(rest, normal(payload), message.qos, bool(message.retain))
        self.heard.setdefault((side, name), []).append(sent)

    def send(self, side: str, name: str, given: Given, *, is_kept: bool = False) -> None:
        topic = given.topic.replace("P/", f"{side}/{name}/")
        self.client.publish(topic, given.payload, given.qos, is_kept).wait_for_publish(PATIENCE)

    def of(self, side: str, shape: Shape) -> list[Sent]:
        found = self.heard.get((side, shape.name), [])
        return list(found) if shape.is_ordered else sorted(found, key=repr)


def normal(payload: bytes | bytearray) -> str:
    """JSON by value: 1.0 is 1, whatever the blanks and the order of keys."""
    try:
        return json.dumps(tidy(json.loads(payload)), sort_keys=True)
    except ValueError:
        return repr(bytes(payload))


def tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [tidy(item) for item in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


def wait_for(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    """Both run all shapes at once, on the same broker; what they publish is heard."""
    require_mosquitto()
    folder = tmp_path_factory.mktemp("side-by-side")
    with ExitStack() as stack:
        mosquitto = stack.enter_context(
            Mosquitto(folder / "mosquitto", "allow_anonymous true\nmax_queued_messages 0\n")
        )
        listener = Listener(mosquitto.port)
        stack.callback(listener.client.loop_stop)
        stack.callback(listener.client.disconnect)
        for shape in SHAPES:
            for side in (NODE_RED, OURS):
                for kept in shape.kept:
                    listener.send(side, shape.name, kept, is_kept=True)
        flows = exported(NODE_RED, mosquitto.port)
        stack.enter_context(node_red(folder / "node-red", flows))
        stack.enter_context(flowrunner(folder / "flows", exported(OURS, mosquitto.port)))
        for side in (NODE_RED, OURS):
            wait_until_it_answers(listener, side)
        send_all(listener)
        missing = {shape.name: shape for shape in SHAPES}

        def is_complete() -> bool:
            for name, shape in list(missing.items()):
                if all(len(listener.of(side, shape)) >= shape.count for side in (NODE_RED, OURS)):
                    del missing[name]
            return not missing

        deadline = time.monotonic() + PATIENCE / 2
        while not is_complete() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(EXTRA)
        yield listener


def exported(side: str, port: int) -> list[dict[str, Any]]:
    return [broker(port), *(node for shape in [*SHAPES, _PING] for node in shape.export(side))]


class flowrunner:  # noqa: N801 - reads as the command does
    """The import of an export, running."""

    def __init__(self, folder: Path, export: list[dict[str, Any]]) -> None:
        folder.mkdir()
        for name, text in translate(json.dumps(export)).files.items():
            (folder / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "flowrunner", "run", folder, "--allow", "exec", "--no-web", "--no-reload"]
        self.log = folder.parent / "flowrunner.log"
        with self.log.open("wb") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, cwd=folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait(10)


def wait_until_it_answers(listener: Listener, side: str) -> None:
    def is_there() -> bool:
        listener.send(side, "ping", Given("P/in", "?"))
        time.sleep(0.05)
        return bool(listener.heard.get((side, "ping")))

    wait_for(is_there, f"{side} to answer")


def send_all(listener: Listener) -> None:
    """Send the messages up to the next PAUSE of every shape, wait for the longest of them, and go on."""
    rest = {shape.name: (shape, list(shape.given)) for shape in SHAPES}
    while rest:
        pause = 0.0
        for name, (shape, given) in list(rest.items()):
            while given:
                message = given.pop(0)
                if isinstance(message, str):
                    assert message == PAUSE
                    pause = max(pause, shape.pause)
                    break
                for side in (NODE_RED, OURS):
                    listener.send(side, name, message)
            if not given:
                del rest[name]
        time.sleep(pause)  # the times are those of the flows, such as a trigger of 400 ms


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_both_publish_the_same(outputs: Listener, shape: Shape) -> None:
    expected = outputs.of(NODE_RED, shape)
    assert outputs.of(OURS, shape) == expected
    assert len(expected) == shape.count


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 20
