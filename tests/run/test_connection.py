import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowrunner.broker import Broker
from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.run import connection as connection_module
from flowrunner.run import network, rival
from flowrunner.run import subscriptions as subscriptions_module
from flowrunner.run.link import Terms
from flowrunner.run.report import Report
from flowrunner.run.runner import Runner
from tests.mosquitto import OPEN, Mosquitto, require_mosquitto
from tests.run.fake_broker import Answer, fake_broker, version_of
from tests.run.fakes import FakeProgram, Hand, Told, quick_backoff, ready, running, subscribe, until

pytestmark = pytest.mark.usefixtures("each_link")

CONNACK_5 = bytes.fromhex("2003000000")
CONNACK_311 = bytes.fromhex("20020000")


async def said(told: Told, words: str) -> None:
    """Wait until the lines hold these words."""
    await until(lambda: words in told.text, what=f"{words} never came, but {told.text}")


def subacks(packet: bytes) -> bytes:
    """A SUBACK of MQTT 3.1.1 for the SUBSCRIBE at the start of what was read."""
    return b"\x90\x03" + packet[2:4] + b"\x00" if packet[0] == 0x82 else b""


def only_311(refuse: Callable[[asyncio.StreamWriter], None]) -> Answer:
    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet) == 5:
            refuse(writer)
            await writer.drain()
            writer.close()
        elif version_of(packet) == 4:
            writer.write(CONNACK_311)
        else:
            writer.write(subacks(packet))

    return answer


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(b"", id="bare close"),
        pytest.param(bytes.fromhex("20020001"), id="return code 1 of MQTT 3.1.1"),
        pytest.param(bytes.fromhex("2003008400"), id="reason code 0x84"),
        pytest.param(bytes.fromhex("20020005"), id="return code 5 of MQTT 3.1.1"),
        pytest.param(bytes.fromhex("2001"), id="CONNACK cut short"),
        pytest.param(bytes.fromhex("200100"), id="CONNACK of one byte"),
        pytest.param(bytes.fromhex("2004000003ff"), id="CONNACK with broken properties"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="not MQTT"),
    ],
)
async def test_a_broker_that_only_speaks_311_is_spoken_to_in_311(refusal: bytes) -> None:
    told = Told()
    async with (
        fake_broker(only_311(lambda writer: writer.write(refusal))) as settings,
        running(settings, FakeProgram("flow", "a"), told=told) as runner,
    ):
        terms = runner.connections["default"].terms
        assert terms is not None
        assert terms.version == 4
        assert "(MQTT 3.1.1)" in told.text


async def test_the_version_that_worked_is_tried_first_the_next_time() -> None:
    versions: list[int] = []
    serve = only_311(lambda writer: writer.write(bytes.fromhex("2003008400")))
    writers: list[asyncio.StreamWriter] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            versions.append(version_of(packet))
            writers.append(writer)
        await serve(packet, writer)

    async with fake_broker(answer) as settings, running(settings, FakeProgram("flow", "a")) as runner:
        writers[-1].close()
        await until(lambda: len(versions) == 3)
        await ready(runner)
    assert versions == [5, 4, 4]


