"""Turns the address of a broker, as people write it, into the settings of a connection."""

import re
from ipaddress import IPv6Address
from typing import NoReturn, get_args
from urllib.parse import unquote_to_bytes

from flowrunner.connections import DEFAULT_PORTS, ConnectionSettings, Scheme
from flowrunner.diagnostics import suggest
from flowrunner.records import dataclass

DEFAULT_WEBSOCKET_PATH = "/mqtt"
"""What brokers listen to unless told otherwise (MQTT 5.0 section 6 leaves it open)."""

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_OTHER_WORDS: dict[str, Scheme] = {
    **dict.fromkeys(("tcp", "mqtt+tcp"), "mqtt"),
    **dict.fromkeys(("ssl", "tls", "mqtt+ssl", "mqtt+tls", "tcps", "secure-mqtt"), "mqtts"),
    **dict.fromkeys(("http", "mqtt+ws", "ws+mqtt"), "ws"),
    **dict.fromkeys(("https", "mqtt+wss", "wss+mqtt"), "wss"),
    **dict.fromkeys(("unix", "file", "unix+mqtt"), "mqtt+unix"),
}
_SCHEME = re.compile(r"([^/@\[\]?#]*)://")
_HOST = re.compile(r"[\w.-]+")
_MUST_BE_ENCODED = {"@": "%40", "#": "%23", "/": "%2F", "?": "%3F", "[": "%5B", "]": "%5D", "%": "%25", " ": "%20"}


class BadAddress(ValueError):
    """An address cannot be used; `start` and `end` are the faulty part of it, `help` is what to write, or empty.

    Neither the message nor the help repeats any part of the address: there may be a password in it.
    """

    def __init__(self, message: str, start: int, end: int, help: str = "") -> None:
        super().__init__(f"{message} ({help})" if help else message)
        self.message = message
        self.start = start
        self.end = end
        self.help = help


def parse_address(text: str, *, name: str = "default") -> ConnectionSettings:
    """Settings of the connection `name`, from `mqtt://user:password@host:port`, `host:port` or `host`.

    Schemes: `mqtt` (port 1883), `mqtts` (TLS, 8883), `ws` (websockets, 80), `wss` (443), `mqtt+unix` (a socket file).
    User and password are percent-decoded (RFC 3986 section 2.1). Raises BadAddress.
    """
    return _Address(text).read(name)


