import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import PIPE
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties

from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.errors import ConnectionFailed, StepError
from flowrunner.run import refusals
from flowrunner.run.client import tls_context
from flowrunner.run.identity import client_id
from flowrunner.run.properties import from_paho, to_paho
from flowrunner.run.terms import read_terms
from flowrunner.run.threads import in_thread
from tests.run.fakes import until

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff"), max_size=30)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "user": st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3),
        "content_type": TEXTS,
        "response_topic": TEXTS,
        "correlation_data": st.binary(max_size=30),
        "message_expiry": st.integers(0, 2**32 - 1),
    },
)


def paho_properties(packet: int) -> Any:
    return PahoProperties(packet)  # type: ignore[no-untyped-call]


@given(PROPERTIES)
def test_properties_survive_the_way_to_the_broker_and_back(properties: dict[str, Any]) -> None:
    made = to_paho(properties)
    if made is None:
        assert not properties
        return
    read = paho_properties(PacketTypes.PUBLISH)
    read.unpack(made.pack())  # type: ignore[no-untyped-call]
    assert from_paho(read) == (properties, ())


def test_identifiers_come_apart_from_the_properties() -> None:
    made = paho_properties(PacketTypes.PUBLISH)
    made.SubscriptionIdentifier = [3, 7]
    assert from_paho(made) == ({}, (3, 7))
    assert from_paho(None) == ({}, ())


@pytest.mark.parametrize(
    "properties",
    [
        {"content_type": "a\0b"},
        {"content_type": "\ud800"},
        {"response_topic": "x" * 70_000},
        {"correlation_data": 5},
        {"correlation_data": b"x" * 70_000},
        {"message_expiry": -1},
        {"message_expiry": "soon"},
        {"message_expiry": True},
        {"user": {"k": "\0"}},
    ],
)
def test_a_property_that_the_protocol_cannot_carry_is_an_error_of_the_step(properties: dict[str, Any]) -> None:
    with pytest.raises(StepError) as caught:
        to_paho(properties)
    assert next(iter(properties)) in caught.value.message


def test_terms_are_what_the_broker_says() -> None:
    said = paho_properties(PacketTypes.CONNACK)
    said.ReceiveMaximum, said.MaximumPacketSize, said.MaximumQoS = 7, 1000, 1
    said.RetainAvailable = said.SubscriptionIdentifierAvailable = 0
    terms = read_terms(5, said, session_present=True)
    assert (terms.receive_maximum, terms.maximum_packet, terms.maximum_qos) == (7, 1000, 1)
    assert not terms.has_retain
    assert not terms.has_identifiers
    assert terms.has_shared
    assert not read_terms(4, None, session_present=False).has_identifiers


def test_a_client_id_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    made = client_id("default", tmp_path)
    assert made.startswith("flowrunner-")
    assert client_id("default", tmp_path) == made
    assert client_id("cloud", tmp_path) != made
    (kept,) = (tmp_path / ".flowrunner").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["default"] == made


def test_processes_that_begin_at_the_same_time_have_the_same_client_ids(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from flowrunner.run.identity import client_id\n"
        "sys.stdin.readline()\n"
        "print([client_id(f'c{number}', Path(sys.argv[1])) for number in range(20)])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    workers = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) for _ in range(3)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert len({worker.communicate()[0] for worker in workers}) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"default": 5}', "\0"])
def test_a_broken_file_of_client_ids_is_made_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / ".flowrunner").mkdir()
    (tmp_path / ".flowrunner" / "client-ids.json").write_text(content)
    made = client_id("default", tmp_path)
    assert client_id("default", tmp_path) == made


def test_where_nothing_can_be_written_the_client_id_lives_in_memory(tmp_path: Path) -> None:
    (tmp_path / ".flowrunner").write_text("a file, where a folder should be")
    assert client_id("default", tmp_path).startswith("flowrunner-")
    assert client_id("default", None) != client_id("default", None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "nothing answers at mqtt://h:1: is the broker running?"),
        (TimeoutError(), "does not answer"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "there is no host named `h`"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "is there a network?"),
        (ssl.SSLError(1, "wrong version number"), "a port without TLS"),
        (ssl.SSLCertVerificationError(1, "x"), "is not trusted"),
        (paho.WebsocketConnectionError("no"), "WebSockets"),
        (OSError(113, "No route to host"), "no connection to mqtt://h:1: no route to host"),
        (ConnectionFailed("the certificate is no certificate"), "the certificate is no certificate"),
    ],
)
def test_an_unreachable_broker_is_explained(error: Exception, words: str) -> None:
    refusal = refusals.unreachable(error, ConnectionSettings(host="h", port=1))
    assert words in refusal.words
    assert refusal.kind == "absent"


@pytest.mark.parametrize(
    ("code", "user", "words"),
    [
        (0x84, None, "speaks neither MQTT 5 nor MQTT 3.1.1"),
        (0x85, None, "does not accept the client id `me`"),
        (0x86, None, "wants a user name and a password"),
        (0x86, "eve", "does not let the user `eve` in"),
        (0x87, "eve", "does not let the user `eve` in"),
        (0x88, None, "is not available now"),
        (0x8A, None, "has banned this client"),
        (0xEE, None, "0xee"),
    ],
)
def test_a_refusal_is_explained(code: int, user: str | None, words: str) -> None:
    settings = ConnectionSettings(host="h", port=1, username=user, password="secret-word")
    refusal = refusals.refused(code, settings, "me")
    assert words in refusal.words
    assert "secret-word" not in refusal.words


def test_a_file_for_tls_that_is_none_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("nonsense")
    for tls in (TlsSettings(ca=str(broken)), TlsSettings(ca=str(tmp_path / "no.pem")), TlsSettings(cert=str(broken))):
        with pytest.raises(ConnectionFailed, match=r"ca\.pem|no\.pem"):
            tls_context(ConnectionSettings(scheme="mqtts", tls=tls))


async def test_what_a_thread_returns_or_raises_arrives() -> None:
    assert await in_thread(lambda: 5, abandoned=lambda: None) == 5
    with pytest.raises(KeyError):
        await in_thread(lambda: os.environ["NO SUCH NAME"], abandoned=lambda: None)


async def test_a_thread_that_nobody_waits_for_clears_up_after_itself() -> None:
    may_go, abandoned = threading.Event(), threading.Event()
    task = asyncio.create_task(in_thread(lambda: may_go.wait(10), abandoned=abandoned.set))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go.set()
    await until(abandoned.is_set)