async def test_a_broker_that_knows_mqtt_5_is_not_spoken_to_in_311_because_it_restarts() -> None:
    versions: list[int] = []
    writers: list[asyncio.StreamWriter] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        version = version_of(packet)
        if not version:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00" if packet[0] == 0x82 else b"")
            return
        versions.append(version)
        writers.append(writer)
        if len(versions) in (2, 3):
            writer.close()
        else:
            writer.write(CONNACK_5)

    async with fake_broker(answer) as settings, running(settings, FakeProgram("flow", "a")):
        writers[-1].close()
        await until(lambda: len(versions) == 4)
    assert versions == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("protocol", "refusal", "words"),
    [
        ("auto", b"", "closed the connection instead of answering: is it a port for TLS (mqtts://)?"),
        ("auto", b"\xff\xff\xff\xff\xff\xff", "answered with something that is not MQTT"),
        ("auto", bytes.fromhex("2003008400"), "speaks neither MQTT 5 nor MQTT 3.1.1"),
        ("5", bytes.fromhex("2003008400"), "does not speak MQTT 5: set `protocol: auto`"),
        ("5", b"", "does it speak MQTT 3.1.1 only? set `protocol: auto`"),
        ("5", bytes.fromhex("2003008800"), "is not available now"),
        ("5", bytes.fromhex("2003008a00"), "has banned this client"),
        ("3.1.1", bytes.fromhex("20020003"), "is not available now"),
        ("3.1.1", bytes.fromhex("20020002"), "does not accept the client id `flowrunner-"),
        ("3.1.1", bytes.fromhex("20020005"), "wants a user name and a password"),
    ],
)
async def test_a_refusal_is_said_once_in_words_and_tried_again(protocol: str, refusal: bytes, words: str) -> None:
    told, connects = Told(), 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += bool(version_of(packet))
        writer.write(refusal)
        await writer.drain()
        writer.close()

    async with fake_broker(answer) as found:
        settings = replace(found, protocol=protocol)  # type: ignore[arg-type]
        async with running(settings, FakeProgram("flow", "a"), told=told, is_ready=False):
            await until(lambda: connects >= 4)
    assert told.count(words) == 1, told.text
    assert len(told.lines) == 1


async def test_a_broker_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PATIENCE", 0.05)
    told = Told()

    async def answer(_packet: bytes, _writer: asyncio.StreamWriter) -> None:
        return

    async with (
        fake_broker(answer) as settings,
        running(settings, FakeProgram("flow", "a"), told=told, is_ready=False),
    ):
        await until(lambda: "never answers: is it an MQTT broker?" in told.text)


@pytest.mark.parametrize("step", ["SUBSCRIBE", "PINGREQ"])
async def test_a_broker_that_falls_silent_is_left(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions_module, "PATIENCE", 0.1)
    monkeypatch.setattr(network, "HEARTBEAT", 0.05)
    told, connects = Told(), 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writer.write(CONNACK_5)
        elif packet[0] == 0x82 and (step != "SUBSCRIBE" or connects > 1):
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00")

    words = {"SUBSCRIBE": "does not answer a subscription", "PINGREQ": "no sign of life within the keep-alive time"}
    async with (
        fake_broker(answer) as settings,
        running(replace(settings, keepalive=1), FakeProgram("flow", "a"), told=told),
    ):
        await said(told, words[step])
        await until(lambda: connects >= 2)


async def test_garbage_in_the_middle_costs_the_connection_and_nothing_else() -> None:
    told, connects = Told(), 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writer.write(CONNACK_5)
        elif packet[0] == 0x82:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00")
            if connects == 1:
                writer.write(b"\x3c\x05\xff\xff\xff\xff\xff" + b"\x00" * 20)

    async with fake_broker(answer) as settings, running(settings, FakeProgram("flow", "a"), told=told):
        await until(lambda: connects == 2)
        await until(lambda: "back on" in told.text)


async def test_a_session_that_is_taken_over_is_named_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told, connects = Told(), 0
    monkeypatch.setattr(rival, "SURRENDER", 0.2)

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writer.write(CONNACK_5)
        elif packet[0] == 0x82:
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x00")
            if connects == 1:
                writer.write(bytes.fromhex("e0028e00"))

    async with (
        fake_broker(answer) as settings,
        running(replace(settings, client_id="plant-7"), FakeProgram("flow", "a"), told=told),
    ):
        await until(lambda: connects == 2)
    assert "another client took over the client id `plant-7`: is flowrunner running twice?" in told.text


async def test_being_thrown_out_again_and_again_is_named() -> None:
    told, connects = Told(), 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writer.write(CONNACK_311)
        else:
            writer.close()

    async with fake_broker(answer) as found:
        settings = replace(found, protocol="3.1.1", client_id="plant-7")
        async with running(settings, FakeProgram("flow", "a"), told=told, is_ready=False):
            await until(lambda: "probably another client uses the same client id" in told.text)
    assert connects == rival.FIGHTS


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_runners_with_one_client_id_are_told(mosquitto: Mosquitto, protocol: str) -> None:
    one, two = Told(), Told()
    settings = mosquitto.settings(protocol=protocol, client_id="same")
    async with (
        running(settings, FakeProgram("one", "a"), told=one),
        running(settings, FakeProgram("two", "a"), told=two, is_ready=False),
    ):
        await until(lambda: "is flowrunner running twice?" in one.text + two.text)


