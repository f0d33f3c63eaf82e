"""The embedded broker: MQTT 3.1.1 and 5 in memory, for first lessons, tests, and machines with nothing installed."""

from flowrunner.broker.access import AccessList, BadAccessList
from flowrunner.broker.limits import Limits
from flowrunner.broker.passwords import BadPasswordFile, Passwords
from flowrunner.broker.server import Broker
from flowrunner.broker.thread import BrokerThread

__all__ = ["AccessList", "BadAccessList", "BadPasswordFile", "Broker", "BrokerThread", "Limits", "Passwords"]
