import json
import time

from umqtt.simple import MQTTClient

BROKER = "localhost"  # on the device: the address of the Raspberry Pi, such as "192.168.1.10"


def readings():  # on the device: read your sensor here
    while True:
        yield from (24.5, 25.0, 25.5, 26.0)


def on_message(topic, message):  # both are bytes
    print("led", message.decode())  # on the device: Pin(2, Pin.OUT).value(message == b"on")


client = MQTTClient("thermometer-attic", BROKER, port=1883, keepalive=30)
client.set_callback(on_message)
client.set_last_will(b"things/attic/state", b"gone", retain=True)
client.connect()
client.subscribe(b"things/attic/led")
client.publish(b"things/attic/state", b"here", retain=True)
for temperature in readings():
    client.publish(b"sensors/attic/climate", json.dumps({"temperature": temperature}).encode())
    time.sleep(0.5)
    client.check_msg()
