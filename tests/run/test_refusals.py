"""Every way in which a broker says no, in words that say what to do."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

import pytest

from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.run import refusals
from flowrunner.run.backoff import Backoff
from tests.run.fake_broker import fake_broker, version_of
from tests.run.fakes import FakeProgram, Told, running, subscribe, until

PLAIN = ConnectionSettings(host="broker", port=1883)
TLS = ConnectionSettings(scheme="mqtts", host="broker", port=8883)


def certificate_error(code: int, words: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, words)
    error.verify_code, error.verify_message = code, words
    return error


@pytest.mark.parametrize(
    ("error", "settings", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), PLAIN, "there is no host named `broker`"),
        (
            socket.gaierror(socket.EAI_AGAIN, "x"),
            PLAIN,
            "the name `broker` could not be looked up: is there a network?",
        ),
        (ConnectionRefusedError(), PLAIN, "nothing answers at mqtt://broker:1883: is the broker running?"),
        (TimeoutError(), PLAIN, "does not answer: is the address right, or a firewall in between?"),
        (
            OSError(errno.ENETUNREACH, "Network is unreachable"),
            PLAIN,
            "no connection to mqtt://broker:1883: network is",
        ),
        (ConnectionResetError(), TLS, "is it a port without TLS (mqtt://)?"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), TLS, "is it a port without TLS (mqtt://)?"),
        (certificate_error(9, "x"), TLS, "it is not valid yet: is the clock of this machine right?"),
        (certificate_error(10, "x"), TLS, "it has expired: whoever runs the broker must renew it"),
        (certificate_error(18, "self-signed"), TLS, "self-signed: give the certificate of the authority"),
        (certificate_error(62, "x"), TLS, "it is for another name than `broker`: use the name that stands in it"),
        (certificate_error(64, "x"), TLS, "it is for another name than `broker`: use the name that stands in it"),
        (certificate_error(23, "certificate revoked"), TLS, "is not trusted: certificate revoked"),
    ],
)
def test_what_the_network_says(error: Exception, settings: ConnectionSettings, words: str) -> None:
    assert words in refusals.unreachable(error, settings).words


def test_an_authority_that_is_not_the_right_one() -> None:
    settings = ConnectionSettings(scheme="mqtts", host="broker", port=8883, tls=TlsSettings(ca="ca.pem"))
    words = refusals.unreachable(certificate_error(20, "unable to get it"), settings).words
    assert "`ca` under `tls` is not the authority that signed it" in words


@pytest.mark.parametrize(
    "say",
    [
        lambda code: refusals.refused(code, PLAIN, "me").words,
        refusals.ended,
        refusals.not_subscribed,
    ],
)
def test_every_reason_code_has_a_line_without_a_full_stop(say: Callable[[int], str]) -> None:
    for code in range(0x80, 0xA3):
        line = say(code)
        assert line
        assert not line.endswith(".")
        assert "\n" not in line


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x85, "does not accept the client id `me`: set another `client_id`"),
        (0x86, "wants a user name and a password"),
        (0x87, "wants a user name and a password"),
        (0x88, "is not available now"),
        (0x8A, "has banned this client"),
        (0x97, "its quota is used up"),
        (0x9F, "does not take so many connections at a time"),
        (0xEE, "reason code 0xee"),
    ],
)
def test_what_a_connack_says(code: int, words: str) -> None:
    assert words in refusals.refused(code, PLAIN, "me").words


def answering(connack: str, suback: bytes, then: bytes = b"") -> Callable[..., object]:
    """A broker that answers every SUBSCRIBE for one filter with this code."""

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(bytes.fromhex(connack))
            return
        while packet and packet[0] == 0x82:
            length = packet[1] + 2
            body = packet[2:4] + suback
            writer.write(bytes((0x90, len(body))) + body + then)
            packet = packet[length:]

    return answer


@pytest.mark.parametrize(
    ("protocol", "suback", "words"),
    [
        ("3.1.1", b"\x80", "`flow` cannot hear `a`: the broker refused it without giving a reason: may this user read"),
        ("5", b"\x00\x80", "`flow` cannot hear `a`: the broker refused it without giving a reason: may this user read"),
        ("5", b"\x00\x87", "`flow` cannot hear `a`: not authorized: this user may not read there"),
        ("5", b"\x00\x8f", "`flow` cannot hear `a`: the broker does not accept this topic filter"),
        ("5", b"\x00\x97", "`flow` cannot hear `a`: the broker's quota is used up"),
        ("5", b"\x00\x9e", "`flow` cannot hear `a`: the broker has no shared subscriptions"),
        ("3.1.1", b"\x01", "`flow` on `a`: the broker grants QoS 1 instead of 2"),
        ("5", b"\x00\x00", "`flow` on `a`: the broker grants QoS 0 instead of 2"),
    ],
)
async def test_what_a_suback_says(protocol: str, suback: bytes, words: str) -> None:
    told = Told()
    connack = "2003000000" if protocol == "5" else "20020000"
    flow = FakeProgram("flow", subscribe("a", qos=2))
    async with fake_broker(answering(connack, suback)) as found:  # type: ignore[arg-type]
        settings = ConnectionSettings(host=found.host, port=found.port, protocol=protocol)  # type: ignore[arg-type]
        async with running(settings, flow, told=told, is_ready=False):
            await until(lambda: words in told.text, what=told.text)
    assert told.count(words) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x8B, "the broker is shutting down"),
        (0x93, "the broker got more messages at a time than it takes"),
        (0x95, "a message was larger than the broker accepts"),
        (0x97, "the broker's quota for this client is used up"),
        (0x98, "somebody who runs the broker ended it"),
    ],
)
async def test_what_a_disconnect_says(code: int, words: str) -> None:
    told = Told()
    broker = answering("2003000000", b"\x00\x00", bytes((0xE0, 1, code)))
    async with (
        fake_broker(broker) as settings,  # type: ignore[arg-type]
        running(settings, FakeProgram("flow", "a"), told=told, is_ready=False),
    ):
        await until(lambda: f"lost the connection to {settings.shown}: {words}" in told.text, what=told.text)


def test_waits_grow_up_to_a_cap_and_differ_by_chance() -> None:
    long, short = Backoff(chance=lambda: 0.0), Backoff(chance=lambda: 1.0)
    assert [long.wait() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [short.wait() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]
    long.reset()
    assert long.wait() == 0.5
