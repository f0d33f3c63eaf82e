"""Runners on several hosts that share one stream, a hand that sends it, and an ear that hears all that comes out."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.hosts.places import Hosts, Log, short_folder
from tests.mosquitto import require_mosquitto

PATIENCE = 120.0

#: Messages at QoS 1 that are on their way at a time, to a runner and from it.
IN_FLIGHT = 100

BROKER = f"""
allow_anonymous true
max_queued_messages 0
max_inflight_messages {IN_FLIGHT}
persistence true
log_type all
"""

SETTINGS = """
group: plant
connections:
  default:
    url: {url}
    client_id: host-{host}
    {session}
    keepalive: {keepalive}s
    receive_maximum: {maximum}
"""

FLOW = """
subscribe: {{topic: in/+number, qos: 1}}
steps:
  - publish: {{topic: "out/{host}/${{number}}", qos: 1}}
"""


class Host:
    """`flowrunner run` on a host of its own."""

    def __init__(
        self, number: int, hosts: Hosts, log: Log, folder: Path, *, keep: str, keepalive: float, workers: int = 1
    ) -> None:
        self.number = number
        self.name = f"host-{number}"
        self.clients = [f"{self.name}-{worker}" for worker in range(1, workers + 1)] if workers > 1 else [self.name]
        self._hosts = hosts
        self._broker = log
        self._folder = folder / self.name
        flows = self._folder / "flows"
        flows.mkdir(parents=True)
        url = hosts.address(number)
        session = f"session: {{keep: {keep}}}" if keep else ""
        settings = SETTINGS.format(url=url, host=number, session=session, keepalive=keepalive, maximum=IN_FLIGHT)
        (flows / "flowrunner.yaml").write_text(settings)
        (flows / "share.yaml").write_text(FLOW.format(host=number))
        self.starts = 0
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and do not wait."""
        self.starts += 1
        words = [sys.executable, "-m", "flowrunner", "run", "flows", "--log-format", "json", "--no-web"]
        if len(self.clients) > 1:
            words += ["--workers", str(len(self.clients))]
        with (self._folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                self._hosts.at(self.number, words), cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def is_connected(self) -> bool:
        """Whether the broker has accepted it as often as it was started."""
        return all(self._broker.count(f"Sending CONNACK to {name}") >= self.starts for name in self.clients)

    def is_subscribed(self) -> bool:
        """Whether the broker has answered its subscriptions; it need not ask again where its session was kept."""
        return all(self._broker.count(f"Sending SUBACK to {name}") >= self.starts for name in self.clients)

    def is_given_up(self) -> bool:
        """Whether the broker has heard nothing of it for so long that it is gone to it."""
        return all(self._broker.count(f"Client {name} has exceeded timeout") for name in self.clients)

    def kill(self) -> None:
        """End it without a word (SIGKILL); workers, which have lost their supervisor then, leave in good order."""
        if self.child is not None:
            self.child.kill()
            self.child.wait(10)

    def stop(self) -> None:
        """End it as a service manager does (SIGTERM), and wait for that."""
        assert self.child is not None
        self.child.terminate()
        self.child.wait(20)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self._folder / "log").read_text()


class Ear:
    """Hears all that comes out, with a session of its own: how often and when each number came, how many of each host."""

    def __init__(self, socket: str) -> None:
        self.heard: Counter[str] = Counter()
        self.by_host: Counter[str] = Counter()
        self.came: dict[str, float] = {}
        self.subscribed = threading.Event()
        self.client = client("ear", socket)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._on_message
        self.client.loop_start()
        self.client.subscribe("out/#", 1)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        _, host, number = message.topic.split("/")
        self.heard[number] += 1
        self.by_host[host] += 1
        self.came.setdefault(number, time.monotonic())

    @property
    def again(self) -> int:
        """How many came that had come before."""
        return sum(self.heard.values()) - len(self.heard)


def client(name: str, socket: str) -> paho.Client:
    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, transport="unix")
    made.max_queued_messages_set(0)
    made.max_inflight_messages_set(IN_FLIGHT)
    made.connect(socket, keepalive=0)
    return made


class Plant:
    """All of it: `hosts` are the places, `runners` what runs there by number."""

    def __init__(self, hosts: Hosts, runners: dict[int, Host], log: Log, ear: Ear, hand: paho.Client) -> None:
        self.hosts = hosts
        self.runners = runners
        self.log = log
        self.ear = ear
        self.hand = hand

    def send(self, first: int, end: int) -> None:
        """Hand over messages with these numbers; they are sent from a thread of their own, as the broker takes them."""
        for number in range(first, end):
            self.hand.publish(f"in/{number}", b"%d" % number, 1)

    def hears(self, count: int) -> None:
        """Wait until so many different numbers came out."""
        wait(lambda: len(self.ear.heard) >= count, lambda: f"{len(self.ear.heard)} of {count} came: {self.logs()}")

    def logs(self) -> str:
        """The end of what each runner has said."""
        return "\n".join(f"{one.name}: {one.log[-1500:]}" for one in self.runners.values())


def wait(condition: Callable[[], object], what: Callable[[], str] = lambda: "", patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


@contextmanager
def plant(
    folder: Path,
    make: Callable[[int], Hosts],
    count: int = 3,
    *,
    keep: str = "1h",
    keepalive: float = 2,
    workers: int = 1,
) -> Iterator[Plant]:
    """A broker, and runners on so many hosts, all of them subscribed; with an empty `keep` they keep no session."""
    require_mosquitto()
    with ExitStack() as stack:
        hosts = make(count)
        stack.callback(hosts.close)
        socket = f"{stack.enter_context(short_folder())}/mqtt"
        log = start_broker(stack, hosts, folder, socket)
        runners = {
            number: Host(number, hosts, log, folder, keep=keep, keepalive=keepalive, workers=workers)
            for number in range(1, count + 1)
        }
        for runner in runners.values():
            runner.start()
            stack.callback(runner.kill)
        ear, hand = Ear(socket), client("hand", socket)
        hand.loop_start()
        for one in (ear.client, hand):
            stack.callback(one.loop_stop)
            stack.callback(one.disconnect)
        found = Plant(hosts, runners, log, ear, hand)
        assert ear.subscribed.wait(20)
        wait(lambda: all(one.is_subscribed() for one in runners.values()), found.logs, 60)
        yield found


def start_broker(stack: ExitStack, hosts: Hosts, folder: Path, socket: str) -> Log:
    config, path = folder / "mosquitto.conf", folder / "mosquitto.log"
    listeners = f"user {hosts.user}\nlistener {hosts.port} {hosts.bind}\nlistener 0 {socket}\n"
    config.write_text(f"{listeners}{BROKER}persistence_location {folder}/\n")
    with path.open("ab") as file:
        words = hosts.at_broker(["mosquitto", "-c", str(config)])
        child = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    stack.callback(child.wait, 10)
    stack.callback(child.kill)
    wait(Path(socket).exists, path.read_text, 20)
    return Log(path)
