"""Turns messages that a broker delivers into a recording."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from flowrunner.cli import terminal
from flowrunner.cli.client_options import client_options
from flowrunner.cli.letters import client_command, connection_options
from flowrunner.cli.options import Misuse, compose, option
from flowrunner.cli.sub import Listener, read_filters
from flowrunner.topics import Filter, covers, matches

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

    from flowrunner.cli.client import Client

_message_options = compose(
    option("-q", "--qos", type=click.IntRange(0, 2), default=2, metavar="0|1|2", section="Messages",
           help="Highest quality of service to receive with [2: as it was sent]."),
    option("-C", "--count", metavar="COUNT", type=click.IntRange(1),
           section="Messages", help="End after so many messages."),
    option("-W", "--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
           section="Messages", help="End after so many seconds."),
    option("-R", "no_retained", is_flag=True, section="Messages", help="Leave out what the broker kept from before."),
    option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
           section="Output", help="Write into this file instead of the standard output; a new one is begun."),
    option("-a", "--append", is_flag=True, section="Output", help="With -o: write behind what is in the file."),
)  # fmt: skip

#: What of `sub` is not asked for.
_UNASKED: dict[str, Any] = {
    "left": (), "without": (), "retained_only": False, "remove_retained": False, "until_subscribed": False,
    "retain_as_published": True, "no_end": False, "as_json": True, "pretty": False, "format": None, "verbose": False,
}  # fmt: skip


@client_command(
    "record",
    examples="""
    flowrunner record 'sensors/#' > day.jsonl
    flowrunner record 'sensors/#' 'alerts/#' -o day.jsonl -W 86400
    flowrunner record '#' -h broker.example.org -u me -P secret -C 100 | jq .topic
    flowrunner replay day.jsonl                          (plays it back)
    """,
)
@click.argument("filters", metavar="FILTER...", nargs=-1)
@_message_options
@connection_options
def command(filters: tuple[str, ...], output: Path | None, *, append: bool, **given: Any) -> None:
    """Record the messages of topics, one JSON object a line.

    A line has time, topic, payload (payload_base64 where it is no text), and QoS, retain flag and properties where
    they are not the usual ones. It is written as soon as the message is there. MQTT 5 is spoken where the broker can,
    because 3.1.1 tells neither properties nor the retain flag of live messages.

    Ends with Ctrl-C, or by -C or -W. Exit code 0: it was ended; 2: wrong usage; 3: the broker could not be reached,
    or refused.
    """
    from flowrunner.cli.client import Client

    given |= _UNASKED
    options, topic = client_options(given)
    wanted = read_filters([*filters, *([topic] if topic else [])])
    if not wanted:
        raise Misuse("say what to record", "such as `flowrunner record 'sensors/#'`, for everything `'#'`")
    if append and output is None:
        raise click.UsageError("`-a` belongs to a file: add `-o FILE`")
    with ExitStack() as stack:
        stack.enter_context(terminal.quiet_failure(is_quiet=options.is_quiet))
        stack.enter_context(terminal.polite_end())
        out = sys.stdout.buffer if output is None else stack.enter_context(_open(output, is_kept=append))
        recorder = Recorder(given, without_covered(wanted), out)
        recorder.record(stack.enter_context(Client(options, recorder.take)))


def without_covered(filters: list[Filter]) -> list[Filter]:
    """The filters without those whose topics another one hears too: a broker may deliver twice what two hear."""
    kept: list[Filter] = []
    for one in filters:
        if not any(covers(other, one) for other in kept):
            kept = [other for other in kept if not covers(one, other)]
            kept.append(one)
    return kept


def _open(path: Path, *, is_kept: bool) -> BinaryIO:
    try:
        return path.open("ab" if is_kept else "wb")
    except OSError as error:
        raise click.UsageError(f"`{path}` cannot be written: {(error.strerror or 'unknown reason').lower()}") from None


class Recorder(Listener):
    """The subscriptions of a recording, and the lines that it writes."""

    def __init__(self, given: dict[str, Any], filters: list[Filter], out: BinaryIO) -> None:
        super().__init__(given, filters)
        self.out = out
        self.retain_handling = 0

    def record(self, client: "Client") -> None:
        """Record until an option or the user ends it."""
        begun = time.monotonic()
        if not client.options.is_quiet and sys.stderr.isatty():
            terminal.say(f"recording {', '.join(one.mqtt for one in self.filters)}; Ctrl-C ends it")
        try:
            self.listen(client)
        except KeyboardInterrupt:
            pass
        finally:
            if not client.options.is_quiet:
                words = "1 message" if self.count == 1 else f"{self.count} messages"
                terminal.say(f"recorded {words} in {time.monotonic() - begun:.1f} s")

    def subscribe(self) -> None:
        """Ask for each filter under a number of its own, so that what several hear is written once."""
        client = self.client
        if not client.is_mqtt5:
            super().subscribe()
            return
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties
        from paho.mqtt.subscribeoptions import SubscribeOptions

        for number, topic_filter in enumerate(self.filters, 1):
            properties = client.properties("subscribe") or Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
            if len(self.filters) > 1:
                properties.SubscriptionIdentifier = number
            asked = SubscribeOptions(self.given["qos"], retainAsPublished=True, retainHandling=self.retain_handling)
            client.paho.subscribe([(topic_filter.mqtt, asked)], properties=properties)
        self.retain_handling = 2  # when the connection was lost and is back, what the broker keeps is recorded already

    def check_grants(self) -> None:
        """Say which subscriptions the broker refused; each has an answer of its own on MQTT 5."""
        granted = self.client.granted
        if self.client.is_mqtt5 and granted:
            if sum(map(len, granted)) < len(self.filters):
                return
            granted[:] = [[reason for reasons in granted for reason in reasons]]
        super().check_grants()

    def put(self, message: "MQTTMessage") -> None:
        """Write a line, and have it written at once."""
        from flowrunner.message import Message
        from flowrunner.run.properties import from_paho
        from flowrunner.run.recording import Recorded, write_line

        properties, numbers = from_paho(message.properties)
        if self.is_copy(message.topic, numbers):
            self.count -= 1
            return
        found = Message(message.topic, bytes(message.payload), message.qos, bool(message.retain), properties)
        self.out.write(write_line(Recorded(time.time(), found)))
        self.out.flush()

    def is_copy(self, topic: str, numbers: tuple[int, ...]) -> bool:
        """Whether a message was delivered for a filter although another one, before it, hears it too."""
        if not numbers:
            return False
        first = next((number for number, one in enumerate(self.filters, 1) if matches(one, topic)), None)
        return first is not None and first not in numbers
