"""Says what stands between a connection and the flows: where deliveries come from, and where publishes go to."""

from collections.abc import Callable, Container
from typing import Protocol

from paho.mqtt.client import Client

from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.records import dataclass

Watch = Callable[[str, bytes, int, bool], None]
"""Is shown every publish while somebody looks: topic, payload, QoS, retain."""


class SocketLike(Protocol):
    """What paho wants of a socket; those for TLS and WebSockets also have `pending`."""

    def recv(self, buffer_size: int) -> bytes:
        """Up to so many bytes; none at the end. Raises BlockingIOError where there is nothing yet."""

    def send(self, buffer: bytes | bytearray) -> int:
        """Take some bytes; returns how many. Raises BlockingIOError where there is no room."""

    def close(self) -> None:
        """Close."""

    def fileno(self) -> int:
        """The descriptor."""

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature of sockets
        """Whether calls wait."""


class Deliver(Protocol):
    """Takes an application message from a broker; when it returns, every flow has finished with the message."""

    def __call__(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001 - positions cost less than names on this path
        properties: Properties,
        identifiers: tuple[int, ...],
        /,
    ) -> None:
        """`identifiers` are those of the subscriptions that matched (MQTT 5.0 section 3.3.2.3.8), often none."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a broker allows on a connection (CONNACK, MQTT 5.0 section 3.2.2.3); 3.1.1 brokers do not say.

    `version` is 5 or 4 (for 3.1.1), `maximum_packet` is in bytes, `receive_maximum` in messages in flight: with more
    than 20 of them at QoS 2, mosquitto loses some on MQTT 3.1.1.
    """

    version: int = 5
    session_present: bool = False
    receive_maximum: int = 20
    maximum_packet: int | None = None
    maximum_qos: int = 2
    has_retain: bool = True
    has_wildcards: bool = True
    has_identifiers: bool = True
    has_shared: bool = True


class Trouble(Protocol):
    """Is told of a publish that was lost: topic, and why in words."""

    def __call__(self, topic: str, reason: str, /) -> None:
        """Report it; never raise."""


class Hold(Protocol):
    """What holds back the acknowledgement of a delivery."""

    def hold(self) -> None:
        """Hold it back until `release` is called once more."""

    def release(self) -> None:
        """Let go of it."""


class Link(Protocol):
    """The traffic of one connection, over all the network connections that it needs in its life.

    Everything but `wrap` is called in the thread of the loop. Between `close` and the next `open` there is no
    broker: publishes at QoS 0 are dropped and counted, the others wait.
    """

    watch: Watch | None
    wake: Callable[[], object]
    """Is called when there is something to write, unless it is in `read` or paho says so itself."""

    @property
    def published(self) -> int:
        """Publishes so far."""

    @property
    def dropped(self) -> int:
        """Publishes at QoS 0 that nobody was there to take."""

    @property
    def has_room(self) -> bool:
        """Whether there is room for what comes of reading on; else the network must take something first."""

    @property
    def pending(self) -> int:
        """Publishes at QoS 1 and 2 that the broker has not acknowledged."""

    @property
    def arrived(self) -> int:
        """Grows with every packet of a message's life that comes, and with nothing else."""

    @property
    def unfinished(self) -> int:
        """Deliveries at QoS 1 and 2 that are not acknowledged, because something is still to be done with them."""

    @property
    def taken(self) -> Container[int]:
        """Packet identifiers that are in use (MQTT 5.0 section 2.2.1)."""

    @property
    def can_resume(self) -> bool:
        """Whether the next network connection may go on with the client of the last one, where a session is kept."""

    @property
    def holds_for_publishes(self) -> bool:
        """Whether a delivery waits by itself for what is published on the same link while it is being handled."""

    def prepare(self, client: Client) -> None:
        """Take a client that is about to connect; a new one knows nothing of what was in flight."""

    def wrap(self, socket: SocketLike) -> SocketLike:
        """Give what the client reads from and writes to instead of its socket; called in another thread."""

    def open(self, terms: Terms) -> None:
        """Learn that the broker has accepted; publishes at QoS 1 and 2 still wait."""

    def release(self) -> None:
        """Send what waits, now that subscriptions and retransmissions are on their way."""

    def read(self) -> bool:
        """Handle what can be read without waiting; true if there is more, of which a selector may know nothing."""

    def write(self) -> bool:
        """Send what can be sent without waiting; true if something is left."""

    def close(self, *, is_early: bool) -> bool:
        """Learn that the network connection is gone; `is_early` if the broker broke it soon after it had accepted.

        True if publishes were in flight, one of which may be the reason.
        """

    def stop(self) -> None:
        """Deliver nothing more, and leave what arrives unacknowledged."""

    def hold(self) -> Hold:
        """Keep the delivery at QoS 1 or 2 that is being handled from being acknowledged, until `release`.

        Called inside of what `Deliver` calls. Acknowledgements leave in the order of arrival, so those of later
        deliveries wait too (MQTT 5.0 section 4.6).
        """

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        """Send or queue a message, never wait. Raises StepError if it can never be sent, or if the queue is full."""

    def promise(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001
        properties: Properties,
        done: Callable[[], object],
        /,
    ) -> None:
        """The same at QoS 1 or 2; calls `done` when the broker has acknowledged it, or when it was given up."""
