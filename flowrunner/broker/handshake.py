"""Answers the request that turns an HTTP connection into a websocket (RFC 6455 section 4.2)."""

import ipaddress
import socket
from base64 import b64decode, b64encode
from hashlib import sha1
from urllib.parse import urlsplit

from flowrunner.broker.listening import is_loopback

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PROTOCOLS = ("mqtt", "mqttv3.1")


class Refused(Exception):
    """The request is no upgrade that can be accepted."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.answer = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nUpgrade: websocket\r\n"
            f"Connection: close\r\nContent-Length: {len(text.encode()) + 1}\r\n\r\n{text}\n"
        ).encode()


def accept_upgrade(request: bytes, *, checks_origin: bool) -> bytes:
    """Answer the opening handshake (RFC 6455 section 4.2)."""
    first, *lines = request.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = f"{fields[name]},{value.strip()}" if name in fields else value.strip()
    if not first.startswith("GET ") or "websocket" not in _words(fields.get("upgrade", "")):
        raise Refused("426 Upgrade Required", "this port speaks MQTT over websockets")
    if fields.get("sec-websocket-version") != "13":
        raise Refused("426 Upgrade Required", "the version of the websocket protocol must be 13")
    key = fields.get("sec-websocket-key", "")
    if not _is_key(key) or "upgrade" not in _words(fields.get("connection", "")):
        raise Refused("400 Bad Request", "the request is no websocket handshake")
    protocol = next(
        (name for name in fields.get("sec-websocket-protocol", "").split(",") if name.strip() in _PROTOCOLS), ""
    )
    if not protocol:
        raise Refused("400 Bad Request", "the subprotocol must be mqtt")
    if checks_origin and not _is_own_page(fields.get("origin"), fields.get("host", "")):
        raise Refused("403 Forbidden", "pages of other hosts may not use a broker that asks for no password")
    accepted = b64encode(sha1(key.encode("latin-1") + _GUID).digest()).decode()  # noqa: S324 (RFC 6455 wants SHA-1)
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\nSec-WebSocket-Protocol: {protocol.strip()}\r\n\r\n"
    ).encode()


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def _is_own_page(origin: str | None, host: str) -> bool:
    """Whether a request comes from no browser, or from a page of this machine.

    A page of any other host could be a stranger's. The names are compared with the machine's own: a stranger's
    name can be made to point at this address (DNS rebinding), so equal names alone prove nothing.
    """
    if origin is None:
        return True
    page = _name(origin)
    if page is None:
        return False
    return is_loopback(page) or (page == _name(f"//{host}") and _is_own_name(page))


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_own_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        own = socket.gethostname().lower()
        return name in (own, f"{own}.local")
    return True
