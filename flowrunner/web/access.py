"""Decides who may do what: which Host and Origin a request may come with, and what needs the token."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from secrets import token_urlsafe
from typing import Literal
from urllib.parse import urlsplit

from flowrunner.run.identity import FOLDER, replace_file

Refusal = Literal["host", "origin", "token"]

_SAFE = frozenset({"GET", "HEAD"})
#: Changes nothing and tells nothing but that the program is there: for whoever restarts it.
_FREE = frozenset({"/health", "/ready"})
#: Looking, although it sends something along: what is on the screen.
_LOOKING = frozenset({"/api/look"})


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what. `host` and `port` are where the page is served; `token` is in the address that is printed."""

    host: str
    port: int
    token: str

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the page: then looking is free."""
        return is_loopback(self.host)

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token: cookies do not know ports."""
        return f"flowrunner-{self.port}"

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is refused; None if it is not.

        Host stands against names that an attacker points at this machine, Origin against pages of others that have a
        browser send something here. The names of `headers` are in lower case.
        """
        if not self.knows_host(headers.get("host", "")):
            return "host"
        if not self._is_own_origin(method, headers):
            return "origin"
        if path in _FREE and method in _SAFE:
            return None
        is_looking = method in _SAFE or path in _LOOKING
        if (is_looking and self.is_private) or self.is_known(headers):
            return None
        return "token"

    def knows_host(self, value: str) -> bool:
        """Whether a Host header (RFC 9110 section 7.2) names this machine, and the port."""
        name, port = _split(value)
        if not name or (port if port is not None else 80) != self.port:
            return False
        if name in {"localhost", self.host.lower()} or is_loopback(name):
            return True
        return not self.is_private and (_is_address(name) or name in _own_names())

    def is_known(self, headers: Mapping[str, str]) -> bool:
        """Whether a request brings the token, in its cookie or as `Authorization: Bearer ...`."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return cookie is not None and self.is_token(cookie.value)

    def is_token(self, given: str) -> bool:
        """Whether this is the token; as slow for a good guess as for a bad one."""
        return compare_digest(given.encode(), self.token.encode())

    def _is_own_origin(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from the page itself, or from no page at all."""
        origin = headers.get("origin")
        if origin is not None:
            parts = urlsplit(origin)
            return parts.scheme in {"http", "https"} and parts.netloc.lower() == headers.get("host", "").lower()
        if method in _SAFE:
            return True
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}


def _split(value: str) -> tuple[str, int | None]:
    """Name and port of a Host header; no name if it is none."""
    if not value or any(char in value for char in "@/\\?# \t,"):
        return "", None
    try:
        parts = urlsplit(f"//{value}")
        return (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as seen from itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _own_names() -> Iterable[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", name.partition(".")[0], socket.getfqdn().lower()}


def kept_token(folder: Path | None) -> str:
    """The token that is kept in `.flowrunner/` inside a folder, made and kept if there is none.

    So a page that stays open goes on when the runner was started anew. Where nothing can be written it is a new one.
    """
    if folder is None:
        return token_urlsafe(24)
    path = folder / FOLDER / "web-token"
    try:
        known = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    if len(known) >= 32 and known.replace("-", "").replace("_", "").isalnum():
        return known
    made = token_urlsafe(24)
    replace_file(path, made.encode())
    return made
