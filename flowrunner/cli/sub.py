"""Turns messages that a broker delivers into lines on the screen."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.client_options import client_options
from flowrunner.cli.letters import client_command, connection_options, qos_option
from flowrunner.cli.options import compose, option
from flowrunner.errors import ConnectionFailed
from flowrunner.topics import BadTopic, Filter, matches, parse_filter

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

    from flowrunner.cli.client import Client, ConnectionLost
    from flowrunner.cli.printing import Received

TIMED_OUT = 27
"""Exit code when `-W` ended the command: that of mosquitto_sub."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_STABLE = 5.0  # seconds after which the loss of a connection has nothing to do with how it was made
_MOST_EARLY_LOSSES = 3

_message_options = compose(
    option("-t", "--topic", "topics", metavar="FILTER", multiple=True,
           section="Messages", help="Topics to listen to, such as sensors/+/climate or '#'; may be repeated."),
    option("-T", "--filter-out", "without", metavar="FILTER", multiple=True,
           section="Messages", help="Leave these topics out; may be repeated."),
    option("-U", "--unsubscribe", "left", metavar="FILTER", multiple=True,
           section="Messages", help="Unsubscribe from a filter of a kept session; may be repeated."),
    qos_option("Highest quality of service to receive with [0]."),
    option("-C", "--count", metavar="COUNT", type=click.IntRange(1),
           section="Messages", help="End after so many messages."),
    option("-W", "--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
           section="Messages", help="End after so many seconds, with exit code 27."),
    option("-E", "until_subscribed", is_flag=True, section="Messages", help="End as soon as the subscriptions stand."),
    option("-R", "no_retained", is_flag=True, section="Messages", help="Leave out retained messages."),
    option("--retained-only", is_flag=True,
           section="Messages", help="Print retained messages, end at the first live one."),
    option("--retain-as-published", is_flag=True,
           section="Messages", help="Show the retain flag as the sender set it (MQTT 5)."),
    option("--remove-retained", is_flag=True, section="Messages", help="Delete every retained message that arrives."),
)  # fmt: skip

_output_options = compose(
    option("-v", "--verbose", is_flag=True, section="Output", help="Print the topic before the payload."),
    option("-N", "no_end", is_flag=True, section="Output", help="No line end behind a payload."),
    option("-F", "--format", metavar="FORMAT", section="Output",
           help="Print what the format says: %t topic, %p payload, %q QoS, %r retained, %x hex, %l length, %j JSON, "
                "@H:@M:@S time, ... as mosquitto_sub does."),
    option("--json", "as_json", is_flag=True, section="Output",
           help="One JSON object a line: topic, payload (payload_base64 where it is no text), qos, retain, "
                "properties, time."),
    option("--pretty", is_flag=True, section="Output", help="JSON over several lines."),
)  # fmt: skip


@client_command(
    "sub",
    examples="""
    flowrunner sub -t '#' -v                             (everything, with topics)
    flowrunner sub -t sensors/+/climate -t 'alerts/#' -v
    flowrunner sub -t sensors/kitchen/climate -C 1 -W 5  (one message, or exit code 27 after 5 s)
    flowrunner sub -t 'sensors/#' --json | jq .payload
    flowrunner sub -t '#' -F '@H:@M:@S %t %p'
    flowrunner sub --broker mqtts://me:secret@broker.example.org -t '#' -v
    """,
)
@_message_options
@_output_options
@connection_options
def command(**given: Any) -> int | None:
    """Print the messages of topics, with the letters of mosquitto_sub.

    Payloads are printed unchanged. When the connection is lost it is made again. Exit code 0: ended by -C, -E or
    --retained-only; 27: ended by -W; 2: wrong usage; 3: the broker could not be reached, or refused.
    """
    from flowrunner.cli.client import Client

    options, topic = client_options(given)
    listener = Listener(given, read_filters([*given["topics"], *([topic] if topic else [])]))
    with (
        terminal.quiet_failure(is_quiet=options.is_quiet),
        terminal.polite_end(),
        Client(options, listener.take) as client,
    ):
        return listener.listen(client)


def read_filters(texts: Sequence[str]) -> list[Filter]:
    """The topic filters of a command line; raise UsageError for a text that is none."""
    try:
        return [parse_filter(text, named=True) for text in texts]
    except BadTopic as error:
        raise click.UsageError(f"this is no topic filter: {error.message}") from None


