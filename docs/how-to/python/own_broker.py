from flowrunner.broker import BrokerThread, Passwords

with BrokerThread(passwords=Passwords({"anna": "secret"})) as broker:
    print("listening on", broker.url)
    broker.publish("state", b"ready", is_retained=True)
