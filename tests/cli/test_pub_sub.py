"""`pub` and `sub` on a real mosquitto: the same letters, the same bytes, and failures in words."""

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from flowrunner.cli import terminal
from tests.cli.command_line import PATIENCE, Result, Run, finish, start, wait_for
from tests.cli.conftest import StartMosquitto
from tests.mosquitto import OPEN, Mosquitto, free_port, require_mosquitto

pytestmark = pytest.mark.broker

TIMED_OUT = 27
TLS = Path(__file__).parents[1] / "tls"


def listen(broker: Mosquitto, *arguments: object) -> "subprocess.Popen[bytes]":
    """A `sub` in a process of its own, whose subscription stands."""
    name = f"listener-{time.monotonic_ns()}"
    process = start("sub", "-p", broker.port, "-i", name, *arguments)
    wait_for(lambda: f"Sending SUBACK to {name}" in broker.log, "the subscription")
    return process


def wait_for_listener(port: int) -> None:
    """Wait for the second listener of a broker, which opens a moment after the first."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens, f"a listener on port {port}")


def mosquitto_sub(broker: Mosquitto, *arguments: str) -> Result:
    """What mosquitto's own client does with the same letters."""
    program = shutil.which("mosquitto_sub")
    assert program is not None
    done = subprocess.run(
        [program, "-p", str(broker.port), *arguments], capture_output=True, timeout=PATIENCE, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.parametrize("version", ["311", "5", "mqttv311", "mqttv5", "auto"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_goes_from_pub_to_sub(run: Run, mosquitto: Mosquitto, version: str, qos: int) -> None:
    common = ("-p", mosquitto.port, "-V", version, "-q", qos, "-t", "a/b")
    assert run("pub", *common, "-r", "-m", "21.5 °C").code == 0
    result = run("sub", *common, "-C", 1, "-W", PATIENCE)
    assert (result.code, result.out) == (0, "21.5 °C\n")


def test_long_forms_mean_the_same(run: Run, mosquitto: Mosquitto) -> None:
    common = ("--host", "127.0.0.1", "--port", mosquitto.port, "--topic", "a", "--qos", 1)
    assert run("pub", *common, "--message", "x", "--retain").code == 0
    result = run("sub", *common, "--count", 1, "--timeout", PATIENCE, "--verbose")
    assert result.out == "a x\n"


@pytest.mark.parametrize(
    "letters", [["-v"], [], ["-N"], ["-v", "-N"], ["-F", "%t|%p|%q|%r|%x|%X|%l|%05l|%6t|%-6t|%.2t|%%|@@|\\t\\\\"]]
)
def test_what_is_printed_is_what_mosquitto_sub_prints(run: Run, mosquitto: Mosquitto, letters: list[str]) -> None:
    for topic, payload in {"t/1": "text", "t/2": "two\nlines", "t/3": " "}.items():
        run("pub", "-p", mosquitto.port, "-t", topic, "-m", payload, "-r")
    wanted = ["-t", "t/+", "-C", "3", *letters]
    assert run("sub", "-p", mosquitto.port, *wanted).raw == mosquitto_sub(mosquitto, *wanted).raw


def test_json_of_mosquitto_sub_is_the_same_but_for_the_time(run: Run, mosquitto: Mosquitto) -> None:
    properties = ["-D", "publish", "user-property", "unit", "°C", "-D", "publish", "content-type", "text/plain"]
    assert run("pub", "-p", mosquitto.port, "-t", "a", "-m", '{"t": 1}', "-r", *properties).code == 0
    for form in ("%j", "%J"):
        letters = ["-t", "a", "-C", "1", "-V", "5", "-F", form]
        ours = json.loads(run("sub", "-p", mosquitto.port, *letters).out)
        theirs = json.loads(mosquitto_sub(mosquitto, *letters).out)
        assert ours.pop("tst").partition(".")[0] <= theirs.pop("tst").partition(".")[0]
        assert ours == theirs


def test_any_bytes_pass_unchanged(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    payload = bytes(range(256))
    (tmp_path / "payload").write_bytes(payload)
    assert run("pub", "-p", mosquitto.port, "-t", "a", "-f", tmp_path / "payload", "-r").code == 0
    assert run("sub", "-p", mosquitto.port, "-t", "a", "-C", 1, "-N").raw == payload


def test_bytes_of_the_command_line_pass_unchanged(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a", "-C", 1)
    assert finish(start("pub", "-p", mosquitto.port, "-t", "a", "-m", "\udcff\udcfe")).code == 0
    assert finish(listener).raw == b"\xff\xfe\n"


def test_an_empty_payload_is_null_where_topics_are_shown_and_nothing_elsewhere(mosquitto: Mosquitto) -> None:
    plain, verbose = listen(mosquitto, "-t", "#", "-C", 2), listen(mosquitto, "-t", "#", "-C", 2, "-v")
    assert finish(start("pub", "-p", mosquitto.port, "-t", "a/b", "-n")).code == 0
    assert finish(start("pub", "-p", mosquitto.port, "-t", "a/c", "-m", "x")).code == 0
    assert finish(plain).out == "x\n"
    assert finish(verbose).out == "a/b (null)\na/c x\n"


def test_lines_of_the_input_are_messages(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a", "-v", "-C", 4)
    sent = finish(start("pub", "-p", mosquitto.port, "-t", "a", "-l", "-q", 1), b"one\ntwo\n\nlast without a line end")
    assert sent.code == 0
    assert finish(listener).out == "a one\na two\na (null)\na last without a line end\n"


def test_lines_are_sent_as_they_come(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a", "-C", 1)
    with start("pub", "-p", mosquitto.port, "-t", "a", "-l") as sender:
        assert sender.stdin is not None
        sender.stdin.write(b"now\nlater")
        sender.stdin.flush()
        assert finish(listener).out == "now\n"
        assert sender.poll() is None
        sender.stdin.close()
        assert sender.wait(PATIENCE) == 0


def test_many_lines_arrive_in_order(tmp_path: Path) -> None:
    numbers = "".join(f"{number}\n" for number in range(5000))
    require_mosquitto()
    with Mosquitto(
        tmp_path, f"{OPEN}max_queued_messages 0\n"
    ) as mosquitto:  # else it drops what a slow listener lets wait
        listener = listen(mosquitto, "-t", "a", "-C", 5000, "-q", 1)
        assert finish(start("pub", "-p", mosquitto.port, "-t", "a", "-l", "-q", 1), numbers.encode()).code == 0
        assert finish(listener).out == numbers


def test_the_whole_input_is_one_message(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a", "-C", 1, "-N")
    assert finish(start("pub", "-p", mosquitto.port, "-t", "a", "-s"), b"one\ntwo\n").code == 0
    assert finish(listener).raw == b"one\ntwo\n"


def test_a_message_can_be_repeated(mosquitto: Mosquitto, run: Run) -> None:
    listener = listen(mosquitto, "-t", "a", "-C", 3)
    sent = run("pub", "-p", mosquitto.port, "-t", "a", "-m", "x", "-q", 2, "--repeat", 3, "--repeat-delay", 0.01)
    assert sent.code == 0
    assert finish(listener).out == "x\nx\nx\n"


def test_json_lines_tell_everything(run: Run, mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\x00")
    properties = [
        *("-D", "publish", "user-property", "unit", "°C"),
        *("-D", "publish", "content-type", "application/x"),
        *("-D", "publish", "response-topic", "answers"),
        *("-D", "publish", "correlation-data", "c1"),
    ]
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", '{"t": 1}', "-r", "-q", 1, *properties)
    run("pub", "-p", mosquitto.port, "-t", "b", "-f", tmp_path / "bytes", "-r")
    result = run("sub", "-p", mosquitto.port, "-t", "#", "-C", 2, "-q", 1, "--json")
    text, raw = sorted((json.loads(line) for line in result.out.splitlines()), key=lambda message: message["topic"])
    assert list(text) == ["topic", "payload", "qos", "retain", "properties", "time"]
    assert text.pop("time").endswith("+00:00")
    assert text == {
        "topic": "a",
        "payload": '{"t": 1}',
        "qos": 1,
        "retain": True,
        "properties": {
            "content_type": "application/x",
            "correlation_data": "c1",
            "response_topic": "answers",
            "user": {"unit": "°C"},
        },
    }
    assert (raw["payload_base64"], raw["qos"], raw["properties"]) == ("/wA=", 0, {})
    assert "payload" not in raw


def test_a_timeout_ends_with_the_code_of_mosquitto_sub(run: Run, mosquitto: Mosquitto) -> None:
    assert run("sub", "-p", mosquitto.port, "-t", "a", "-W", 0.1).code == TIMED_OUT
    assert mosquitto_sub(mosquitto, "-t", "a", "-W", "1").code == TIMED_OUT


def test_several_filters_and_what_is_left_out(run: Run, mosquitto: Mosquitto) -> None:
    for topic in ("a/1", "a/2", "b/1", "c/1"):
        run("pub", "-p", mosquitto.port, "-t", topic, "-m", topic, "-r")
    result = run("sub", "-p", mosquitto.port, "-t", "a/+", "-t", "b/#", "-T", "a/2", "-C", 2)
    assert sorted(result.out.split()) == ["a/1", "b/1"]


def test_a_filter_copied_from_a_flow_works(run: Run, mosquitto: Mosquitto) -> None:
    run("pub", "-p", mosquitto.port, "-t", "sensors/attic/climate", "-m", "x", "-r")
    assert run("sub", "-p", mosquitto.port, "-t", "sensors/+room/climate", "-C", 1).out == "x\n"


def test_retained_messages_can_be_left_out_or_be_all(mosquitto: Mosquitto, run: Run) -> None:
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "old", "-r")
    live, retained = listen(mosquitto, "-t", "a", "-R", "-C", 1), listen(mosquitto, "-t", "a", "--retained-only")
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "new")
    assert (finish(live).out, finish(retained).out) == ("new\n", "old\n")


def test_retained_messages_can_be_removed(run: Run, mosquitto: Mosquitto) -> None:
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "old", "-r")
    assert run("sub", "-p", mosquitto.port, "-t", "a", "--remove-retained", "-C", 1).out == "old\n"
    assert run("sub", "-p", mosquitto.port, "-t", "a", "-W", 0.5).raw == b""


def test_a_kept_session_keeps_messages(run: Run, mosquitto: Mosquitto) -> None:
    session = ("-p", mosquitto.port, "-i", "keeper", "-c", "-q", 1)
    assert run("sub", *session, "-t", "a", "-E").code == 0
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "while you were away", "-q", 1)
    assert run("sub", *session, "-t", "a", "-C", 1, "-W", PATIENCE).out == "while you were away\n"
    assert run("sub", *session, "-U", "a").code == 0
    run("pub", "-p", mosquitto.port, "-t", "a", "-m", "unsubscribed", "-q", 1)
    assert run("sub", *session, "-t", "b", "-W", 0.5).raw == b""


def test_a_will_is_published_when_the_client_is_killed_and_not_when_it_ends(mosquitto: Mosquitto) -> None:
    watcher = listen(mosquitto, "-t", "wills/#", "-v", "-C", 1)
    will = ("--will-payload", "gone", "--will-qos", 1, "--will-retain", "-t", "x")
    polite, killed = (listen(mosquitto, "--will-topic", f"wills/{name}", *will) for name in ("polite", "killed"))
    polite.terminate()
    assert finish(polite).code == 128 + 15
    killed.kill()
    finish(killed)
    assert finish(watcher).out == "wills/killed gone\n"


def test_ctrl_c_ends_without_a_word(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a")
    listener.send_signal(2)
    result = finish(listener)
    assert (result.code, result.raw, result.err) == (terminal.INTERRUPTED, b"", "")


def test_a_reader_that_goes_away_ends_sub(mosquitto: Mosquitto) -> None:
    with listen(mosquitto, "-t", "a") as listener:
        assert listener.stdout is not None
        listener.stdout.close()
        finish(start("pub", "-p", mosquitto.port, "-t", "a", "-m", "x"))
        assert listener.wait(PATIENCE) == terminal.PIPE_CLOSED


def test_sub_comes_back_when_the_broker_does(mosquitto: Mosquitto) -> None:
    listener = listen(mosquitto, "-t", "a", "-C", 2)
    finish(start("pub", "-p", mosquitto.port, "-t", "a", "-m", "before"))
    subscriptions = mosquitto.log.count("Sending SUBACK")
    mosquitto.stop()
    mosquitto.start()
    wait_for(lambda: mosquitto.log.count("Sending SUBACK") > subscriptions, "the new subscription")
    finish(start("pub", "-p", mosquitto.port, "-t", "a", "-m", "after"))
    result = finish(listener)
    assert result.out == "before\nafter\n"
    assert result.err.startswith(f"the connection to mqtt://localhost:{mosquitto.port} was lost")
    assert result.err.endswith("; trying again\nconnected again\n")


def test_url_and_broker_name_the_broker(run: Run, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"mqtt://127.0.0.1:{mosquitto.port}"
    assert run("pub", "-L", f"{url}/some/topic", "-m", "x", "-r").code == 0
    assert run("sub", "-L", f"{url}/some/topic", "-C", 1, "-v").out == "some/topic x\n"
    assert run("sub", "--broker", url, "-t", "#", "-C", 1, "-v").out == "some/topic x\n"
    monkeypatch.setenv("FLOWRUNNER_BROKER", url)
    assert run("sub", "-t", "#", "-C", 1, "-v").out == "some/topic x\n"


def test_a_local_socket_and_websockets_work(run: Run, start_mosquitto: StartMosquitto, tmp_path: Path) -> None:
    port = free_port()
    broker = start_mosquitto(
        f"allow_anonymous true\nlistener 0 {tmp_path}/socket\nlistener {port}\nprotocol websockets\n"
    )
    wait_for_listener(port)
    run("pub", "-p", broker.port, "-t", "a", "-m", "x", "-r")
    assert run("sub", "--unix", tmp_path / "socket", "-t", "a", "-C", 1).out == "x\n"
    assert run("sub", "--broker", f"ws://localhost:{port}", "-t", "a", "-C", 1).out == "x\n"


def test_nobody_there(run: Run) -> None:
    port = free_port()
    result = run("pub", "-p", port, "-t", "a", "-m", "x")
    assert result.code == terminal.UNREACHABLE
    assert result.err.startswith(f"error: nothing answers at mqtt://localhost:{port}: is the broker running?")
    assert result.err.count("\n") == 1


def test_no_such_host(run: Run) -> None:
    result = run("sub", "-h", "no-such-host.invalid", "-t", "a")
    assert result.code == terminal.UNREACHABLE
    assert "`no-such-host.invalid`" in result.err


def test_silence_if_it_is_wanted(run: Run) -> None:
    result = run("pub", "-p", free_port(), "-t", "a", "-m", "x", "--quiet")
    assert (result.code, result.err) == (terminal.UNREACHABLE, "")


@pytest.fixture
def guarded(start_mosquitto: StartMosquitto, tmp_path: Path) -> Mosquitto:
    """A broker that wants a password; `ann` may do everything, `ben` only read `open/#`."""
    passwords, access = tmp_path / "passwords", tmp_path / "access"
    passwords.touch(mode=0o644)
    for name in ("ann", "ben"):
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), name, f"{name}s-secret"], check=True)
    passwords.chmod(0o644)
    access.write_text("user ann\ntopic readwrite #\nuser ben\ntopic read open/#\n")
    return start_mosquitto(f"allow_anonymous false\npassword_file {passwords}\nacl_file {access}\n")


@pytest.mark.parametrize("version", ["311", "5"])
def test_passwords(run: Run, guarded: Mosquitto, version: str) -> None:
    common = ("pub", "-p", guarded.port, "-V", version, "-t", "a", "-m", "x")
    assert run(*common, "-u", "ann", "-P", "anns-secret").code == 0
    anonymous, wrong = run(*common), run(*common, "-u", "ann", "-P", "x")
    where = f"error: mqtt://localhost:{guarded.port}"
    assert (anonymous.code, wrong.code) == (terminal.UNREACHABLE, terminal.UNREACHABLE)
    assert anonymous.err == f"{where} wants a user name and a password: add `-u NAME -P PASSWORD`\n"
    assert wrong.err == f"{where} does not let the user `ann` in: wrong password, or not authorized\n"


def test_a_refused_message_is_told_on_mqtt5(run: Run, guarded: Mosquitto) -> None:
    ben = ("-p", guarded.port, "-V", "5", "-u", "ben", "-P", "bens-secret")
    result = run("pub", *ben, "-t", "closed", "-m", "x", "-q", 1)
    assert (result.code, result.err) == (
        terminal.UNREACHABLE,
        "error: the broker refused a message to `closed`: not authorized\n",
    )


#: flowrunner, whose pauses between two connections are short.
HURRIED = """
import sys

from flowrunner.cli import main, sub

sub._FIRST_PAUSE = 0.02
sys.exit(main())
"""


@pytest.mark.parametrize("version", ["311", "5"])
def test_of_two_clients_with_one_id_one_gives_up(mosquitto: Mosquitto, version: str) -> None:
    words = ("sub", "-p", mosquitto.port, "-i", "twin", "-t", "a", "-V", version)
    clients = [start(*words, program=HURRIED) for _ in range(2)]
    wait_for(lambda: any(client.poll() is not None for client in clients), "one of them to give up")
    loser = finish(next(client for client in clients if client.poll() is not None))
    assert loser.code == terminal.UNREACHABLE
    assert "the same client id" in loser.err.splitlines()[-1]


@pytest.fixture
def secured(start_mosquitto: StartMosquitto, tmp_path: Path) -> tuple[Mosquitto, int]:
    """A broker, and its port for TLS; its certificate is made out to `localhost`, by an authority that nobody knows."""
    port = free_port()
    for file in TLS.glob("*.*"):
        shutil.copy(file, tmp_path)
    files = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key"
    broker = start_mosquitto(f"allow_anonymous true\nlistener {port}\n{files}\n")
    wait_for_listener(port)
    return broker, port


#: paho does not close a socket whose TLS handshake fails; the command ends then anyway.
FORGETFUL = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_tls(run: Run, secured: tuple[Mosquitto, int]) -> None:
    _, port = secured
    trusting = ("-h", "localhost", "-p", port, "--cafile", TLS / "ca.pem")
    assert run("pub", *trusting, "-t", "a", "-m", "x", "-r", "-q", 1).code == 0
    assert run("sub", *trusting, "-t", "a", "-C", 1).out == "x\n"


@FORGETFUL
def test_a_certificate_that_nobody_vouches_for(run: Run, secured: tuple[Mosquitto, int]) -> None:
    _, port = secured
    result = run("pub", "--broker", f"mqtts://localhost:{port}", "-t", "a", "-m", "x")
    assert result.code == terminal.UNREACHABLE
    assert result.err.startswith(f"error: the certificate of mqtts://localhost:{port} is not trusted: ")


@FORGETFUL
def test_a_certificate_for_another_host(run: Run, secured: tuple[Mosquitto, int]) -> None:
    _, port = secured
    trusting = ("pub", "-h", "127.0.0.1", "-p", port, "--cafile", TLS / "ca.pem", "-t", "a", "-m", "x")
    result = run(*trusting)
    assert result.code == terminal.UNREACHABLE
    assert "is not trusted: it is for another name than `127.0.0.1`" in result.err
    assert run(*trusting, "--insecure").code == 0


@FORGETFUL
def test_tls_where_there_is_none_and_the_other_way_round(run: Run, secured: tuple[Mosquitto, int]) -> None:
    broker, port = secured
    wrong = run("pub", "--broker", f"mqtts://localhost:{broker.port}", "-t", "a", "-m", "x")
    missing = run("pub", "-h", "localhost", "-p", port, "-t", "a", "-m", "x")
    assert (wrong.code, missing.code) == (terminal.UNREACHABLE, terminal.UNREACHABLE)
    assert "is it a port without TLS (mqtt://)?" in wrong.err
    assert "is it a port for TLS (mqtts://)?" in missing.err


class Answers:
    """A server that is no broker: it reads what comes first on a connection, answers fixed bytes, and closes it."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        for answer in self.answers:
            connection, _ = self._socket.accept()
            with connection:
                self.asked.append(connection.recv(4096))
                connection.sendall(answer)
                while answer.startswith(ACCEPTED) and connection.recv(4096):
                    pass


ACCEPTED = b"\x20\x02\x00\x00"
OTHER_VERSION = b"\x20\x02\x00\x01"
CONNECT_5, CONNECT_311 = b"\x04MQTT\x05", b"\x04MQTT\x04"


@pytest.mark.parametrize("refusal", [OTHER_VERSION, b"", b"\x20\x03\x00\x84\x00", b"\x20\x09garbage"])
def test_auto_falls_back_to_3_1_1(run: Run, refusal: bytes) -> None:
    with Answers(refusal, ACCEPTED) as broker:
        result = run("pub", "-p", broker.port, "-V", "auto", "-t", "a", "-m", "x")
    assert (result.code, result.err) == (0, "")
    assert CONNECT_5 in broker.asked[0]
    assert CONNECT_311 in broker.asked[1]


def test_a_version_that_the_broker_does_not_speak(run: Run) -> None:
    with Answers(OTHER_VERSION) as broker:
        result = run("pub", "-p", broker.port, "-V", "5", "-t", "a", "-m", "x")
    assert (result.code, result.err) == (
        terminal.UNREACHABLE,
        f"error: mqtt://localhost:{broker.port} does not speak MQTT 5: try `-V auto`\n",
    )


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\xff\xff\xff\xff\xff\xff"])
def test_what_is_no_broker(run: Run, answer: bytes) -> None:
    with Answers(answer) as server:
        result = run("pub", "-p", server.port, "-t", "a", "-m", "x")
    assert result.code == terminal.UNREACHABLE
    assert result.err.startswith(f"error: mqtt://localhost:{server.port} ")
    assert result.err.count("\n") == 1
