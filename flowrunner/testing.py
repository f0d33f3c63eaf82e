"""Gives tests an MQTT broker: a pytest plug-in with the fixture `mqtt_broker`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run on this machine loads this file: what it needs is imported when it is needed
    from flowrunner.broker import BrokerThread


@pytest.fixture
def mqtt_broker() -> "Iterator[BrokerThread]":
    """An empty MQTT broker on a free port of this machine: `mqtt_broker.host`, `.port`, `.url`, `.publish(...)`.

    It runs on a thread of its own, speaks MQTT 3.1.1 and 5, and ends with the test. For users, access lists or
    TLS start one yourself: `with flowrunner.broker.BrokerThread(passwords=...) as broker`.
    """
    from flowrunner.broker import BrokerThread

    with BrokerThread() as broker:
        yield broker
