"""Turns the ways in which a broker cannot be reached or says no into a sentence that says what to do."""

import socket
import ssl
from typing import Literal

from paho.mqtt.client import WebsocketConnectionError

from flowrunner.connections import ConnectionSettings
from flowrunner.errors import ConnectionFailed

Kind = Literal["absent", "closed", "version", "refused", "taken"]

#: Reason codes (MQTT 5.0 section 2.4).
PROTOCOL_ERROR = 0x82
WRONG_VERSION = 0x84
KEEP_ALIVE_TIMEOUT = 0x8D
NOT_AUTHORIZED = 0x87
TAKEN_OVER = 0x8E

MALFORMED = "the broker sent something that is not MQTT"
UNANSWERED = "the broker does not answer a subscription"

_REFUSED = {
    0x80: "refused the connection without giving a reason",
    0x82: "reports a protocol error",
    0x83: "refused the connection for a reason of its own",
    0x88: "is not available now",
    0x89: "is too busy now",
    0x8A: "has banned this client: ask whoever runs it",
    0x8C: "wants another way of authentication than a user name and a password",
    0x95: "accepts no packet as large as the first one",
    0x97: "has no room for another client: its quota is used up",
    0x9C: "asks to use another server",
    0x9D: "has moved to another address",
    0x9F: "does not take so many connections at a time",
}
_ABOUT_WILL = (0x80, 0x83, NOT_AUTHORIZED, 0x90, 0x9A, 0x9B)
_ENDED = {
    0x04: "the broker ended it",
    0x80: "the broker ended it without giving a reason",
    0x81: "the broker could not read a packet",
    PROTOCOL_ERROR: "the broker reports a protocol error",
    0x83: "the broker ended it for a reason of its own",
    0x87: "the broker says: not authorized",
    0x89: "the broker is too busy",
    0x8B: "the broker is shutting down",
    KEEP_ALIVE_TIMEOUT: "there was no sign of life within the keep-alive time",
    0x90: "the broker does not accept the topic of a message",
    0x93: "the broker got more messages at a time than it takes",
    0x95: "a message was larger than the broker accepts",
    0x96: "the broker does not take so many messages at a time",
    0x97: "the broker's quota for this client is used up",
    0x98: "somebody who runs the broker ended it",
    0x99: "the broker does not accept the format of a payload",
    0x9A: "the broker keeps no retained messages",
    0x9B: "the broker does not take this QoS",
    0x9C: "the broker asks to use another server",
    0x9D: "the broker has moved to another address",
    0x9F: "the broker does not take so many connections at a time",
    0xA0: "the broker allows connections to last only so long",
}
_NOT_SUBSCRIBED = {
    0x80: "the broker refused it without giving a reason: may this user read there?",
    0x83: "the broker refused it for a reason of its own",
    0x87: "not authorized: this user may not read there",
    0x8F: "the broker does not accept this topic filter",
    0x91: "the packet identifier is in use",
    0x97: "the broker's quota is used up",
    0x9E: "the broker has no shared subscriptions",
    0xA1: "the broker has no subscription identifiers",
    0xA2: "the broker does not take wildcards",
}


class Refused(ConnectionFailed):
    """A connection could not be made. `kind` says whether another version of the protocol might help."""

    #: Whether it may be the will that the broker does not allow.
    is_about_will = False

    def __init__(self, words: str, kind: Kind) -> None:
        super().__init__(words)
        self.words = words
        self.kind = kind


def unreachable(error: Exception, settings: ConnectionSettings) -> Refused:
    """What an exception of the network means."""
    return Refused(_unreachable(error, settings), "absent")


def _unreachable(error: Exception, settings: ConnectionSettings) -> str:
    where = settings.shown
    match error:
        case ConnectionFailed():
            return str(error)
        case socket.gaierror(errno=socket.EAI_AGAIN):
            return f"the name `{settings.host}` could not be looked up: is there a network?"
        case socket.gaierror():
            return f"there is no host named `{settings.host}`"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {where} is not trusted: {_distrust(error, settings)}"
        case ssl.SSLError():
            return f"{where} does not speak TLS as expected: is it a port without TLS (mqtt://)?"
        case ConnectionResetError() if settings.scheme in ("mqtts", "wss"):
            return f"{where} does not speak TLS as expected: is it a port without TLS (mqtt://)?"
        case ConnectionRefusedError():
            return f"nothing answers at {where}: is the broker running?"
        case TimeoutError():
            return f"{where} does not answer: is the address right, or a firewall in between?"
        case WebsocketConnectionError():
            return f"{where} does not speak MQTT over WebSockets: {error}"
        case FileNotFoundError() if settings.scheme == "mqtt+unix":
            return f"there is no socket `{settings.path}`: is the broker running?"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"no connection to {where}: {text[:1].lower()}{text[1:]}"


