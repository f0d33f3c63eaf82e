import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.tls_set("ca.crt")
client.username_pw_set("anna", "spring")
client.connect("localhost", 8883)
client.loop_start()
client.publish("random/topic", "blech", qos=1).wait_for_publish()
client.disconnect()
