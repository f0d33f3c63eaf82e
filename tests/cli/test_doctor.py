"""What `flowrunner doctor` finds on the way to a broker."""

import json
import os
import time
from pathlib import Path
from typing import Any

import paho.mqtt.publish as by_hand
import pytest

from flowrunner.connections import ConnectionSettings, TlsSettings
from flowrunner.run.examination import Examination, Finding, Wish
from flowrunner.run.running import Running, write_running
from flowrunner.topics import parse_filter
from tests.certificates import make_authority
from tests.cli.command_line import Run
from tests.mosquitto import OPEN, Mosquitto, free_port, mosquitto, require_mosquitto
from tests.run.fake_broker import fake_broker, version_of

__all__ = ["mosquitto"]

FLOW = "subscribe: {topic: sensor/+/temp, qos: 1}\nsteps:\n  - publish: x\n"


@pytest.fixture
def flows(folder: Path) -> Path:
    found = folder / "flows"
    found.mkdir()
    (found / "heat.yaml").write_text(FLOW)
    return found


def findings(text: str) -> dict[str, dict[str, Any]]:
    (one,) = json.loads(text)["connections"]
    return {finding["step"]: finding for finding in one["findings"]}


@pytest.mark.broker
def test_every_step_on_the_way_to_a_broker(run: Run, flows: Path, mosquitto: Mosquitto) -> None:
    by_hand.single("sensors/kitchen/temp", b"21", retain=True, hostname="127.0.0.1", port=mosquitto.port)
    result = run("doctor", "--broker", f"127.0.0.1:{mosquitto.port}", "--listen", "200ms", "--json")
    assert result.code == 0
    found = findings(result.out)
    assert list(found) == [
        "name", "network", "encryption", "broker", "limits", "round trip", "shared", "filter", "silence", "client id",
    ]  # fmt: skip
    assert found["broker"]["details"] == {"protocol": "5"}
    assert set(found["round trip"]["details"]["milliseconds"]) == {"QoS 0", "QoS 1", "QoS 2"}
    assert found["shared"]["details"] == {"has_shared": True}
    assert found["filter"]["details"] == {"filter": "sensor/+/temp", "wanted": 1, "granted": 1, "retained": 0}
    assert found["silence"]["text"] == ("no message on sensor/+/temp, but there are messages on sensors/kitchen/temp")
    assert not (flows / ".flowrunner").exists()
    assert "Received PUBLISH" not in mosquitto.log.replace("flowrunner/doctor/", "").partition("x'")[2]


@pytest.mark.broker
def test_lines_for_people(run: Run, flows: Path, mosquitto: Mosquitto) -> None:
    by_hand.single("sensor/attic/temp", b"21", retain=True, hostname="127.0.0.1", port=mosquitto.port)
    lines = run("doctor", "--broker", f"127.0.0.1:{mosquitto.port}").out.splitlines()
    assert lines[0] == f"default: mqtt://127.0.0.1:{mosquitto.port}"
    assert "  ok   encryption   none; it stays here" in lines
    assert "  ok   filter       sensor/+/temp: QoS 1 granted, 1 retained message" in lines
    assert not any("silence" in line for line in lines)


def test_a_broker_that_is_not_there(run: Run, flows: Path) -> None:
    port = free_port()
    result = run("doctor", "--broker", f"127.0.0.1:{port}")
    assert result.code == 3
    words = f"  bad  connection   nothing answers at mqtt://127.0.0.1:{port}: is the broker running?"
    assert result.out.splitlines()[-1] == words


def test_a_password_on_the_command_line_is_used_and_never_shown(run: Run, flows: Path) -> None:
    result = run("doctor", "--broker", f"mqtt://me:hun%40ter2@127.0.0.1:{free_port()}")
    assert "others on this machine can see the password in `ps`: better set FLOWRUNNER_BROKER" in result.err
    assert "ter2" not in result.out + result.err
    assert "`ps`" not in run("doctor", "--broker", f"mqtt://me@127.0.0.1:{free_port()}").err


def test_mistakes_of_the_command_line(run: Run, flows: Path) -> None:
    (flows / "flowrunner.yaml").write_text("connections: {cloud: mqtt://cloud.example.org}\n")
    assert "did you mean `cloud`?" in run("doctor", "--connection", "clowd").err
    assert run("doctor", "--listen", "soon").code == 2
    assert run("doctor", "--broker", "mqtt://a:b:c").code == 2


async def examined(settings: ConnectionSettings, own_id: str = "", **more: Any) -> dict[str, Finding]:
    return {found.step: found async for found in Examination(settings, own_id=own_id, seconds=0.05, **more).findings()}


@pytest.mark.broker
async def test_encryption_and_its_end(tmp_path: Path) -> None:
    require_mosquitto()
    authority = make_authority(tmp_path)
    authority.sign("server", hosts="IP:127.0.0.1", days=7)
    config = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
    with Mosquitto(tmp_path / "broker", OPEN + config) as broker:
        tls = TlsSettings(ca=authority.certificate)
        found = await examined(broker.settings(scheme="mqtts", tls=tls))
        assert found["encryption"].state == "hint"
        assert found["encryption"].text.startswith("TLSv1.3, ")
        assert found["encryption"].details["days"] in (6, 7)
        assert found["client id"].text.startswith("none yet")
        found = await examined(broker.settings(scheme="mqtts"))
        assert found["connection"].state == "bad"
        assert "is not trusted" in found["connection"].text


@pytest.mark.broker
async def test_who_has_the_client_id(mosquitto: Mosquitto, tmp_path: Path) -> None:
    settings = mosquitto.settings()
    assert "`plant-7` is free" in (await examined(settings, "plant-7"))["client id"].text
    by_hand.single("flowrunner/plant-7/status", b"online", retain=True, hostname="127.0.0.1", port=mosquitto.port)
    found = (await examined(settings, "plant-7", folder=tmp_path))["client id"]
    assert found.state == "hint"
    assert "a runner elsewhere: two with one id throw each other out" in found.text
    write_running(tmp_path, Running(os.getpid(), time.time(), str(tmp_path), ()))
    found = (await examined(settings, "plant-7", folder=tmp_path))["client id"]
    assert found.state == "fine"
    assert f"(process {os.getpid()}, since " in found.text


async def test_a_filter_that_is_refused_and_limits() -> None:
    import asyncio

    async def answer(packet: bytes, writer: asyncio.StreamWriter) -> None:
        if version_of(packet):
            writer.write(bytes.fromhex("2009000006" + "2400" + "2500" + "2a00"))
            return
        while packet and packet[0] == 0x82:
            length = packet[1] + 2
            writer.write(b"\x90\x04" + packet[2:4] + b"\x00\x87")
            packet = packet[length:]

    wishes = [Wish(parse_filter("secret/#"), 1)]
    async with fake_broker(answer) as settings:
        found = await examined(settings, wishes=wishes)
    assert found["filter"].state == "bad"
    assert found["filter"].text == "secret/#: not authorized: this user may not read there"
    assert "it has no retained messages, no QoS 1" in found["limits"].text
    assert found["shared"].text.startswith("there are no shared subscriptions")
    assert found["round trip"].state == "hint"


@pytest.mark.broker
async def test_a_socket(tmp_path: Path) -> None:
    require_mosquitto()
    path = tmp_path / "socket"
    settings = ConnectionSettings(scheme="mqtt+unix", host="", port=0, path=str(path))
    assert "there is no socket" in (await examined(settings))["connection"].text
    with Mosquitto(tmp_path / "broker", f"{OPEN}listener 0 {path}\n"):
        assert (await examined(settings))["socket"].text == f"connected to {path}"
