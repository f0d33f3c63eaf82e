"""Turns an address and some wishes into a connected MQTT client that says in words what goes wrong."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from flowrunner.cli import terminal
from flowrunner.connections import FOR_EVER, TRANSPORTS, ConnectionSettings
from flowrunner.errors import ConnectionFailed
from flowrunner.run.refusals import TAKEN_OVER, WRONG_VERSION, Refused, closed, ended, refused, silent, unreachable

PATIENCE = 10.0
"""Seconds that a broker has for each step of connecting."""

_NOT_ALLOWED = (0x86, 0x87)
_BAD_CLIENT_ID = 0x85


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when this client is lost (MQTT 5.0 section 3.1.2.5)."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to connect. `properties` (MQTT 5) by name of the packet: `connect`, `publish`, `subscribe`, `will`, ..."""

    settings: ConnectionSettings
    will: Will | None = None
    properties: Mapping[str, Properties] = field(default_factory=dict)
    client_id_prefix: str = ""
    bind_address: str = ""
    inflight: int = 20
    check_host_name: bool = True
    is_debug: bool = False
    is_quiet: bool = False


class Client:
    """A connection that one thread drives by calling `turn` again and again.

    Open and close it with `with`; `take` is called for every message that arrives.
    """

    def __init__(self, options: ClientOptions, take: Callable[[paho.MQTTMessage], None] | None = None) -> None:
        self.options = options
        self.address = options.settings
        self.acknowledged: list[ReasonCode] = []
        self.granted: list[list[ReasonCode]] = []
        self._take = take
        self._answer: ReasonCode | None = None
        self._farewell: ReasonCode | None = None
        self.paho: paho.Client

    def __enter__(self) -> Self:
        """Connect, or raise ConnectionFailed. MQTT 5 is tried first where the protocol is `auto`."""
        wanted = self.address.protocol
        versions = (
            (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311) if wanted == "auto" else (_VERSIONS[wanted],)
        )
        for version in versions:
            self.paho = self._build(version)
            try:
                self._connect()
            except Refused as refusal:
                if version == versions[-1] or refusal.kind not in ("version", "closed"):
                    raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye to the broker, so that it does not publish the will."""
        properties = self.options.properties.get("disconnect") if self.is_mqtt5 else None
        self.paho.disconnect(properties=properties)
        deadline = time.monotonic() + 1
        while self.paho.want_write() and self.paho.socket() is not None and time.monotonic() < deadline:
            self.paho.loop(0.05)

    @property
    def is_mqtt5(self) -> bool:
        """Whether the connection speaks MQTT 5 (else 3.1.1)."""
        return self.paho.protocol == MQTTProtocolVersion.MQTTv5

    def properties(self, packet: str) -> Properties | None:
        """The MQTT 5 properties that were asked for, for packets of this name."""
        return self.options.properties.get(packet) if self.is_mqtt5 else None

    def turn(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the network and handle what came; raise ConnectionFailed at its loss."""
        code = self.paho.loop(timeout)
        if code == paho.MQTT_ERR_SUCCESS and self.paho.socket() is not None:
            return
        if self._farewell is not None and self._farewell.value == TAKEN_OVER:
            message = f"another client connected to {self.address.shown} with the same client id, and took over"
            raise ConnectionFailed(message)
        raise ConnectionLost(f"the connection to {self.address.shown} was lost" + self._spoken_farewell())

    def raise_refusal(self, what: str = "a message") -> None:
        """Raise ConnectionFailed if the broker refused what was published (MQTT 5.0 section 3.4.2.1)."""
        for reason in self.acknowledged:
            if reason.is_failure:
                raise ConnectionFailed(f"the broker refused {what}: {str(reason).lower()}")
        self.acknowledged.clear()

    def reconnect(self) -> None:
        """Connect again with the same client, so that messages in flight are kept; raise ConnectionFailed."""
        self._connect(again=True)

    def _build(self, version: MQTTProtocolVersion) -> paho.Client:
        settings, options = self.address, self.options
        is_clean = settings.keep is None
        prefix = options.client_id_prefix or ("" if version == MQTTProtocolVersion.MQTTv5 else "flowrunner-")
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id or (prefix and prefix + token_hex(6)),
            clean_session=None if version == MQTTProtocolVersion.MQTTv5 else is_clean,
            protocol=version,
            transport=TRANSPORTS[settings.scheme],
            reconnect_on_failure=False,
        )
        client.connect_timeout = PATIENCE
        client.max_inflight_messages_set(options.inflight)
        if settings.username is not None or settings.password is not None:
            client.username_pw_set(settings.username or "", settings.password)
        if settings.scheme in ("mqtts", "wss"):
            from flowrunner.run.client import tls_context

            context = tls_context(settings)
            context.check_hostname = options.check_host_name
            client.tls_set_context(context)
            client.tls_insecure_set(not options.check_host_name)
        if settings.scheme in ("ws", "wss"):
            client.ws_set_options(path=settings.path or "/mqtt")
        if options.will is not None:
            will = options.will
            properties = options.properties.get("will") if version == MQTTProtocolVersion.MQTTv5 else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        self._listen(client)
        return client

    def _listen(self, client: paho.Client) -> None:
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = _send_at_once
        if self._take is not None:
            take = self._take
            client.on_message = lambda _client, _data, message: take(message)
        if self.options.is_debug:
            client.on_log = lambda _client, _data, _level, text: terminal.say(text)

    def _connect(self, *, again: bool = False) -> None:
        self._answer = self._farewell = None
        try:
            if again:
                self.paho.reconnect()
            else:
                self._open()
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise self._unreachable(error) from error
        answer = self._await_answer()
        if answer.is_failure:
            raise self._refusal(answer.value)

    def _open(self) -> None:
        settings = self.address
        properties, clean_start = None, paho.MQTT_CLEAN_START_FIRST_ONLY
        if self.is_mqtt5:
            properties, clean_start = self._connect_properties(), settings.keep is None
        host, port = (settings.path, 1) if settings.scheme == "mqtt+unix" else (settings.host, settings.port)
        bind, keepalive = self.options.bind_address, settings.keepalive
        self.paho.connect(host, port, keepalive, bind, clean_start=clean_start, properties=properties)

    def _connect_properties(self) -> Properties | None:
        properties = self.options.properties.get("connect")
        if self.address.keep:
            properties = properties or Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = int(min(self.address.keep, FOR_EVER))
        return properties

    def _await_answer(self) -> ReasonCode:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                code = self.paho.loop(0.2)
            except Exception as error:  # paho has no common type for what it cannot read
                raise closed(self.address, is_readable=False) from error
            if self._answer is not None:
                return self._answer
            if code != paho.MQTT_ERR_SUCCESS or self.paho.socket() is None:
                raise closed(self.address, is_readable=True)
        raise silent(self.address)

    def _unreachable(self, error: Exception) -> ConnectionFailed:
        """In words; a broker resets a TLS handshake on a port that is none for TLS."""
        if isinstance(error, ConnectionResetError) and self.address.scheme in ("mqtts", "wss"):
            text = f"{self.address.shown} closed the connection in the TLS handshake"
            return ConnectionFailed(f"{text}: is it a port without TLS (mqtt://)?")
        return unreachable(error, self.address)

    def _refusal(self, code: int) -> ConnectionFailed:
        """In the words of this command line where there are letters for it."""
        where = self.address.shown
        if code in _NOT_ALLOWED and self.address.username is None:
            return ConnectionFailed(f"{where} wants a user name and a password: add `-u NAME -P PASSWORD`")
        if code == WRONG_VERSION and self.address.protocol != "auto":
            return Refused(f"{where} does not speak MQTT {self.address.protocol}: try `-V auto`", "version")
        if code == _BAD_CLIENT_ID:
            return ConnectionFailed(f"{where} does not accept the client id: give another with `-i NAME`")
        return refused(code, self.address, self.address.client_id or "")

    def _spoken_farewell(self) -> str:
        return f": {ended(self._farewell.value)}" if self._farewell is not None else ""

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._answer = reason

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = reason

    def _on_publish(self, _client: Any, _data: Any, _number: int, reason: ReasonCode, _properties: Any) -> None:
        self.acknowledged.append(reason)

    def _on_subscribe(
        self, _client: Any, _data: Any, _number: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        self.granted.append(reasons)


class ConnectionLost(ConnectionFailed):
    """A connection that worked is gone; trying again may help."""


_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


def _send_at_once(_client: Any, _data: Any, connection: Any) -> None:
    # Nagle's algorithm and delayed acknowledgements together hold small messages back for 40 ms.
    if isinstance(connection, socket.socket) and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
