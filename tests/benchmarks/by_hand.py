"""The job of flows/alarm.yaml as one would write it with paho: PORT and QOS are in the environment."""

import json
import os
import socket
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

QOS = int(os.environ["QOS"])


def on_socket_open(_client: mqtt.Client, _data: Any, opened: Any) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def on_connect(client: mqtt.Client, *_: Any) -> None:
    client.subscribe("plant/+/state", QOS)


def on_message(client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
    state = json.loads(message.payload.decode())
    if state["pressure"] > 8:
        alarm = {"machine": state["machine"], "pressure": state["pressure"], "alarm": "high"}
        client.publish(f"alarms/{state['machine']}", json.dumps(alarm), QOS)


client = mqtt.Client(CallbackAPIVersion.VERSION2)
client.on_socket_open, client.on_connect, client.on_message = on_socket_open, on_connect, on_message
client.connect("127.0.0.1", int(os.environ["PORT"]))
client.loop_forever()
