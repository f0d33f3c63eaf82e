"""Turns the letters of mosquitto's clients into options of a command."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from flowrunner.cli.options import Command, Function, broker_option_in, compose, option
from flowrunner.topics import BadTopic, check_topic

_CONNECTION, _SESSION, _TLS = "Connection", "Session and will", "TLS"

SEPARATOR = "\0"
"""Between the words of one `-D`, which the command line brings as several; no word can hold it."""


class ClientCommand(Command):
    """A command that takes the letters; `-D` is followed by three words, or four."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the words of each `-D` before click counts them."""
        return super().parse_args(ctx, join_properties(args))


def join_properties(arguments: Sequence[str]) -> list[str]:
    """The command line with the three or four words behind each `-D` joined to one."""
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        joined.append(word)
        if word == "--":
            return joined + rest
        if word in ("-D", "--property"):
            count = 4 if rest[1:2] == ["user-property"] else 3
            if len(rest) < count:
                raise click.UsageError(f"`{word}` wants PACKET NAME VALUE, such as `publish content-type text/plain`")
            joined.append(SEPARATOR.join(rest[:count]))
            rest = rest[count:]
    return joined


def client_command(name: str, *, examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Like `command`, for one that takes the letters."""
    return click.command(name, cls=ClientCommand, examples=examples)


def qos_option(help: str) -> Callable[[Function], Function]:
    """`-q 0|1|2`."""
    return option("-q", "--qos", type=click.IntRange(0, 2), default=0, metavar="0|1|2", section="Messages", help=help)


connection_options = compose(
    option("-h", "--host", metavar="HOST", section=_CONNECTION,
           help="Broker to connect to [the one of flows/flowrunner.yaml, else localhost]."),
    option("-p", "--port", metavar="PORT", type=click.IntRange(1, 65535), section=_CONNECTION,
           help="Its port [1883, with TLS 8883]; 8883 means TLS."),
    broker_option_in(_CONNECTION),
    option("-L", "--url", metavar="URL", section=_CONNECTION,
           help="Broker and topic at once: mqtt://user:password@host:1883/the/topic."),
    option("--unix", metavar="PATH", section=_CONNECTION, help="Connect through a local socket."),
    option("-u", "--username", metavar="NAME", section=_CONNECTION, help="User name."),
    option("-P", "--password", "--pw", metavar="TEXT", section=_CONNECTION, help="Password."),
    option("-V", "--protocol-version", "protocol", metavar="VERSION", section=_CONNECTION,
           help="5, 311 or auto (5, else 311) [311; auto with --json; 5 with -D]."),
    option("-i", "--id", metavar="TEXT", section=_CONNECTION, help="Client id [a random one]."),
    option("-I", "--id-prefix", metavar="TEXT", section=_CONNECTION, help="Begin the random client id with this."),
    option("-k", "--keepalive", metavar="SECONDS", type=click.IntRange(0, 65535), default=60, section=_CONNECTION,
           help="Longest silence before a ping [60]; 0 for none."),
    option("-A", "bind_address", metavar="ADDRESS", section=_CONNECTION,
           help="Address of this machine to connect from."),
    option("-D", "--property", "properties", metavar="PACKET NAME VALUE", multiple=True, section=_CONNECTION,
           help="MQTT 5 property, such as `-D publish content-type text/plain`; `user-property` takes NAME VALUE."),
    option("-c", "--disable-clean-session", "keep", is_flag=True, section=_SESSION,
           help="Let the broker keep the session; needs -i."),
    option("-x", "--session-expiry-interval", "expiry", metavar="SECONDS", type=int, section=_SESSION,
           help="How long it keeps it (MQTT 5) [for ever, with -c]."),
    option("--will-topic", metavar="TOPIC", section=_SESSION,
           help="Topic of the message that the broker sends when this client is lost."),
    option("--will-payload", metavar="TEXT", section=_SESSION, help="Its payload [empty]."),
    option("--will-qos", metavar="0|1|2", type=click.IntRange(0, 2), section=_SESSION, help="Its QoS [0]."),
    option("--will-retain", is_flag=True, section=_SESSION, help="Retain it."),
    option("--cafile", metavar="FILE", section=_TLS, help="Certificates to trust, instead of the system's."),
    option("--cert", metavar="FILE", section=_TLS, help="Certificate of this client."),
    option("--key", metavar="FILE", section=_TLS, help="Its private key."),
    option("--insecure", is_flag=True, section=_TLS, help="Accept a certificate made for another host."),
    option("--tls-use-os-certs", "tls", is_flag=True, section=_TLS, help="Use TLS, with the system's certificates."),
    option("-d", "--debug", is_flag=True, help="Show every packet."),
    option("--quiet", is_flag=True, help="Say nothing about what goes wrong; the exit code tells."),
    option("--nodelay", is_flag=True, hidden=True, help="What flowrunner always does."),
)  # fmt: skip


def checked_topic(text: str) -> str:
    """The text, if a message can be published to it, else UsageError says why not."""
    try:
        check_topic(text)
    except BadTopic as error:
        raise click.UsageError(f"`{text}` is no topic: {error.message}") from None
    return text


def payload_bytes(text: str) -> bytes:
    """The bytes that stood on the command line, whatever their encoding."""
    return os.fsencode(text)


def given_payload(given: Mapping[str, Any]) -> bytes:
    """What `-m`, `-f` or `-s` says is to be sent; nothing where it is none of them."""
    if given["message"] is not None:
        return payload_bytes(given["message"])
    file: Path | None = given["file"]
    if file is not None:
        return file.read_bytes()
    return sys.stdin.buffer.read() if given["stdin"] else b""