class Listener:
    """The subscriptions of one command, and what it prints of what they bring."""

    def __init__(self, given: dict[str, Any], filters: list[Filter]) -> None:
        if not filters and not given["left"]:
            raise click.UsageError("say what to listen to: `-t FILTER`, for everything `-t '#'`")
        self.given = given
        self.filters = filters
        self.without = read_filters(given["without"])
        self.left = [topic_filter.mqtt for topic_filter in read_filters(given["left"])]
        self.show = _printer(given)
        self.count = 0
        self.connected_at = 0.0
        self.early_losses = 0
        self.is_done = False
        self.client: Client

    def listen(self, client: "Client") -> int:
        """Subscribe and print until an option or the user ends it; return the exit code."""
        self.client, self.connected_at = client, time.monotonic()
        timeout = self.given["timeout"]
        end = time.monotonic() + timeout if timeout else float("inf")
        self.subscribe()
        while not self.is_done:
            left = end - time.monotonic()
            if left <= 0:
                return TIMED_OUT
            self.turn(min(left, 1.0), end)
        return 0

    def turn(self, timeout: float, end: float) -> None:
        """Wait for messages and print them; connect again where the connection is lost."""
        from flowrunner.cli.client import ConnectionLost

        try:
            self.client.turn(timeout)
        except ConnectionLost as loss:
            self.come_back(loss, end)
        self.check_grants()
        sys.stdout.flush()

    def subscribe(self) -> None:
        """Ask for the subscriptions of this command."""
        client, qos = self.client, self.given["qos"]
        if self.filters:
            wanted: list[Any] = [(topic_filter.mqtt, qos) for topic_filter in self.filters]
            if client.is_mqtt5:
                from paho.mqtt.subscribeoptions import SubscribeOptions

                as_published = self.given["retain_as_published"]
                wanted = [(name, SubscribeOptions(qos, retainAsPublished=as_published)) for name, _ in wanted]
            client.paho.subscribe(wanted, properties=client.properties("subscribe"))
        if self.left:
            client.paho.unsubscribe(self.left, properties=client.properties("unsubscribe"))
            self.is_done = not self.filters

    def check_grants(self) -> None:
        """Say which subscriptions the broker refused; raise ConnectionFailed if it refused them all."""
        from flowrunner.run.refusals import not_subscribed

        while self.client.granted:
            reasons = self.client.granted.pop(0)
            refused = [
                f"no subscription to `{topic_filter.mqtt}`: {not_subscribed(reason.value)}"
                for topic_filter, reason in zip(self.filters, reasons, strict=False)
                if reason.is_failure
            ]
            if refused and len(refused) == len(self.filters):
                raise ConnectionFailed("; ".join(refused))
            for text in refused:
                terminal.complain(text)
            self.is_done = self.is_done or self.given["until_subscribed"]

    def come_back(self, loss: "ConnectionLost", end: float) -> None:
        """Connect again, with growing pauses, until it works or the time is up.

        Raises ConnectionFailed where the broker closes one connection after the other.
        """
        is_early = time.monotonic() - self.connected_at < _STABLE
        self.early_losses = self.early_losses + 1 if is_early else 0
        if self.early_losses > _MOST_EARLY_LOSSES:
            text = f"{loss} again and again: perhaps another client uses the same client id (`-i`)"
            raise ConnectionFailed(text)
        self.say(f"{loss}; trying again")
        must_wait, pause = is_early, _FIRST_PAUSE * 2**self.early_losses
        while (left := end - time.monotonic()) > 0:
            if must_wait:
                time.sleep(min(pause, left))
            try:
                self.client.reconnect()
            except ConnectionFailed:
                must_wait = True
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self.say("connected again")
                self.connected_at = time.monotonic()
                return self.subscribe()
        return None

    def say(self, text: str) -> None:
        """News about the connection, unless silence was asked for."""
        if not self.client.options.is_quiet:
            terminal.say(text)

    def take(self, message: "MQTTMessage") -> None:
        """Print one message, unless an option leaves it out."""
        given = self.given
        if self.is_done or any(matches(topic_filter, message.topic) for topic_filter in self.without):
            return
        if given["retained_only"] and not message.retain:
            self.is_done = True
            return
        if message.retain and given["remove_retained"]:
            self.client.paho.publish(message.topic, b"", 1, retain=True)
        if message.retain and given["no_retained"]:
            return
        self.put(message)
        self.count += 1
        self.is_done = self.count == given["count"]

    def put(self, message: "MQTTMessage") -> None:
        """Write what is to be seen of a message."""
        from flowrunner.cli.printing import receive

        sys.stdout.buffer.write(self.show(receive(message)))


def _printer(given: dict[str, Any]) -> "Callable[[Received], bytes]":
    from flowrunner.cli import printing

    end = b"" if given["no_end"] else b"\n"
    if given["as_json"]:
        return lambda message: printing.as_json(message, is_pretty=given["pretty"]) + end
    if given["format"] is not None:
        form = printing.parse_format(given["format"], is_pretty=given["pretty"])
        return lambda message: printing.formatted(form, message, end)
    if given["verbose"]:
        return lambda message: message.topic.encode() + b" " + (message.payload or b"(null)") + end
    return lambda message: message.payload + end if message.payload else b""