@pytest.mark.broker
async def test_a_broker_that_is_absent_at_the_start_is_waited_for(tmp_path: Path) -> None:
    require_mosquitto()
    told, flow = Told(), FakeProgram("flow", "a")
    mosquitto = Mosquitto(tmp_path)
    async with running(mosquitto.settings(), flow, told=told, is_ready=False) as runner:
        await until(lambda: "nothing answers" in told.text)
        with mosquitto:
            await ready(runner)
            async with Hand(mosquitto.settings()) as hand:
                await hand.publish("a")
                await until(lambda: flow.got)
            assert told.count("is the broker running? trying again and again") == 1
            assert told.count("back on") == 1


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_after_a_restart_of_the_broker_everything_is_subscribed_once(mosquitto: Mosquitto, protocol: str) -> None:
    told, flow, other = Told(), FakeProgram("flow", "o/#", "o/+"), FakeProgram("other", "o/#")
    settings = mosquitto.settings(protocol=protocol)
    async with running(settings, flow, other, told=told) as runner:
        for turn in range(3):
            async with Hand(settings) as hand:
                await hand.publish(f"o/{turn}")
                await until(lambda turn=turn: len(flow.got) == len(other.got) == turn + 1)  # type: ignore[misc]
            mosquitto.kill()
            await until(lambda turn=turn: told.count("lost the connection to") == turn + 1)  # type: ignore[misc]
            mosquitto.start()
            await until(lambda turn=turn: told.count("back on") == turn + 1)  # type: ignore[misc]
            await ready(runner)
        async with Hand(settings) as hand:
            await hand.publish("o/end")
            await until(lambda: "o/end" in flow.topics and "o/end" in other.topics)
    assert flow.topics == other.topics == ["o/0", "o/1", "o/2", "o/end"]
    assert "same client id" not in told.text


@pytest.mark.broker
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_publishes_wait_for_the_broker_in_order(mosquitto: Mosquitto, protocol: str, qos: int) -> None:
    told, settings = Told(), mosquitto.settings(protocol=protocol)
    async with running(settings, FakeProgram("flow", "out"), told=told) as runner:
        publish = runner.publisher("default")
        mosquitto.kill()
        await until(lambda: "lost the connection to" in told.text)
        for number in range(300):
            publish("out", b"%d" % number, qos, False, {})
            publish("out", b"lost", 0, False, {})
        assert runner.connections["default"].link.pending == 300
        mosquitto.start()
        await until(lambda: runner.connections["default"].link.pending == 0)
        flow = runner.flows["flow"].program
        assert isinstance(flow, FakeProgram)
        await until(lambda: len(flow.got) == 300)
    assert flow.payloads == [b"%d" % number for number in range(300)]
    assert "300 publishes at QoS 0 were dropped meanwhile" in told.text


@pytest.mark.broker
@pytest.mark.parametrize("keep", [None, 3600.0])
async def test_what_was_in_flight_when_the_link_broke_arrives(mosquitto: Mosquitto, keep: float | None) -> None:
    settings = mosquitto.settings(keep=keep)
    async with Hand(settings, "out") as hand, running(settings) as runner:
        flow = FakeProgram("flow", subscribe("in", qos=1))
        await runner.apply([flow])
        await ready(runner)
        publish = runner.publisher("default")
        connection = runner.connections["default"]
        for turn in range(5):
            for number in range(100):
                publish("out", b"%d" % (turn * 100 + number), 1, False, {})
            assert connection._network is not None
            connection._network.abort()
            await until(lambda: connection._network is None)
            await ready(runner)
        await until(lambda: connection.link.pending == 0)
        await until(lambda: len(set(hand.payloads)) == 500)
        first = list(dict.fromkeys(hand.payloads))
    assert first == [b"%d" % number for number in range(500)]