def _distrust(error: ssl.SSLCertVerificationError, settings: ConnectionSettings) -> str:
    expired = "it has expired: whoever runs the broker must renew it (or the clock of this machine is wrong)"
    unsigned = "give the certificate of the authority that signed it as `ca` under `tls`"
    if settings.tls.ca:
        unsigned = "`ca` under `tls` is not the authority that signed it"
    return distrust(error, settings.host, expired=expired, unsigned=unsigned)


def distrust(error: ssl.SSLCertVerificationError, host: str, *, expired: str, unsigned: str) -> str:
    """What OpenSSL does not like of a certificate of a host; what to do where it `expired`, or is `unsigned` for us."""
    said: str = getattr(error, "verify_message", "") or str(error)
    match getattr(error, "verify_code", 0):
        case 9:
            return "it is not valid yet: is the clock of this machine right?"
        case 10:
            return expired
        case 62 | 64:
            return f"it is for another name than `{host}`: use the name that stands in it"
        case 18 | 19 | 20 | 21:
            return f"{said}: {unsigned}"
    return said


def refused(code: int, settings: ConnectionSettings, client_id: str) -> Refused:
    """What a CONNACK with this reason code means (MQTT 5.0 section 3.2.2.2); those of 3.1.1 come translated by paho."""
    refusal = _refused(code, settings, client_id)
    refusal.is_about_will = code in _ABOUT_WILL
    return refusal


def _refused(code: int, settings: ConnectionSettings, client_id: str) -> Refused:
    where, user = settings.shown, settings.username
    if code == WRONG_VERSION:
        if settings.protocol == "auto":
            return Refused(f"{where} speaks neither MQTT 5 nor MQTT 3.1.1", "version")
        return Refused(f"{where} does not speak MQTT {settings.protocol}: set `protocol: auto`", "version")
    if code == 0x85:
        return Refused(f"{where} does not accept the client id `{client_id}`: set another `client_id`", "refused")
    if code in (0x86, 0x87) and user is None:
        words = (
            f"{where} wants a user name and a password: `mqtt://user:password@host`, or `username` in flowrunner.yaml"
        )
        return Refused(words, "refused")
    if code in (0x86, 0x87):
        return Refused(f"{where} does not let the user `{user}` in: wrong password, or not authorized", "refused")
    return Refused(f"{where} {_REFUSED.get(code, f'refused the connection (reason code {code:#04x})')}", "refused")


def closed(settings: ConnectionSettings, *, is_readable: bool) -> Refused:
    """What it means that there was no proper CONNACK."""
    hint = ": is it a port for TLS (mqtts://)?"
    if settings.scheme in ("mqtts", "wss"):
        hint = ": does it accept our certificate?"
        if not settings.tls.cert:
            hint = ": perhaps it wants a certificate of ours (`cert` and `key` under `tls`)"
    if settings.protocol == "5":
        hint = ": does it speak MQTT 3.1.1 only? set `protocol: auto`"
    if is_readable:
        return Refused(f"{settings.shown} closed the connection instead of answering{hint}", "closed")
    return Refused(f"{settings.shown} answered with something that is not MQTT{hint}", "version")


def silent(settings: ConnectionSettings) -> Refused:
    """What it means that a broker never answers CONNECT."""
    return Refused(f"{settings.shown} takes the connection but never answers: is it an MQTT broker?", "closed")


def ended(code: int) -> str:
    """What a DISCONNECT with this reason code means (MQTT 5.0 section 3.14.2.1)."""
    return _ENDED.get(code, f"the broker ended it (reason code {code:#04x})")


def taken(client_id: str, *, is_sure: bool) -> str:
    """What it means to be thrown out by another client, and what to do."""
    advice = f"is flowrunner running twice? give one of them another `client_id` than `{client_id}`"
    if is_sure:
        return f"another client took over the client id `{client_id}`: {advice}"
    return f"the broker closes each connection at once; probably another client uses the same client id: {advice}"


def not_subscribed(code: int) -> str:
    """What a SUBACK with this reason code means (MQTT 5.0 section 3.9.3)."""
    return _NOT_SUBSCRIBED.get(code, f"the broker refused it (reason code {code:#04x})")
