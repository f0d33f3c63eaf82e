"""Counts what a broker does, for $SYS."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals since the start; messages are packets of every type, publishes only PUBLISH packets."""

    bytes_received: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    publishes_received: int = 0
    publishes_sent: int = 0
    publishes_dropped: int = 0
    publish_bytes_received: int = 0
    publish_bytes_sent: int = 0
    sockets: int = 0
    connections: int = 0
    clients_connected: int = 0
    clients_maximum: int = 0
    clients_expired: int = 0
