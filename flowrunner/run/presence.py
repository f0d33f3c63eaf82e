"""Turns what a runner has to say of itself into retained messages, below a topic of its own on each connection."""

from paho.mqtt.client import Client

from flowrunner.run.link import Terms

#: Below `flowrunner/<client id>/`: `online`, or `offline` where the broker has not heard from us, as will or farewell.
STATUS = "status"
ONLINE, OFFLINE = b"online", b"offline"

#: Network connections in a row that end at once before a broker is suspected of ending them for what we say.
MOST_ENDS = 2

_LONGEST_TOPIC = 65_535
_AROUND = 16  # bytes of a PUBLISH besides topic and payload, at most


class Presence:
    """What one connection says of the runner. Nobody needs it: where a broker does not want it, nothing is said.

    It takes part in no flow, and goes past the queue of the connection, at QoS 0. There is one will to a connection:
    where the user has one, nothing is said of the status.
    """

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._said: dict[str, bytes] = {}
        self._ends = 0
        self._has_status = True
        self._is_silent = False  # to find out whether the broker bears us better so
        self._is_wanted = not set(client_id) & set("+#\0") and len(client_id.encode()) < _LONGEST_TOPIC - 64
        self._client: Client | None = None
        self._terms: Terms | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the broker seems to allow it."""
        return self._is_wanted and not self._is_silent

    def topic(self, name: str) -> str:
        """The topic of one thing that is said."""
        return f"flowrunner/{self._client_id}/{name}"

    def prepare(self, client: Client, *, has_will: bool = False) -> None:
        """Give a client that is about to connect its will (MQTT 5.0 section 3.1.2.5), unless it has one already."""
        self._has_status = not has_will
        if has_will:
            return
        if self.is_wanted:
            client.will_set(self.topic(STATUS), OFFLINE, qos=0, retain=True)
        else:
            client.will_clear()

    def open(self, client: Client, terms: Terms) -> None:
        """Say everything, now that the broker has accepted."""
        self._client, self._terms = client, terms
        if self._has_status:
            self._say(STATUS, ONLINE)
        for name, payload in self._said.items():
            self._say(name, payload)

    def tell(self, name: str, payload: bytes) -> None:
        """Say something, now and on every network connection to come."""
        self._said[name] = payload
        self._say(name, payload)

    def leave(self) -> None:
        """Say that we go; a broker that hears DISCONNECT forgets the will."""
        if self._has_status:
            self._say(STATUS, OFFLINE)
        self._client = None

    def lose(self, *, is_early: bool, is_explained: bool) -> None:
        """Learn that the network connection is gone; `is_early` if the broker broke it soon after it had accepted."""
        self._client = None
        if self._is_silent:
            if is_early and not is_explained:
                self._is_silent = False  # it is not for what we say
            elif not is_early:
                self._is_wanted = False
        self._ends = self._ends + 1 if is_early and not is_explained else 0
        if self._ends == MOST_ENDS:
            self._is_silent = True

    def fall_silent(self) -> None:
        """Try without."""
        self._is_silent = True

    def stay_silent(self) -> None:
        """Never say anything."""
        self._is_wanted = False

    def speak(self) -> None:
        """Learn that it makes no difference."""
        self._is_silent = False

    def _say(self, name: str, payload: bytes) -> None:
        client, terms = self._client, self._terms
        if client is None or terms is None or not self.is_wanted or not terms.has_retain:
            return
        topic = self.topic(name)
        most = terms.maximum_packet
        if most is None or len(topic.encode()) + len(payload) + _AROUND <= most:
            client.publish(topic, payload, 0, retain=True)
