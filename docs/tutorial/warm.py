import json

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    client.subscribe("sensors/+/climate")


def on_message(client, userdata, message):
    room = message.topic.split("/")[1]
    payload = json.loads(message.payload)
    if payload["temperature"] > 25:
        client.publish(f"alerts/{room}", json.dumps(payload))


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = on_connect
client.on_message = on_message
client.connect("localhost")
client.loop_forever()
