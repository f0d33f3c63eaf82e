"""Publishes what the broker counts below $SYS, under the names that mosquitto uses."""

import math
import time
from asyncio import TimerHandle
from collections.abc import Callable, Iterator

from flowrunner.broker.counters import Counters
from flowrunner.broker.hub import Hub
from flowrunner.broker.message import Message

_MINUTES = (1, 5, 15)

_TOTALS: dict[str, Callable[[Counters], int]] = {
    "messages/received": lambda counters: counters.messages_received,
    "messages/sent": lambda counters: counters.messages_sent,
    "publish/messages/dropped": lambda counters: counters.publishes_dropped,
    "publish/messages/received": lambda counters: counters.publishes_received,
    "publish/messages/sent": lambda counters: counters.publishes_sent,
    "publish/bytes/received": lambda counters: counters.publish_bytes_received,
    "publish/bytes/sent": lambda counters: counters.publish_bytes_sent,
    "bytes/received": lambda counters: counters.bytes_received,
    "bytes/sent": lambda counters: counters.bytes_sent,
    "clients/maximum": lambda counters: counters.clients_maximum,
    "clients/expired": lambda counters: counters.clients_expired,
    "clients/connected": lambda counters: counters.clients_connected,
    "clients/active": lambda counters: counters.clients_connected,
}

_LOADS: dict[str, Callable[[Counters], int]] = {
    "load/messages/received": lambda counters: counters.messages_received,
    "load/messages/sent": lambda counters: counters.messages_sent,
    "load/publish/dropped": lambda counters: counters.publishes_dropped,
    "load/publish/received": lambda counters: counters.publishes_received,
    "load/publish/sent": lambda counters: counters.publishes_sent,
    "load/bytes/received": lambda counters: counters.bytes_received,
    "load/bytes/sent": lambda counters: counters.bytes_sent,
    "load/sockets": lambda counters: counters.sockets,
    "load/connections": lambda counters: counters.connections,
}


class SystemTopics:
    """Publishes the state of a hub, retained, every `interval` seconds and only what changed."""

    def __init__(self, hub: Hub, *, version: str, interval: float) -> None:
        self._hub = hub
        self._version = version
        self._interval = interval
        self._started = time.monotonic()
        self._timer: TimerHandle | None = None
        self._published: dict[str, str] = {}
        self._last = dict.fromkeys(_LOADS, 0)
        self._load = dict.fromkeys(((name, minutes) for name in _LOADS for minutes in _MINUTES), 0.0)

    def start(self) -> None:
        """Publish now and from now on; an interval of 0 publishes nothing at all."""
        if self._interval > 0:
            self.publish()
            self._timer = self._hub.loop.call_later(self._interval, self._go_on)

    def stop(self) -> None:
        """Publish no more."""
        if self._timer is not None:
            self._timer.cancel()

    def publish(self) -> None:
        """Publish what changed since the last time."""
        for name, value in self._values():
            if self._published.get(name) != value:
                self._published[name] = value
                topic = f"$SYS/broker/{name}".encode()
                message = Message(topic, value.encode(), 0, True, arrived=self._hub.loop.time())
                self._hub.publish(message, self._hub.subscriptions.route(topic))
        self._hub.flush()

    def _go_on(self) -> None:
        self._advance_loads()
        self.publish()
        self._timer = self._hub.loop.call_later(self._interval, self._go_on)

    def _values(self) -> Iterator[tuple[str, str]]:
        hub = self._hub
        absent = len(hub.sessions) - hub.counters.clients_connected
        yield "version", f"flowrunner version {self._version}"
        yield "uptime", f"{int(time.monotonic() - self._started)} seconds"
        for name, read in _TOTALS.items():
            yield name, str(read(hub.counters))
        yield "clients/total", str(len(hub.sessions))
        yield "clients/disconnected", str(absent)
        yield "clients/inactive", str(absent)
        yield "subscriptions/count", str(len(hub.subscriptions))
        yield "shared_subscriptions/count", str(hub.subscriptions.shared_count)
        yield "retained messages/count", str(len(hub.retained))
        stored = len(hub.retained) + sum(session.waiting for session in hub.sessions.values())
        yield "messages/stored", str(stored)
        yield "store/messages/count", str(stored)
        for (name, minutes), load in self._load.items():
            yield f"{name}/{minutes}min", f"{load:.2f}"

    def _advance_loads(self) -> None:
        """Move the averages on: events per minute, weighted exponentially over so many minutes."""
        for name, read in _LOADS.items():
            total = read(self._hub.counters)
            rate = (total - self._last[name]) * 60 / self._interval
            self._last[name] = total
            for minutes in _MINUTES:
                weight = math.exp(-self._interval / 60 / minutes)
                self._load[name, minutes] = rate + weight * (self._load[name, minutes] - rate)
