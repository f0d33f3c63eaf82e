"""Listens for MQTT clients and keeps a broker's parts together from its start to its end."""

import asyncio
import ssl
from asyncio import Protocol, Server
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from flowrunner import __version__
from flowrunner.broker.access import AccessList
from flowrunner.broker.connecting import on_connect, on_disconnect
from flowrunner.broker.connection import Connection, Handler
from flowrunner.broker.hub import Hub
from flowrunner.broker.limits import Limits
from flowrunner.broker.listening import is_loopback, listening_sockets
from flowrunner.broker.message import Message
from flowrunner.broker.passwords import Passwords
from flowrunner.broker.publishing import on_puback, on_pubcomp, on_publish, on_pubrec, on_pubrel
from flowrunner.broker.subscribing import on_pingreq, on_subscribe, on_unsubscribe
from flowrunner.broker.system_topics import SystemTopics
from flowrunner.broker.websocket import WebSocket
from flowrunner.topics import check_topic

_HANDLERS: dict[int, Handler] = {
    1: on_connect,
    4: on_puback,
    5: on_pubrec,
    6: on_pubrel,
    7: on_pubcomp,
    8: on_subscribe,
    10: on_unsubscribe,
    12: on_pingreq,
    14: on_disconnect,
}

_BACKLOG = 512
_GOODBYE = 0.5
_TURNS = 5
DEFAULT_LIMITS = Limits()


def make_connection(hub: Hub) -> Connection:
    """Make the protocol of one new network connection."""
    return Connection(hub, _HANDLERS, on_publish)


class Broker:
    """An MQTT 3.1.1 and 5 broker in memory: `async with Broker(port=0) as broker: ... broker.port`.

    Port 0 takes a free one. `passwords` lets only these users in, `access` says what they may do, `tls` is the
    context of the listening side. `websocket_port` opens a second port for MQTT over websockets. $SYS is
    published every `status_interval` seconds (0: never). Nothing is kept on disk.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 1883,
        *,
        websocket_port: int | None = None,
        passwords: Passwords | None = None,
        access: AccessList | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits = DEFAULT_LIMITS,
        status_interval: float = 10.0,
    ) -> None:
        self.host = host
        self.port = port
        self.websocket_port = websocket_port
        self._passwords = passwords
        self._access = access
        self._tls = tls
        self._limits = limits
        self._status_interval = status_interval
        self._servers: list[Server] = []
        self._hub: Hub | None = None
        self._system_topics: SystemTopics | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where clients connect, as `mqtt://HOST:PORT` (`mqtts` with TLS)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self._tls else 'mqtt'}://{host}:{self.port}"

    @property
    def is_open_to_the_network(self) -> bool:
        """Whether other machines may connect without a password or a certificate."""
        asks = self._passwords is not None or (self._tls is not None and self._tls.verify_mode == ssl.CERT_REQUIRED)
        return not asks and not is_loopback(self.host)

    @property
    def hub(self) -> Hub:
        """The running broker's shared state; RuntimeError before `start`."""
        if self._hub is None:
            raise RuntimeError("the broker is not running")
        return self._hub

    async def start(self) -> None:
        """Listen; OSError if the address cannot be had."""
        if self._hub is not None:
            raise RuntimeError("the broker is running already")
        loop = asyncio.get_running_loop()
        hub = Hub(loop, limits=self._limits, passwords=self._passwords, access=self._access)
        try:
            self.port = await self._listen(lambda: make_connection(hub), self.port)
            if self.websocket_port is not None:
                is_open = self._passwords is None
                self.websocket_port = await self._listen(
                    lambda: WebSocket(make_connection(hub), checks_origin=is_open), self.websocket_port
                )
        except BaseException:
            self._close_servers()
            raise
        self._hub = hub
        self._system_topics = SystemTopics(hub, version=__version__, interval=self._status_interval)
        self._system_topics.start()

    async def stop(self) -> None:
        """Tell the clients, close, and forget everything; within a second, whatever they do."""
        hub, self._hub = self._hub, None
        if hub is None:
            return
        await self._stop_listening(hub)
        if self._system_topics is not None:
            self._system_topics.stop()
        hub.shut_down()
        with suppress(TimeoutError):
            await asyncio.wait_for(hub.is_empty.wait(), _GOODBYE)
        for connection in list(hub.connections):
            connection.abort()
        await hub.is_empty.wait()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, is_retained: bool = False) -> None:
        """Publish a message as the broker itself, on the loop's thread; BadTopic if nobody could."""
        check_topic(topic)
        hub = self.hub
        message = Message(topic.encode(), payload, qos, is_retained, arrived=hub.loop.time())
        hub.publish(message, hub.subscriptions.route(message.topic))
        hub.flush()

    async def _listen(self, protocol: Callable[[], Protocol], port: int) -> int:
        loop = asyncio.get_running_loop()
        for listening in await listening_sockets(self.host, port):
            server = await loop.create_server(
                protocol,
                sock=listening,
                ssl=self._tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=self._limits.connect_timeout if self._tls else None,
            )
            self._servers.append(server)
            port = listening.getsockname()[1]
        return port

    async def _stop_listening(self, hub: Hub) -> None:
        # asyncio loses a socket that it has accepted and not yet handed over when its server is closed.
        for server in self._servers:
            for listening in server.sockets:
                hub.loop.remove_reader(listening.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._close_servers()

    def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
