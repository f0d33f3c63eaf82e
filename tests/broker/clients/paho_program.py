"""Does what a client does, with paho-mqtt 1.6 or 2.x: PORT VERSION. Ends with 0 if everything came as it should."""
# ruff: noqa: ANN001, ANN201, ANN204 (it runs under other interpreters and with libraries that are not here)
# mypy: ignore-errors

import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT, VERSION = int(sys.argv[1]), int(sys.argv[2])
PROTOCOL = mqtt.MQTTv5 if VERSION == 5 else mqtt.MQTTv311
PATIENCE = 10


class Client:
    """A client with its loop on a thread, and the messages that came."""

    def __init__(self, name, *, keep=False, will=None):
        kept = {} if VERSION == 5 else {"clean_session": not keep}
        api = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
        self.messages = queue.Queue()
        self.subscribed = queue.Queue()
        self.client = mqtt.Client(*api, client_id=name, protocol=PROTOCOL, **kept)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda *_: self.subscribed.put(True)
        if will:
            self.client.will_set(will, b"gone", qos=1)
        options = {}
        if VERSION == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 100 if keep else 0
            options = {"clean_start": not keep, "properties": properties}
        self.client.connect("127.0.0.1", PORT, **options)
        self.client.loop_start()
        deadline = time.monotonic() + PATIENCE
        while not self.client.is_connected():
            assert time.monotonic() < deadline, "no connection"
            time.sleep(0.005)

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        self.subscribed.get(timeout=PATIENCE)

    def publish(self, topic, payload, *, qos=0, retain=False):
        self.client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(PATIENCE)

    def expect(self, topic, payload, *, qos, retain=False):
        message = self.messages.get(timeout=PATIENCE)
        found = (message.topic, message.payload, message.qos, bool(message.retain))
        assert found == (topic, payload, qos, retain), found

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


observer = Client("observer")
observer.subscribe("t/+/x", 2)
observer.subscribe("will/#", 1)
sender = Client("sender", will="will/sender")
for qos in (0, 1, 2):
    sender.publish("t/here/x", b"%d" % qos, qos=qos)
    observer.expect("t/here/x", b"%d" % qos, qos=qos)

sender.publish("kept/1", b"retained", qos=1, retain=True)
observer.subscribe("kept/#", 1)
observer.expect("kept/1", b"retained", qos=1, retain=True)

kept = Client("kept", keep=True)
kept.subscribe("later/#", 2)
kept.leave()
for qos in (1, 2):
    sender.publish("later/x", b"%d" % qos, qos=qos)
kept = Client("kept", keep=True)
for qos in (1, 2):
    kept.expect("later/x", b"%d" % qos, qos=qos)
kept.leave()

sender.client._sock_close() if hasattr(sender.client, "_sock_close") else sender.client.socket().close()
observer.expect("will/sender", b"gone", qos=1)
sender.leave()
observer.leave()
print("paho", VERSION, "is content")
