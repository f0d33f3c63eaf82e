"""Every way to a broker: TCP, TLS with and without client certificates, sockets, passwords, websockets."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.address import parse_address
from flowrunner.broker import Broker
from flowrunner.connections import ConnectionSettings, TlsSettings
from tests.certificates import Authority, make_authority
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fakes import FakeProgram, Told, running, subscribe, until

LOCAL = "IP:127.0.0.1,DNS:localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = make_authority(tmp_path_factory.mktemp("certificates"))
    made.sign("server", hosts=LOCAL)
    made.sign("client")
    made.sign("locked", passphrase="open sesame")
    made.sign("late", hosts=LOCAL, days=-1)
    made.sign("other-name", hosts="DNS:broker.example.org")
    make_authority(made.folder, "stranger")
    return made


def listener(authority: Authority, server: str = "server", *, wants_client: bool = False) -> str:
    folder = authority.folder
    config = f"certfile {folder}/{server}.pem\nkeyfile {folder}/{server}.key\n"
    if wants_client:
        config += f"cafile {authority.certificate}\nrequire_certificate true\nuse_identity_as_username true\n"
    return OPEN + config


async def talk(settings: ConnectionSettings) -> None:
    """Send through a connection what is larger than a TLS record or a websocket frame, at every QoS, and hear it."""
    flow = FakeProgram("flow", subscribe("t/#", qos=2))
    async with running(settings, flow) as runner:
        publish = runner.publisher("default")
        for qos in (0, 1, 2):
            publish(f"t/{qos}", b"%d" % qos * 70_000, qos, False, {})
        await until(lambda: len(flow.got) == 3)
    assert sorted(flow.payloads) == [b"%d" % qos * 70_000 for qos in (0, 1, 2)]


async def refused(settings: ConnectionSettings, *words: str) -> str:
    """What is said where the connection cannot be made; it holds these words."""
    told = Told()
    async with running(settings, FakeProgram("flow", "a"), told=told, is_ready=False):
        await until(lambda: all(word in told.text for word in words), what=f"{words} never came")
    return told.text


pytestmark = pytest.mark.usefixtures("each_link")


@pytest.mark.broker
async def test_mqtts_with_an_authority_of_our_own(authority: Authority, tmp_path: Path) -> None:
    require_mosquitto()
    with Mosquitto(tmp_path, listener(authority)) as mosquitto:
        tls = TlsSettings(ca=authority.certificate)
        for protocol in ("5", "3.1.1"):
            await talk(mosquitto.settings(scheme="mqtts", tls=tls, protocol=protocol))
        await talk(mosquitto.settings(scheme="mqtts", tls=tls, host="localhost"))


@pytest.mark.broker
@pytest.mark.parametrize("client", ["client", "locked"])
async def test_a_client_certificate_with_and_without_a_pass_phrase(
    authority: Authority, tmp_path: Path, client: str
) -> None:
    require_mosquitto()
    folder = authority.folder
    passphrase = "open sesame" if client == "locked" else None
    tls = TlsSettings(authority.certificate, f"{folder}/{client}.pem", f"{folder}/{client}.key", passphrase)
    with Mosquitto(tmp_path, listener(authority, wants_client=True)) as mosquitto:
        await talk(mosquitto.settings(scheme="mqtts", tls=tls))
        assert f"u'{client}'" in mosquitto.log
        settings = mosquitto.settings(scheme="mqtts", tls=TlsSettings(authority.certificate))
        await refused(settings, "perhaps it wants a certificate of ours (`cert` and `key` under `tls`)")


@pytest.mark.broker
async def test_what_is_wrong_with_certificates_is_said(authority: Authority, tmp_path: Path) -> None:
    require_mosquitto()
    trusting = TlsSettings(ca=authority.certificate)
    for server, tls, words in (
        ("server", TlsSettings(), "give the certificate of the authority that signed it as `ca`"),
        (
            "server",
            TlsSettings(ca=f"{authority.folder}/stranger.pem"),
            "`ca` under `tls` is not the authority that signed it",
        ),
        ("late", trusting, "has expired"),
        ("other-name", trusting, "it is for another name"),
    ):
        with Mosquitto(tmp_path / server, listener(authority, server)) as mosquitto:
            await refused(mosquitto.settings(scheme="mqtts", tls=tls), words)
    with Mosquitto(tmp_path / "plain") as mosquitto:
        await refused(mosquitto.settings(scheme="mqtts", tls=trusting), "is it a port without TLS (mqtt://)?")


async def test_a_key_that_cannot_be_opened_is_said_and_nobody_is_asked(authority: Authority) -> None:
    folder = authority.folder
    base = ConnectionSettings(scheme="mqtts", host="127.0.0.1", port=1)
    locked = TlsSettings(authority.certificate, f"{folder}/locked.pem", f"{folder}/locked.key")
    for tls, words in (
        (locked, "is encrypted: give its `passphrase`"),
        (replace(locked, passphrase="hunter2"), "is the `passphrase` right?"),
        (replace(locked, key=f"{folder}/client.key"), "does not belong to the certificate"),
        (replace(locked, cert=f"{folder}/nothing.pem"), "cannot be used"),
        (TlsSettings(ca=f"{folder}/client.key"), "cannot be used"),
    ):
        assert "hunter2" not in await refused(replace(base, tls=tls), words)


async def test_alpn_is_offered(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{authority.folder}/server.pem", f"{authority.folder}/server.key")
    context.set_alpn_protocols(["mqtt"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def accept() -> str | None:
            with context.wrap_socket(listening.accept()[0], server_side=True) as found:
                return found.selected_alpn_protocol()

        tls = TlsSettings(ca=authority.certificate, alpn=("x-amzn-mqtt-ca", "mqtt"))
        port = listening.getsockname()[1]
        settings = ConnectionSettings(scheme="mqtts", host="127.0.0.1", port=port, tls=tls)
        async with running(settings, FakeProgram("flow", "a"), is_ready=False):
            assert await asyncio.to_thread(accept) == "mqtt"


@pytest.fixture
def with_password(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    users = tmp_path / "users"
    users.touch(mode=0o600)
    words = ["mosquitto_passwd", "-b", str(users), "tina", "p@ss: #w/ö%rd"]
    subprocess.run(words, check=True, capture_output=True, timeout=30)
    with Mosquitto(tmp_path / "broker", f"allow_anonymous false\npassword_file {users}\n") as mosquitto:
        yield mosquitto


@pytest.mark.broker
async def test_a_password_may_hold_any_character(with_password: Mosquitto) -> None:
    await talk(with_password.settings(username="tina", password="p@ss: #w/ö%rd"))
    encoded = "p%40ss%3A%20%23w%2F%C3%B6%25rd"
    await talk(parse_address(f"mqtt://tina:{encoded}@127.0.0.1:{with_password.port}"))
    text = await refused(with_password.settings(username="tina", password="p@ss"), "does not let the user `tina` in")
    assert "p@ss" not in text


@pytest.mark.broker
async def test_a_unix_socket(tmp_path: Path) -> None:
    require_mosquitto()
    path = tmp_path / "socket"
    with Mosquitto(tmp_path, f"{OPEN}listener 0 {path}\n"):
        await talk(ConnectionSettings(scheme="mqtt+unix", host="", port=0, path=str(path)))
    path.unlink(missing_ok=True)
    settings = ConnectionSettings(scheme="mqtt+unix", host="", port=0, path=str(path))
    await refused(settings, f"there is no socket `{path}`: is the broker running?")


async def test_websockets_with_and_without_tls(authority: Authority) -> None:
    """Against the embedded broker: Debian builds mosquitto 2.0.11 with websockets that open no listener here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{authority.folder}/server.pem", f"{authority.folder}/server.key")
    async with Broker(port=0, websocket_port=0) as broker:
        assert broker.websocket_port
        await talk(ConnectionSettings(scheme="ws", host="127.0.0.1", port=broker.websocket_port))
    async with Broker(port=0, websocket_port=0, tls=context) as broker:
        assert broker.websocket_port
        tls = TlsSettings(ca=authority.certificate)
        await talk(ConnectionSettings(scheme="wss", host="127.0.0.1", port=broker.websocket_port, tls=tls))


async def test_a_port_without_websockets_is_said() -> None:
    async with Broker(port=0) as broker:
        settings = ConnectionSettings(scheme="ws", host="127.0.0.1", port=broker.port)
        await refused(settings, "WebSockets")
