"""`flowrunner broker`, as a person starts and stops it."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.broker import BrokerThread
from flowrunner.cli import main
from tests.broker.test_server import client_context
from tests.broker.wire import Wire

TLS = Path(__file__).parents[1] / "tls"
COMMAND = [sys.executable, "-m", "flowrunner", "broker"]


@contextmanager
def running(*arguments: object) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """The command on a free port, and the line that it prints."""
    pipe = subprocess.PIPE
    words = [*COMMAND, "-p", "0", *map(str, arguments)]
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline()
        finally:
            process.kill()


def port_of(line: str, name: str = "broker on") -> int:
    found = re.search(rf"{name} 127\.0\.0\.1:(\d+)", line)
    assert found, line
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_without_noise(number: int) -> None:
    with running() as (process, line):
        assert line == (
            f"broker on 127.0.0.1:{port_of(line)}: MQTT 3.1.1 and 5, all in memory, nothing is kept on disk\n"
        )
        with Wire(port_of(line), 5) as wire:
            wire.connect("me")
            process.send_signal(number)
            assert [each.body[0] for each in wire.expect_closed()] == [0x8B]
        rest, errors = process.communicate(timeout=10)
        assert (process.returncode, rest, errors) == (0, "", "")


def test_who_opens_it_to_the_network_is_told() -> None:
    with running("-h", "0.0.0.0") as (_, line):
        assert line.endswith("; whoever reaches this address may use it (`--user NAME:PASSWORD` asks for a password)\n")
    with running("-h", "0.0.0.0", "--user", "me:secret") as (_, line):
        assert line.endswith("nothing is kept on disk\n")


def test_users_and_their_topics(tmp_path: Path) -> None:
    acl, passwords = tmp_path / "acl", tmp_path / "passwords"
    acl.write_text("user me\ntopic read mine/#\n")
    passwords.write_text("you:$6$YWJj$" + "A" * 86 + "==\n")
    with running("--user", "me:se:cret", "--acl", acl, "--password-file", passwords) as (_, line):
        with Wire(port_of(line), 5) as wire:
            assert wire.connect("a", user="me", password="wrong").body[1] == 0x86
        with Wire(port_of(line), 5) as wire:
            assert wire.connect("a", user="me", password="se:cret").body[1] == 0
            assert wire.subscribe("mine/x", "yours/x") == b"\x00\x87"


def test_tls_and_websockets() -> None:
    options = ["--cert", TLS / "server.pem", "--key", TLS / "server.key", "--websocket-port", 0]
    with running(*options) as (_, line):
        assert "with TLS" in line
        assert port_of(line, "websockets on") != port_of(line)
        with Wire(port_of(line), tls=client_context()) as wire:
            assert wire.connect("me").body[1] == 0


def test_verbose_tells_who_comes_and_goes() -> None:
    with running("-v") as (process, line):
        with Wire(port_of(line)) as wire:
            wire.connect("sensor7")
            wire.disconnect()
        assert process.stderr
        told = [process.stderr.readline() for _ in range(2)]
        assert re.fullmatch(r"\d\d:\d\d:\d\d sensor7 connected from 127\.0\.0\.1:\d+ with MQTT 3\.1\.1\n", told[0])
        assert re.fullmatch(r"\d\d:\d\d:\d\d sensor7 \(127\.0\.0\.1:\d+\) has gone\n", told[1])


def test_an_address_in_use_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with BrokerThread() as other:
        assert main(["broker", "-p", str(other.port)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err == f"error: 127.0.0.1:{other.port} is in use by another program; `-p 0` takes a free port\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "me"], "`--user` must be NAME:PASSWORD"),
        (["--user", ":x"], "`--user` must be NAME:PASSWORD"),
        (["--key", "{tls}/server.key"], "`--key` and `--ca` need the certificate of this broker: `--cert FILE`"),
        (["--cert", "{tls}/make.sh"], "the certificate, its key or the ca cannot be used"),
        (["--cert", "{tls}/ca.pem", "--key", "{tls}/server.key"], "the certificate, its key or the ca cannot be used"),
        (["--password-file", "{tls}/make.sh"], "make.sh:3: must be NAME:HASH as mosquitto_passwd writes it"),
        (["--acl", "{tls}/make.sh"], "make.sh:3: must be `user NAME`, `topic MODE FILTER` or `pattern MODE FILTER`"),
        (["-h", "no-such-host.invalid"], "cannot listen on no-such-host.invalid:"),
        (["-h", "192.0.2.1"], "cannot listen on 192.0.2.1:1883: cannot assign requested address"),
        (["-p", "70000"], "70000"),
    ],
)
def test_a_mistake_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["broker", *(each.format(tls=TLS) for each in arguments)]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
