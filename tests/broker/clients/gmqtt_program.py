"""Does what a client does, with gmqtt: PORT VERSION. Ends with 0 if everything came as it should."""
# ruff: noqa: ANN001, ANN201, ANN204 (it runs under other interpreters and with libraries that are not here)
# mypy: ignore-errors

import asyncio
import sys

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

PORT, VERSION = int(sys.argv[1]), int(sys.argv[2])
PROTOCOL = MQTTv50 if VERSION == 5 else MQTTv311
PATIENCE = 10


class Client:
    """A client, and the messages that came."""

    def __init__(self, name, *, keep=False, will=None):
        self.messages = asyncio.Queue()
        self.subscribed = asyncio.Event()
        last = gmqtt.Message(will, b"gone", qos=1) if will else None
        expiry = {"session_expiry_interval": 100} if keep and VERSION == 5 else {}
        self.client = gmqtt.Client(name, clean_session=not keep, will_message=last, **expiry)
        self.client.on_message = self.on_message
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    async def on_message(self, _client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, bytes(payload), qos, bool(properties.get("retain"))))
        return 0

    async def connect(self):
        await self.client.connect("127.0.0.1", PORT, version=PROTOCOL)
        return self

    async def subscribe(self, topic, qos):
        self.subscribed.clear()
        self.client.subscribe(topic, qos=qos)
        await asyncio.wait_for(self.subscribed.wait(), PATIENCE)

    async def expect(self, topic, payload, *, qos, retain=False):
        found = await asyncio.wait_for(self.messages.get(), PATIENCE)
        assert found == (topic, payload, qos, retain), found


async def main():
    observer = await Client("observer").connect()
    await observer.subscribe("t/+/x", 2)
    await observer.subscribe("will/#", 1)
    sender = await Client("sender", will="will/sender").connect()
    for qos in (0, 1, 2):
        sender.client.publish("t/here/x", b"%d" % qos, qos=qos)
        await observer.expect("t/here/x", b"%d" % qos, qos=qos)

    sender.client.publish("kept/1", b"retained", qos=1, retain=True)
    kept = await Client("kept", keep=True).connect()
    await kept.subscribe("kept/#", 1)
    await kept.expect("kept/1", b"retained", qos=1, retain=True)
    await kept.subscribe("later/#", 1)
    await kept.client.disconnect()
    sender.client.publish("later/x", b"1", qos=1)
    sender.client.publish("t/here/x", b"after", qos=1)
    await observer.expect("t/here/x", b"after", qos=1)
    kept = await Client("kept", keep=True).connect()
    await kept.expect("later/x", b"1", qos=1)
    await kept.client.disconnect()

    sender.client.stop_reconnect()
    sender.client._connection._transport.abort()
    await observer.expect("will/sender", b"gone", qos=1)
    await observer.client.disconnect()
    print("gmqtt", VERSION, "is content")


asyncio.run(main())
