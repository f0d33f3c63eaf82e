"""Turns a command line into a broker that runs until Ctrl-C."""

import asyncio
import errno
import logging
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import compose, make_command, option
from flowrunner.cli.terminal import USAGE, complain

if TYPE_CHECKING:
    from flowrunner.broker import AccessList, Broker, Passwords

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PORT = click.IntRange(0, 65535)

_options = compose(
    option("-h", "--host", metavar="HOST", default="127.0.0.1",
           help="Address to listen on [127.0.0.1, this machine only]; 0.0.0.0 is every network."),
    option("-p", "--port", metavar="PORT", type=_PORT, default=1883, help="Port [1883]; 0 takes a free one."),
    option("--websocket-port", metavar="PORT", type=_PORT,
           help="Listen for MQTT over websockets too; 0 takes a free port."),
    option("-v", "--verbose", is_flag=True, help="Show who connects, who goes, and who breaks the protocol."),
    option("--user", "users", metavar="NAME:PASSWORD", multiple=True, section="Who may do what",
           help="Let in only the users that are named so; may be repeated."),
    option("--password-file", metavar="FILE", type=_FILE, section="Who may do what",
           help="Let in the users of a file that mosquitto_passwd wrote."),
    option("--acl", metavar="FILE", type=_FILE, section="Who may do what",
           help="Who may read and write which topics, written as for mosquitto."),
    option("--cert", metavar="FILE", type=_FILE, section="TLS", help="Certificate of this broker, with its chain."),
    option("--key", metavar="FILE", type=_FILE, section="TLS", help="Its private key."),
    option("--ca", metavar="FILE", type=_FILE, section="TLS",
           help="Let in only clients with a certificate that one of these signed."),
)  # fmt: skip


@make_command(
    "broker",
    examples="""
    flowrunner broker
    flowrunner broker -p 0 -v                            (on a free port, telling who comes)
    flowrunner broker --user me:secret --acl topics.acl
    flowrunner broker -h 0.0.0.0 -p 8883 --cert broker.pem --key broker.key
    """,
)
@_options
def command(**given: Any) -> int | None:
    """Run an MQTT broker for lessons and tests. It speaks MQTT 3.1.1 and 5 and keeps everything in memory.

    Ctrl-C stops it. Exit code 0: it was stopped; 2: wrong usage, or the address is taken.
    """
    broker = _broker(given)
    if given["verbose"]:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        asyncio.run(_serve(broker))
    except OSError as error:
        complain(_reason(error, broker))
        return USAGE
    return None


async def _serve(broker: "Broker") -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with broker:
        click.echo(_greeting(broker))
        await stopped.wait()


def _broker(given: dict[str, Any]) -> "Broker":
    from flowrunner.broker import Broker

    return Broker(
        given["host"],
        given["port"],
        websocket_port=given["websocket_port"],
        passwords=_passwords(given["users"], given["password_file"]),
        access=_access(given["acl"]),
        tls=_tls(given["cert"], given["key"], given["ca"]),
    )


def _passwords(users: tuple[str, ...], file: Path | None) -> "Passwords | None":
    from flowrunner.broker import BadPasswordFile, Passwords

    if not users and file is None:
        return None
    plain: dict[str, str] = {}
    for user in users:
        name, colon, password = user.partition(":")
        if not colon or not name:
            raise click.UsageError("`--user` must be NAME:PASSWORD")
        plain[name] = password
    passwords = Passwords(plain)
    try:
        if file is not None:
            passwords.load(file)
    except (BadPasswordFile, OSError) as error:
        raise click.UsageError(str(error)) from None
    return passwords


def _access(file: Path | None) -> "AccessList | None":
    from flowrunner.broker import AccessList, BadAccessList

    try:
        return None if file is None else AccessList.load(file)
    except (BadAccessList, OSError) as error:
        raise click.UsageError(str(error)) from None


def _tls(cert: Path | None, key: Path | None, ca: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None or ca is not None:
            raise click.UsageError("`--key` and `--ca` need the certificate of this broker: `--cert FILE`")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An empty password instead of a prompt: a broker may be started where nobody can answer.
        context.load_cert_chain(cert, key, password="")
        if ca is not None:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise click.UsageError(f"the certificate, its key or the ca cannot be used: {reason}") from None
    return context


def _greeting(broker: "Broker") -> str:
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    where = f"{host}:{broker.port}"
    if broker.websocket_port is not None:
        where += f", websockets on {host}:{broker.websocket_port}"
    secure = " with TLS" if broker.url.startswith("mqtts") else ""
    text = f"broker on {where}{secure}: MQTT 3.1.1 and 5, all in memory, nothing is kept on disk"
    if broker.is_open_to_the_network:
        text += "; whoever reaches this address may use it (`--user NAME:PASSWORD` asks for a password)"
    return text


def _reason(error: OSError, broker: "Broker") -> str:
    where = f"{broker.host}:{broker.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; `-p 0` takes a free port"
    return f"cannot listen on {where}: {(error.strerror or str(error)).lower()}"
