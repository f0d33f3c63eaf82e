"""Turns the address of a Redis, as people write it, into what a client needs to connect."""

import re
from dataclasses import field
from typing import NoReturn
from urllib.parse import parse_qsl, unquote

from flowrunner.address import BadAddress
from flowrunner.diagnostics import suggest
from flowrunner.records import dataclass

SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PORT = 6379

_SCHEME = re.compile(r"([^/@\[\]?#]*)://")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.-]+)")
_KEYS = {"redis": ("name",), "rediss": ("name", "ca", "cert", "key"), "unix": ("name", "db")}

#: The options of an address that name a file.
FILES = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where steps keep what they remember: a Redis.

    `name` is what the keys of this project begin with there; empty where the address does not say. `ca` is the file
    with the certificate of the authority that signed that of the server, `cert` and `key` are ours, if it wants one.
    """

    scheme: str = "redis"
    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    name: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    @property
    def shown(self) -> str:
        """The address as it may be shown: without user and password."""
        if self.scheme == "unix":
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.db}"


def parse_state(text: str) -> StateSettings:
    """Where a Redis is, from `redis://[user:password@]host:port/db`, `rediss://...` (TLS), `unix:///path?db=0`.

    `?name=plant` names the project, `?ca=ca.pem&cert=me.pem&key=me.key` the files for TLS. User and password are
    percent-decoded. Raises BadAddress.
    """
    if blank := re.search(r"[\s\x00-\x1f\x7f]", text):
        _fail("an address holds no blanks", blank.start(), blank.end())
    found = _SCHEME.match(text)
    word = found[1].lower() if found else ""
    if not found or word not in SCHEMES:
        near = "unix" if "unix" in word else suggest(word, SCHEMES) if word else ""
        help = f"write `{near}://`" if near else "write `redis://localhost:6379/0`"
        end = len(found[1]) if found else len(text)
        _fail("the address of a Redis begins with `redis`, `rediss` or `unix`", 0, end, help)
    query = text.find("?", found.end())
    end = len(text) if query < 0 else query
    given = _query(text, end, word)
    at = text.rfind("@", found.end(), end)
    username, password = _user(text, found.end(), at) if at >= 0 else (None, None)
    start = at + 1 if at >= 0 else found.end()
    rest = {"username": username, "password": password, **{key: given[key] for key in given if key != "db"}}
    if word == "unix":
        if not text[start:end].startswith("/") or end == start + 1:
            _fail("the path of the socket is missing", start, end, "write `unix:///run/redis/redis.sock`")
        return StateSettings("unix", "", 0, unquote(text[start:end]), int(given.get("db", "0")), **rest)  # type: ignore[arg-type]
    slash = text.find("/", start, end)
    authority = end if slash < 0 else slash
    host, port = _host_and_port(text, start, authority)
    db = text[authority + 1 : end]
    if not re.fullmatch(r"[0-9]{0,5}", db):
        _fail("behind the host stands the number of a database", authority + 1, end, "such as `/0`")
    return StateSettings(word, host, port, "", int(db or "0"), **rest)  # type: ignore[arg-type]


def _fail(message: str, start: int, end: int, help: str = "") -> NoReturn:
    raise BadAddress(message, start, end, help)


def _query(text: str, start: int, scheme: str) -> dict[str, str]:
    known = _KEYS[scheme]
    given = dict(parse_qsl(text[start + 1 :], keep_blank_values=True))
    for key, value in given.items():
        place = text.find(key, start)
        if key not in known:
            shown = [f"`{one}=`" for one in known]
            help = f"there {'is' if len(known) == 1 else 'are'} {' and '.join(', '.join(shown).rsplit(', ', 1))}"
            _fail("this is no option of such an address", start, len(text), help)
        if not value or (key == "db" and not re.fullmatch(r"[0-9]{1,5}", value)):
            _fail("the value of this option is missing, or is none", place if place >= 0 else start, len(text))
    if ("cert" in given) != ("key" in given):
        _fail("`cert=` and `key=` belong together", start, len(text))
    return given


def _user(text: str, start: int, at: int) -> tuple[str | None, str | None]:
    if (other := next((place for place in range(start, at) if text[place] in "@/?#"), -1)) >= 0:
        code = f"%{ord(text[other]):02X}"
        _fail(f"a `{text[other]}` in a user name or password must be written `{code}`", other, other + 1)
    username, colon, password = text[start:at].partition(":")
    return unquote(username) or None, unquote(password) if colon else None


def _host_and_port(text: str, start: int, end: int) -> tuple[str, int]:
    found = _HOST.match(text, start, end)
    if not found:
        _fail("an address must name a host", start, end, "write `redis://localhost:6379/0`")
    port = text[found.end() : end]
    if port and not re.fullmatch(r":[0-9]{1,5}", port):
        _fail("behind the host only a port may follow", found.end(), end, "such as `:6379`")
    number = int(port[1:] or "0") if port else DEFAULT_PORT
    if not 1 <= number <= 65_535:
        _fail("a port is a number from 1 to 65535", found.end() + 1, end, f"leave it out for {DEFAULT_PORT}")
    return found[0].strip("[]"), number
