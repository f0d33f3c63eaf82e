import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    print("connected:", reason_code)
    client.subscribe("/random/topic")  # here, so that it is done again after a reconnect


def on_message(client, userdata, message):
    print(message.topic, message.payload)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = on_connect
client.on_message = on_message
client.connect("localhost")
client.loop_forever()  # the event loop: it calls the two functions above
