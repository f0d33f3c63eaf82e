"""Turns a recording into messages that are published with the timing of the recording."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import click

from flowrunner.cli import terminal
from flowrunner.cli.client_options import client_options
from flowrunner.cli.letters import client_command, connection_options
from flowrunner.cli.options import Misuse, compose, option
from flowrunner.run.playing import Player
from flowrunner.topics import BadTopic, check_topic

if TYPE_CHECKING:
    from rich.progress import Progress

    from flowrunner.cli.client import Client
    from flowrunner.message import Message
    from flowrunner.run.recording import Recorded

_MOST_PENDING = 1000
_CHUNK = 65_536

_play_options = compose(
    option("--speed", metavar="FACTOR", default="1", section="Playing",
           help="So many times as fast, such as 10 or 0.5; `max` does not wait at all [1]."),
    option("--loop", is_flag=True, section="Playing", help="Begin again at the end, until Ctrl-C."),
    option("--to", "prefix", metavar="PREFIX", default="", section="Playing",
           help="Put this before every topic, such as replay/."),
)  # fmt: skip


@client_command(
    "replay",
    examples="""
    flowrunner record 'sensors/#' > day.jsonl
    flowrunner replay day.jsonl                    (as fast as it was recorded)
    flowrunner replay day.jsonl --speed 10 --to replay/
    flowrunner replay day.jsonl --speed max -h localhost
    zcat day.jsonl.gz | flowrunner replay -
    """,
)
@click.argument("file", metavar="FILE")
@_play_options
@connection_options
def command(file: str, speed: str, prefix: str, *, loop: bool, **given: Any) -> None:
    """Publish the messages of a recording, with its timing.

    Topics, payloads, QoS, retain flags and properties are those of the recording. FILE is what `record` has written;
    `-` is the standard input. Time is kept by the recording as a whole: what is late does not make the rest later.

    Exit code 0: the broker has all messages; 1: the recording holds a mistake; 2: wrong usage; 3: the broker could not
    be reached, refused a message, or was lost.
    """
    from flowrunner.cli.client import Client

    given["as_json"] = True  # MQTT 5 where the broker can: properties
    options, topic = client_options(given)
    if topic:
        raise click.UsageError("the topics are those of the recording: `-L` names none; for a prefix use `--to`")
    factor, prefix = _factor(speed), _prefix(prefix)
    if file == "-" and loop:
        raise click.UsageError("`--loop` needs a file: the standard input can be read only once")
    with ExitStack() as stack:
        stack.enter_context(terminal.quiet_failure(is_quiet=options.is_quiet))
        stack.enter_context(terminal.polite_end())
        source = stack.enter_context(Tape(file))
        publisher = Publisher(stack.enter_context(Client(options)), prefix)
        source.idle = lambda: publisher.rest(0)
        progress = stack.enter_context(source.progress(is_quiet=options.is_quiet))
        player = Player(publisher, factor)
        try:
            player.play(source.rounds(progress, is_endless=loop))
            publisher.settle(0)
        except KeyboardInterrupt:
            publisher.settle(0)
            raise
        finally:
            progress.stop()
            if not options.is_quiet:
                words = "1 message" if player.count == 1 else f"{player.count} messages"
                terminal.say(f"played {words} in {player.elapsed():.1f} s")


def _factor(text: str) -> float | None:
    if text == "max":
        return None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise Misuse(f"`--speed` must be a number above 0, or `max`, not `{text}`", "such as `--speed 10`")
    return factor


def _prefix(text: str) -> str:
    try:
        check_topic(text or "x")
    except BadTopic as error:
        raise click.UsageError(f"`{text}` cannot stand before a topic: {error.message}") from None
    return text


class Publisher:
    """Publishes messages on a connection; never more than a thousand that the broker has not acknowledged."""

    def __init__(self, client: "Client", prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self.pending: list[Any] = []

    def send(self, message: "Message") -> None:
        """Publish a message below the prefix."""
        from flowrunner.run.properties import to_paho

        properties = to_paho(message.properties) if self.client.is_mqtt5 else None
        topic = self.prefix + message.topic
        sent = self.client.paho.publish(topic, message.payload, message.qos, message.retain, properties)
        self.pending.append(sent)
        if len(self.pending) >= _MOST_PENDING:
            self.settle(_MOST_PENDING // 2)

    def rest(self, seconds: float) -> None:
        """Let so much time pass, or less: until the network has something, and has been listened to."""
        self.client.turn(min(seconds, 1.0))
        self.client.raise_refusal()

    def settle(self, most: int) -> None:
        """Wait until at most so many messages are under way. Raises ConnectionFailed where the broker refuses one."""
        while True:
            self.pending = [sent for sent in self.pending if not sent.is_published()]
            self.client.raise_refusal()
            if len(self.pending) <= most:
                return
            self.client.turn(1.0)


class Tape:
    """A recording that is read line by line."""

    def __init__(self, name: str) -> None:
        self.name = "<stdin>" if name == "-" else name
        self.file: BinaryIO
        self.idle: Callable[[], object] = bool  # what is done again and again while the input says nothing

    def __enter__(self) -> Self:
        try:
            self.file = sys.stdin.buffer if self.name == "<stdin>" else Path(self.name).open("rb")
        except OSError as error:
            raise Misuse(f"`{self.name}` cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self.name != "<stdin>":
            self.file.close()

    def progress(self, *, is_quiet: bool) -> "Progress":
        """A bar on standard error, if that is a terminal."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        is_hidden = is_quiet or not sys.stderr.isatty()
        return Progress(*columns, console=console, transient=True, disable=is_hidden)

    def rounds(self, progress: "Progress", *, is_endless: bool) -> "Iterator[Iterator[Recorded]]":
        """The messages from beginning to end, once or again and again."""
        is_file = self.name != "<stdin>"
        task = progress.add_task(self.name, total=Path(self.name).stat().st_size or None if is_file else None)
        while True:
            yield self.messages(lambda length: progress.advance(task, length))
            if not is_endless:
                return
            self.file.seek(0)
            progress.reset(task)

    def messages(self, advance: Callable[[int], object]) -> "Iterator[Recorded]":
        """The messages to the end. Raises FlowError for a line that is none, ConnectionFailed never."""
        from flowrunner.run.recording import read_recording

        def lines() -> Iterator[bytes]:
            for line in self.file if self.name != "<stdin>" else self.input_lines():
                advance(len(line))
                yield line

        return read_recording(lines(), self.name)

    def input_lines(self) -> Iterator[bytes]:
        """The lines of the standard input as they come, which may take long."""
        file, begun = self.file.fileno(), b""
        while True:
            ready, _, _ = select.select([file], [], [], 1.0)
            if not ready:
                self.idle()
                continue
            chunk = os.read(file, _CHUNK)
            *lines, begun = (begun + chunk).split(b"\n")
            yield from lines
            if not chunk:
                yield begun
                return
