"""$SYS, under mosquitto's names."""

from pathlib import Path

import pytest

from flowrunner import __version__
from flowrunner.broker import BrokerThread
from tests.broker.wire import Wire
from tests.mosquitto import Mosquitto, require_mosquitto

NOT_OURS = {
    "heap/current",  # memory is the operating system's to count; this broker may share its process
    "heap/maximum",
    "store/messages/bytes",
}


def system_topics(port: int, expected: str) -> dict[str, str]:
    """All $SYS topics that are retained, once the expected one is there."""
    with Wire(port) as wire:
        wire.connect("watcher")
        wire.subscribe("$SYS/#")
        found: dict[str, str] = {}
        while expected not in found:
            message = wire.message()
            found[message.topic.removeprefix("$SYS/broker/")] = message.payload.decode()
        for message in wire.messages():
            found[message.topic.removeprefix("$SYS/broker/")] = message.payload.decode()
        return found


def test_the_state_is_published() -> None:
    with BrokerThread(status_interval=0.05) as broker, Wire(broker.port) as wire, Wire(broker.port) as other:
        wire.connect("me")
        wire.subscribe("a/#", "$share/g/b")
        wire.publish("a/b", b"x" * 100, retain=True)
        other.connect("kept", clean=False)
        other.disconnect()
        while True:
            found = system_topics(broker.port, "load/connections/15min")
            if found["clients/disconnected"] == "1" and found["publish/messages/received"] == "1":
                break
        assert found["version"] == f"flowrunner version {__version__}"
        assert found["uptime"].endswith(" seconds")
        assert int(found["clients/total"]) == int(found["clients/connected"]) + 1
        assert int(found["retained messages/count"]) > 10
        assert found["shared_subscriptions/count"] == "1"
        assert int(found["subscriptions/count"]) in (2, 3)
        assert int(found["bytes/received"]) > 100
        assert int(found["publish/bytes/received"]) > 100


def test_the_load_is_an_average_of_minutes() -> None:
    with BrokerThread(status_interval=0.05) as broker, Wire(broker.port) as wire:
        wire.connect("me")
        for _ in range(100):
            wire.publish("t")
        wire.subscribe("$SYS/broker/load/publish/received/+")
        loads: dict[str, float] = {}
        while len(loads) < 3 or not all(loads.values()):
            message = wire.message()
            loads[message.topic.rpartition("/")[2]] = float(message.payload)
        assert loads["1min"] > loads["5min"] > loads["15min"] > 0


def test_an_interval_of_0_publishes_nothing() -> None:
    with BrokerThread(status_interval=0) as broker, Wire(broker.port) as wire:
        wire.connect("me")
        wire.subscribe("$SYS/#")
        assert wire.messages() == []


@pytest.mark.broker
def test_the_names_are_those_of_mosquitto(tmp_path: Path) -> None:
    require_mosquitto()
    config = "allow_anonymous true\nsys_interval 1\n"
    with Mosquitto(tmp_path, config) as real, BrokerThread(status_interval=0.05) as ours:
        theirs = system_topics(real.port, "load/connections/15min")
        assert set(theirs) - NOT_OURS <= set(system_topics(ours.port, "load/connections/15min"))