@dataclass(frozen=True, slots=True)
class _Address:
    text: str

    def read(self, name: str) -> ConnectionSettings:
        if blank := re.search(r"[\s\x00-\x1f\x7f]", self.text):
            self.fail("an address holds no blanks", blank.start(), blank.end())
        scheme, start = self.scheme()
        end = self.end_of_authority(start, scheme)
        username, password, start = self.user(start, end)
        path = self.text[end:]
        if scheme == "mqtt+unix":
            self.check_socket(start, end)
            return ConnectionSettings(name, scheme, "", 0, _decoded(path, "surrogateescape"), username, password)
        host, port = self.host_and_port(start, end, scheme)
        if scheme in ("ws", "wss"):
            path = path or DEFAULT_WEBSOCKET_PATH
        elif path not in ("", "/"):
            if "@" in path:
                self.must_be_encoded(end)
            help = "topics are named in the flows; a path is for `ws` and `wss`"
            self.fail(f"an address that begins with `{scheme}` has no path", end, len(self.text), help)
        else:
            path = ""
        return ConnectionSettings(name, scheme, host, port, path, username, password)

    def fail(self, message: str, start: int, end: int, help: str = "") -> NoReturn:
        raise BadAddress(message, start, end, help)

    def scheme(self) -> tuple[Scheme, int]:
        """The scheme, and where what follows `://` begins; `mqtt` where there is none."""
        found = _SCHEME.match(self.text)
        if not found:
            return "mqtt", 0
        word = found[1].lower()
        known = next((scheme for scheme in _SCHEMES if scheme == word), None)
        if not known:
            ours = _OTHER_WORDS.get(word) or suggest(word, _SCHEMES)
            help = f"write `{ours}://`" if ours else "write `mqtt://`, or `mqtts://` for an encrypted connection"
            if word in ("http", "https"):
                help = f"write `{word.replace('http', 'mqtt')}://`, or `{ours}://` for websockets"
            self.fail("an address begins with `mqtt`, `mqtts`, `ws`, `wss` or `mqtt+unix`", 0, len(found[1]), help)
        return known, found.end()

    def end_of_authority(self, start: int, scheme: Scheme) -> int:
        """Where user, host and port end, and a path may begin."""
        found = re.compile(r"[/?#]").search(self.text, start)
        end = found.start() if found else len(self.text)
        authority, rest = self.text[start:end], self.text[end:]
        is_cut = (
            "@" not in authority and "@" in rest and (scheme[:2] != "ws" or not re.search(r"^[^:]*(:\d*)?$", authority))
        )
        if found and is_cut:
            self.must_be_encoded(end)
        if found and "#" in rest:
            place = end + rest.index("#")
            self.fail("an address holds no `#`", place, place + 1, "in a user name or password it is written `%23`")
        return end

    def must_be_encoded(self, place: int) -> NoReturn:
        char = self.text[place]
        message = f"a `{char}` in a user name or password must be written `{_MUST_BE_ENCODED[char]}`"
        self.fail(
            message, place, place + 1, "or give `username` and `password` as keys of their own in `flowrunner.yaml`"
        )

    def user(self, start: int, end: int) -> tuple[str | None, str | None, int]:
        """User name, password, and where the host begins."""
        at = self.text.rfind("@", start, end)
        if at < 0:
            return None, None, start
        if (other := self.text.find("@", start, at)) >= 0:
            self.must_be_encoded(other)
        colon = self.text.find(":", start, at)
        username = self.decoded(start, colon if colon >= 0 else at)
        return username, self.decoded(colon + 1, at) if colon >= 0 else None, at + 1

    def decoded(self, start: int, end: int) -> str:
        part = self.text[start:end]
        if broken := re.search(r"%(?![0-9a-fA-F]{2})", part):
            self.must_be_encoded(start + broken.start())
        if bracket := re.search(r"[\[\]]", part):
            self.must_be_encoded(start + bracket.start())
        try:
            decoded = _decoded(part, "strict")
        except UnicodeDecodeError:
            self.fail("the `%` codes of a user name or password must be UTF-8", start, end)
        if "\0" in decoded:
            self.fail("a user name or password holds no NUL", start, end)
        return decoded

    def check_socket(self, start: int, end: int) -> None:
        example = "write `mqtt+unix:///run/mosquitto.sock`"
        if start < end:
            self.fail("the path of a socket begins with `/`: three slashes in all", start, end, example)
        if len(self.text) <= end + 1:
            self.fail("the path of the socket is missing", end, len(self.text), example)

    def host_and_port(self, start: int, end: int, scheme: Scheme) -> tuple[str, int]:
        if self.text.startswith("[", start, end):
            return self.numeric_host_and_port(start, end, scheme)
        colon = self.text.find(":", start, end)
        if colon >= 0 and self.text.find(":", colon + 1, end) >= 0:
            help = (
                "write it in brackets: `mqtt://[::1]`" if _is_ipv6(self.text[start:end]) else "write `mqtt://host:1883`"
            )
            self.fail("an address has one port, behind one colon", start, end, help)
        host_end = colon if colon >= 0 else end
        host = self.text[start:host_end]
        if not host:
            self.fail("an address must name a host", start, end, "write `mqtt://localhost` for this machine")
        if not _HOST.fullmatch(host):
            fault = next(place for place in range(start, host_end) if not _HOST.fullmatch(self.text[place]))
            self.fail("the name of a host holds letters, digits, `.` and `-` only", fault, fault + 1)
        return host, self.port(host_end, end, scheme)

    def numeric_host_and_port(self, start: int, end: int, scheme: Scheme) -> tuple[str, int]:
        closing = self.text.find("]", start, end)
        if closing < 0:
            self.fail("this `[` is never closed", start, start + 1, "write `mqtt://[::1]:1883`")
        host = self.text[start + 1 : closing].replace("%25", "%", 1)  # before a zone, RFC 6874
        if not _is_ipv6(host):
            self.fail("between `[` and `]` an IPv6 address must stand", start + 1, closing, "write `mqtt://[::1]:1883`")
        if closing + 1 < end and self.text[closing + 1] != ":":
            self.fail("behind `]` only a port may follow", closing + 1, end, "write `mqtt://[::1]:1883`")
        return host, self.port(closing + 1, end, scheme)

    def port(self, colon: int, end: int, scheme: Scheme) -> int:
        """The port behind the colon, or the one that belongs to the scheme."""
        if colon >= end:
            return DEFAULT_PORTS[scheme]
        port = self.text[colon + 1 : end]
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
            help = f"leave it out for {DEFAULT_PORTS[scheme]}"
            self.fail("a port is a number from 1 to 65535", colon if not port else colon + 1, end, help)
        return int(port)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _decoded(text: str, errors: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", errors)