@pytest.mark.broker
async def test_a_kept_session_brings_what_came_meanwhile_once(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "EARLY", 0)
    flow = FakeProgram("flow", subscribe("k/#", qos=1), subscribe("k/+", qos=1))
    settings = mosquitto.settings(keep=3600.0, client_id="keeper")
    async with Hand(mosquitto.settings()) as hand:
        await hand.publish("k/kept", b"r", retain=True)
        async with running(settings, flow) as runner:
            await until(lambda: len(flow.got) == 1)
            connection = runner.connections["default"]
            assert connection._network is not None
            connection._network.abort()
            connection._backoff._next = 0.5
            await until(lambda: connection._network is None)
            for number in range(20):
                await hand.publish(f"k/{number}", b"x")
            await ready(runner)
            await hand.publish("k/end")
            await until(lambda: "k/end" in flow.topics)
        assert flow.topics == ["k/kept", *(f"k/{number}" for number in range(20)), "k/end"]
        for number in range(5):
            await hand.publish(f"k/away/{number}", b"x")
        again = FakeProgram("flow", subscribe("k/#", qos=1))
        async with running(settings, again):
            await until(lambda: {f"k/away/{number}" for number in range(5)} <= set(again.topics))


@pytest.mark.broker
async def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    require_mosquitto()
    (tmp_path / "users").write_text("tina:$7$101$9WmtVJYxhqOTgYnZ$H0uYDjo7yVwd/u1Pq3vJdm3OIP0Se+GmIKTZAVmG3Y8=\n")
    config = f"allow_anonymous false\npassword_file {tmp_path / 'users'}\n"
    with Mosquitto(tmp_path, config) as mosquitto:
        for protocol in ("5", "3.1.1"):
            for user, words in (
                (None, "wants a user name and a password"),
                ("tina", "does not let the user `tina` in"),
            ):
                told = Told()
                settings = mosquitto.settings(protocol=protocol, username=user, password=user and "wrong")
                async with running(settings, FakeProgram("flow", "a"), told=told, is_ready=False):
                    await said(told, words)
                assert "wrong\n" not in told.text


async def test_a_filter_that_the_broker_refuses_is_said_once_and_the_next_one_takes_over() -> None:
    """The next filter of the flow that matches is the first now."""
    told, flow, connects = Told(), FakeProgram("flow", "secret/#", "+/a"), 0
    writers: list[asyncio.StreamWriter] = []

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        if version_of(packet):
            connects += 1
            writers.append(writer)
            writer.write(CONNACK_5)
            return
        while packet and packet[0] == 0x82:
            length = packet[1] + 2
            is_secret = b"secret" in packet[:length]
            writer.write(b"\x90\x04" + packet[2:4] + (b"\x00\x87" if is_secret else b"\x00\x00"))
            if not is_secret:
                identifier = packet[6:7]
                writer.write(b"\x30\x0d\x00\x08secret/a\x02\x0b" + identifier)
            packet = packet[length:]

    async with fake_broker(answer) as settings, running(settings, flow, told=told):
        await until(lambda: flow.topics == ["secret/a"])
        writers[-1].close()
        await until(lambda: flow.topics == ["secret/a"] * 2)
    assert flow.entries == [1, 1]
    assert told.count("`flow` cannot hear `secret/#`: not authorized: this user may not read there") == 1


@pytest.mark.broker
async def test_a_publish_that_the_broker_refuses_is_said(tmp_path: Path) -> None:
    require_mosquitto()
    (tmp_path / "acl").write_text("topic readwrite fine/#\n")
    told = Told()
    with Mosquitto(tmp_path, f"{OPEN}acl_file {tmp_path / 'acl'}\n") as mosquitto:
        async with running(mosquitto.settings(), FakeProgram("flow", "fine/#"), told=told) as runner:
            runner.publisher("default")("secret/x", b"", 1, False, {})
            await until(lambda: runner.connections["default"].link.pending == 0)
    assert "a message to `secret/x` on `default` was dropped: not authorized" in told.text


