"""Turns the settings of a connection into one value that the client, the checks and the texts share."""

from dataclasses import field
from typing import Literal

from flowrunner.records import dataclass

Scheme = Literal["mqtt", "mqtts", "ws", "wss", "mqtt+unix"]
Protocol = Literal["auto", "5", "3.1.1"]

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "mqtt+unix": 0}

#: What paho calls the way of each scheme.
TRANSPORTS: dict[str, Literal["tcp", "websockets", "unix"]] = {
    "mqtt": "tcp",
    "mqtts": "tcp",
    "ws": "websockets",
    "wss": "websockets",
    "mqtt+unix": "unix",
}

#: Seconds of a session that does not expire (MQTT 5.0 section 3.1.2.11.2).
FOR_EVER = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files for an encrypted connection; an empty text means: not given.

    `passphrase` opens the key; `alpn` are the protocols that are offered (RFC 7301).
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    passphrase: str | None = field(default=None, repr=False)
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that tells others what becomes of a connection: that it is there, that it broke, that it ends.

    `delay` (seconds) is for the will alone: how long the broker waits for us to come back (MQTT 5.0 section 3.1.3.2.2).
    """

    topic: str
    payload: bytes = field(default=b"", repr=False)
    qos: int = 0
    retain: bool = False
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One entry under `connections:`, complete.

    `keep` (seconds) is how long the broker keeps the session. `birth` is published whenever the connection is made,
    `will` by the broker when it breaks, and `close` when it is ended on purpose. `receive_maximum` is how many messages
    at QoS 1 and 2 the broker may send before they are acknowledged.
    """

    name: str = "default"
    scheme: Scheme = "mqtt"
    host: str = "localhost"
    port: int = 1883
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    protocol: Protocol = "auto"
    keep: float | None = None
    keepalive: int = 60
    tls: TlsSettings = TlsSettings()
    receive_maximum: int = 65_535
    birth: Notice | None = None
    will: Notice | None = None
    close: Notice | None = None

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user and password."""
        if self.scheme == "mqtt+unix":
            return f"mqtt+unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"
