import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("localhost")
client.loop_start()  # a thread that talks to the broker
client.publish("/random/topic", "blech", qos=1).wait_for_publish()
client.disconnect()