@pytest.mark.broker
async def test_a_lower_qos_than_asked_for_is_said(tmp_path: Path) -> None:
    require_mosquitto()
    told = Told()
    flow = FakeProgram("flow", subscribe("q", qos=2))
    with Mosquitto(tmp_path, OPEN + "max_qos 1\nretain_available false\n") as mosquitto:
        settings = mosquitto.settings()
        async with running(settings, flow, told=told) as runner:
            runner.publisher("default")("q", b"x", 2, True, {})
            await until(lambda: flow.got)
    assert flow.got[0].qos == 1
    assert "takes no QoS above 1" in told.text
    assert "keeps no retained messages" in told.text
    assert "lost" not in told.text


async def send_large_messages(settings: ConnectionSettings) -> None:
    flow = FakeProgram("flow", subscribe("big/#", qos=1))
    async with running(settings, flow) as runner:
        publish = runner.publisher("default")
        for number in range(30):
            publish(f"big/{number}", b"%d" % number * 20_000, 1, False, {})
        await until(lambda: len(flow.got) == 30)
    assert flow.payloads == [b"%d" % number * 20_000 for number in range(30)]


@pytest.mark.broker
async def test_a_unix_socket(tmp_path: Path) -> None:
    require_mosquitto()
    path = tmp_path / "socket"
    with Mosquitto(tmp_path, f"{OPEN}listener 0 {path}\n") as mosquitto:
        await send_large_messages(ConnectionSettings(scheme="mqtt+unix", host="", port=0, path=str(path)))
        await until(lambda: mosquitto.log.count("Received DISCONNECT") == 1)


async def test_websockets() -> None:
    async with Broker(port=0, websocket_port=0) as broker:
        assert broker.websocket_port
        await send_large_messages(ConnectionSettings(scheme="ws", host="127.0.0.1", port=broker.websocket_port))


def make_certificate(folder: Path) -> None:
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -days 2 -subj /CN=elsewhere"
    words = [*make.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


@pytest.mark.broker
async def test_tls(tmp_path: Path) -> None:
    require_mosquitto()
    await asyncio.to_thread(make_certificate, tmp_path)
    config = f"{OPEN}certfile {tmp_path / 'ca.pem'}\nkeyfile {tmp_path / 'key.pem'}\n"
    with Mosquitto(tmp_path, config) as mosquitto:
        trusting = TlsSettings(ca=str(tmp_path / "ca.pem"))
        await send_large_messages(mosquitto.settings(scheme="mqtts", tls=trusting))
        for settings, words in (
            (mosquitto.settings(scheme="mqtts"), "is not trusted: self"),
            (
                mosquitto.settings(scheme="mqtts", tls=trusting, host="localhost"),
                "is not trusted: it is for another name than `localhost`",
            ),
            (mosquitto.settings(), "is it a port for TLS (mqtts://)?"),
        ):
            told = Told()
            async with running(settings, FakeProgram("flow", "a"), told=told, is_ready=False):
                await said(told, words)


async def test_a_broker_that_takes_one_message_at_a_time_gets_one_at_a_time() -> None:
    in_flight, most, done = 0, 0, 0

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal in_flight, most, done
        if version_of(packet):
            writer.write(bytes.fromhex("2006000003210001"))
            return
        while packet:
            length, topic = packet[1], packet[3]
            if packet[0] != 0x32:  # what the runner says of itself
                packet = packet[2 + length :]
                continue
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0)
            writer.write(b"\x40\x02" + packet[4 + topic : 6 + topic])
            in_flight -= 1
            done += 1
            packet = packet[2 + length :]

    async with fake_broker(answer) as settings:
        runner = Runner({"default": settings}, Report(lambda _: None), backoff=quick_backoff)
        try:
            publish = runner.publisher("default")
            for number in range(20):
                publish("t", b"%d" % number, 1)
            await until(lambda: done == 20)
            assert runner.connections["default"].terms == Terms(receive_maximum=1)
        finally:
            await runner.close()
    assert most == 1
