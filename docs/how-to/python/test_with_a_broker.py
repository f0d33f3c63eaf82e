from queue import Queue

import paho.mqtt.client as mqtt


def test_what_is_published_arrives(mqtt_broker):
    heard = Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _userdata, message: heard.put(message.payload)
    client.on_connect = lambda *_: client.subscribe("greetings")
    client.on_subscribe = lambda *_: mqtt_broker.publish("greetings", b"hello")
    client.connect(mqtt_broker.host, mqtt_broker.port)
    client.loop_start()
    try:
        assert heard.get(timeout=5) == b"hello"
    finally:
        client.disconnect()
        client.loop_stop()
