"""Turns the settings of a connection into one value that the client, the checks and the texts share."""

from dataclasses import dataclass, field
from typing import Literal

Scheme = Literal["mqtt", "mqtts", "ws", "wss", "mqtt+unix"]
Protocol = Literal["auto", "5", "3.1.1"]

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443, "mqtt+unix": 0}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files for an encrypted connection; an empty text means: not given."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One entry under `connections:`, complete. `keep` (seconds) is how long the broker keeps the session."""

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

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user and password."""
        if self.scheme == "mqtt+unix":
            return f"mqtt+unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"
