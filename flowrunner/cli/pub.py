"""Turns what stands on the command line, in a file or in the input into published messages."""

import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.client_options import client_options
from flowrunner.cli.letters import (
    checked_topic,
    client_command,
    connection_options,
    given_payload,
    qos_option,
)
from flowrunner.cli.options import compose, option

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

    from flowrunner.cli.client import Client

LARGEST_PAYLOAD = 268_435_455
"""Bytes that one message can hold at most (MQTT 5.0 section 2.1.4)."""

_MOST_PENDING = 1000
_CHUNK = 65_536

_message_options = compose(
    option("-t", "--topic", metavar="TOPIC", section="Messages", help="Topic to publish to."),
    option("-m", "--message", metavar="TEXT", section="Messages", help="Payload to send."),
    option("-f", "--file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
           section="Messages", help="Send the contents of a file."),
    option("-l", "--stdin-line", "lines", is_flag=True,
           section="Messages", help="Send each line of the input as a message of its own."),
    option("-s", "--stdin-file", "stdin", is_flag=True,
           section="Messages", help="Send the whole input as one message."),
    option("-n", "--null-message", "null", is_flag=True,
           section="Messages", help="Send an empty message; with -r, delete a retained one."),
    qos_option("Quality of service [0]."),
    option("-r", "--retain", is_flag=True,
           section="Messages", help="Let the broker keep the message for later subscribers."),
    option("--repeat", metavar="COUNT", type=click.IntRange(1), default=1,
           section="Messages", help="Send the message so many times [1]."),
    option("--repeat-delay", metavar="SECONDS", type=click.FloatRange(0), default=0.0,
           section="Messages", help="Pause between them [0]."),
    option("-M", "inflight", metavar="COUNT", type=click.IntRange(1, 65535), default=20,
           section="Messages", help="Most QoS 1 and 2 messages under way at once [20]."),
)  # fmt: skip


@client_command(
    "pub",
    examples="""
    flowrunner pub -t /random/topic -m hello
    flowrunner pub -t sensors/kitchen/climate -m '{"temperature": 26}' -q 1
    flowrunner pub -t house/mode -m away -r              (retained)
    flowrunner pub -t house/mode -n -r                   (deletes it)
    tail -f readings.log | flowrunner pub -t readings -l
    flowrunner pub --broker mqtts://me:secret@broker.example.org -t hello -m world
    flowrunner pub -V 5 -D publish user-property unit °C -t t -m 21.5
    """,
)
@_message_options
@connection_options
def command(**given: Any) -> int | None:
    """Publish messages, with the letters of mosquitto_pub.

    Exit code 0: the broker has the message (at QoS 0: it was sent); 2: wrong usage; 3: the broker could not be
    reached, refused the message, or was lost.
    """
    from flowrunner.cli.client import Client
    from flowrunner.cli.terminal import polite_end, quiet_failure

    options, topic = client_options(given)
    topic = checked_topic(_topic(given.pop("topic"), topic))
    pauses = given.pop("repeat_delay")
    payloads = _payloads(given)
    with quiet_failure(is_quiet=options.is_quiet), polite_end(), Client(options) as client:
        sender = Sender(client, topic, given["qos"], is_retained=given["retain"])
        if payloads is None:
            sender.send_lines()
        else:
            sender.send_all(payloads, pauses)
        sender.finish()
    return None


def _topic(given: str | None, of_url: str) -> str:
    if not given and not of_url:
        raise click.UsageError("say where to: `-t TOPIC`")
    return given or of_url


def _payloads(given: dict[str, Any]) -> Iterator[bytes] | None:
    """What to send; None for the lines of the input."""
    ways = {"-m": given["message"] is not None, "-f": given["file"], "-l": given["lines"]}
    ways |= {"-s": given["stdin"], "-n": given["null"]}
    used = [letter for letter, is_used in ways.items() if is_used]
    if not used:
        raise click.UsageError("say what to send: `-m TEXT`, `-f FILE`, `-l` or `-s` for the input, `-n` for nothing")
    if len(used) > 1:
        raise click.UsageError(f"{' and '.join(used)} both say what to send: give one")
    if given["lines"]:
        if given["repeat"] > 1:
            raise click.UsageError("`--repeat` repeats one message, not the lines of `-l`")
        return None
    payload = given_payload(given)
    if len(payload) > LARGEST_PAYLOAD:
        raise click.UsageError(f"a message holds {LARGEST_PAYLOAD} bytes at most, this one has {len(payload)}")
    return (payload for _ in range(given["repeat"]))


class Sender:
    """Messages on their way to one topic; never more than a thousand that the broker has not acknowledged."""

    def __init__(self, client: "Client", topic: str, qos: int, *, is_retained: bool) -> None:
        self.client = client
        self.topic = topic
        self.qos = qos
        self.is_retained = is_retained
        self.pending: deque[MQTTMessageInfo] = deque()

    def send(self, payload: bytes) -> None:
        """Publish one message; wait while too many are under way. Raise ConnectionFailed if the broker refuses."""
        properties = self.client.properties("publish")
        sent = self.client.paho.publish(self.topic, payload, self.qos, self.is_retained, properties)
        self.pending.append(sent)
        self.settle(_MOST_PENDING)

    def send_all(self, payloads: Iterator[bytes], pause: float) -> None:
        """Publish one message after the other, with `pause` seconds from the delivery of one to the next."""
        for index, payload in enumerate(payloads):
            if index and pause:
                self.finish()
                self.rest(pause)
            self.send(payload)

    def send_lines(self) -> None:
        """Publish each line of the input as it comes, and keep the connection alive in between."""
        file = sys.stdin.fileno()
        begun = bytearray()
        while True:
            connection = self.client.paho.socket()
            ready, _, _ = select.select([file, *([connection] if connection else [])], [], [], 1.0)
            if file not in ready:
                self.client.turn(0)
                continue
            chunk = os.read(file, _CHUNK)
            if not chunk:
                break
            begun += chunk
            if b"\n" in chunk:
                *lines, begun = begun.split(b"\n")
                for line in lines:
                    self.send(bytes(line))
        if begun:
            self.send(bytes(begun))

    def rest(self, seconds: float) -> None:
        """Keep the connection alive for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.client.turn(min(left, 1.0))

    def finish(self) -> None:
        """Wait until everything is delivered."""
        self.settle(0)

    def settle(self, most: int) -> None:
        """Wait until at most so many messages are under way."""
        while True:
            while self.pending and self.pending[0].is_published():
                self.pending.popleft()
            self.client.raise_refusal(f"a message to `{self.topic}`")
            if len(self.pending) <= most:
                return
            self.client.turn(1.0)
