"""Says how much a broker takes on before it refuses or drops, so that no client can fill the memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one broker; sizes in bytes, times in seconds."""

    packet_size: int = 16 * 1024 * 1024
    """The largest packet a client may send; announced to MQTT 5 clients."""
    queued_messages: int = 10_000
    """QoS 1 and 2 messages that wait for one client; further ones are dropped and counted."""
    queued_bytes: int = 64 * 1024 * 1024
    """The payloads of those messages together."""
    in_flight: int = 1_000
    """QoS 1 and 2 messages sent to one client and not acknowledged yet; a client's receive maximum lowers it."""
    buffered_bytes: int = 8 * 1024 * 1024
    """What may wait in the socket of a slow client before its QoS 0 messages are dropped and counted."""
    most_unread_bytes: int = 64 * 1024 * 1024
    """What may wait in the socket of a client that asks for more and reads nothing, before it is disconnected."""
    sessions: int = 10_000
    """Clients, connected or kept; further ones are refused."""
    retained_messages: int = 100_000
    """Topics with a retained message; further ones are passed on but not kept."""
    retained_bytes: int = 256 * 1024 * 1024
    """Their payloads together."""
    topic_levels: int = 200
    """The levels of a topic or filter."""
    subscriptions: int = 10_000
    """Filters that one client may subscribe to; further ones are refused."""
    receive_maximum: int = 1_000
    """QoS 2 messages that a client may have begun and not finished; announced to MQTT 5 clients."""
    topic_aliases: int = 16
    """Topic aliases that one connection may use."""
    keep_alive: int = 0
    """The longest keep-alive of MQTT 5 clients; a longer one, or none, is replaced by it. 0: as they wish."""
    connect_timeout: float = 10.0
    """How long a connection may take until its CONNECT packet is complete."""
