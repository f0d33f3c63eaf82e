#include <WiFi.h>            // ESP8266: ESP8266WiFi.h
#include <PubSubClient.h>    // by Nick O'Leary, in the library manager of the Arduino IDE

const char* NETWORK = "...";
const char* PASSWORD = "...";
const char* BROKER = "192.168.1.10";    // the Raspberry Pi
const int LED = 2;

WiFiClient network;
PubSubClient client(network);

void onMessage(char* topic, byte* payload, unsigned int length) {    // no text: bytes, without a NUL behind them
  bool on = length == 2 && memcmp(payload, "on", 2) == 0;
  digitalWrite(LED, on ? HIGH : LOW);
}

void connectToBroker() {
  while (!client.connected()) {
    // id, will: topic, QoS, retained, message
    if (client.connect("thermometer-attic", "things/attic/state", 0, true, "gone")) {
      client.publish("things/attic/state", "here", true);
      client.subscribe("things/attic/led");    // here, so that it is done again after a reconnect
    } else {
      delay(2000);
    }
  }
}

void setup() {
  pinMode(LED, OUTPUT);
  WiFi.begin(NETWORK, PASSWORD);
  while (WiFi.status() != WL_CONNECTED) delay(200);
  client.setServer(BROKER, 1883);
  client.setCallback(onMessage);
}

unsigned long last = 0;

void loop() {
  connectToBroker();
  client.loop();                             // the event loop: it calls onMessage, and answers pings
  if (millis() - last > 2000) {              // no delay() here: loop() must come round
    last = millis();
    char text[32];
    snprintf(text, sizeof text, "{\"temperature\": %.1f}", analogRead(34) * 0.01);
    client.publish("sensors/attic/climate", text);
  }
}
