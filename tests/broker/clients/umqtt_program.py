"""Does what a client does, with umqtt.simple under MicroPython: PORT. It speaks 3.1.1 with QoS 0 and 1."""
# ruff: noqa: ANN001, ANN201 (it runs under other interpreters and with libraries that are not here)
# mypy: ignore-errors

import sys

from umqtt.simple import MQTTClient

PORT = int(sys.argv[1])


def connect(name, *, keep=False, will=None):
    client = MQTTClient(name, "127.0.0.1", PORT, keepalive=0)
    client.found = []
    client.set_callback(lambda topic, payload: client.found.append((topic, payload)))
    if will:
        client.set_last_will(will, b"gone")
    client.was_there = client.connect(clean_session=not keep)
    return client


def expect(client, topic, payload):
    while not client.found:
        client.wait_msg()
    found = client.found.pop(0)
    assert found == (topic, payload), found


observer = connect("observer")
observer.subscribe(b"t/+/x", 1)
observer.subscribe(b"will/#", 0)
sender = connect("sender", will=b"will/sender")
for qos in (0, 1):
    sender.publish(b"t/here/x", b"%d" % qos, qos=qos)
    expect(observer, b"t/here/x", b"%d" % qos)
sender.ping()
sender.publish(b"kept/1", b"retained", retain=True, qos=1)
observer.subscribe(b"kept/#")
expect(observer, b"kept/1", b"retained")

kept = connect("kept", keep=True)
assert not kept.was_there
kept.subscribe(b"later/#", 1)
kept.disconnect()
sender.publish(b"later/x", b"1", qos=1)
kept = connect("kept", keep=True)
assert kept.was_there
expect(kept, b"later/x", b"1")
kept.disconnect()

sender.sock.close()
expect(observer, b"will/sender", b"gone")
observer.disconnect()
print("umqtt.simple is content")
