"""Turns the settings of a connection into a paho client whose traffic goes through a link."""

import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from flowrunner.connections import FOR_EVER, TRANSPORTS, ConnectionSettings, Notice, TlsSettings
from flowrunner.errors import ConnectionFailed
from flowrunner.run.link import Link, SocketLike

#: Seconds for each of TCP, TLS, and the answer of the broker.
PATIENCE = 10.0

Tap = Callable[[SocketLike], SocketLike]
"""Puts something before a socket that listens to both sides."""


class Client(paho.Client):
    """A paho client with the things changed that it keeps private: its socket, its packet identifiers and its pings."""

    def __init__(self, settings: ConnectionSettings, version: MQTTProtocolVersion, client_id: str, link: Link) -> None:
        is_v5 = version == MQTTProtocolVersion.MQTTv5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if is_v5 else settings.keep is None,
            protocol=version,
            transport=TRANSPORTS[settings.scheme],
            reconnect_on_failure=False,  # else it falls back to MQTT 3.1 by itself, and blocks the loop for it
        )
        self._settings = settings
        self._link = link
        self._tls: TlsContext | None = None
        self._raw: socket.socket | None = None
        self._pinged: deque[Callable[[], object]] = deque()
        self.tap: Tap | None = None
        self.connect_timeout = PATIENCE
        self.max_inflight_messages_set(0)  # no limit: the link keeps to the broker's
        if settings.username is not None or settings.password is not None:
            self.username_pw_set(settings.username or "", settings.password)
        if settings.scheme in ("ws", "wss"):
            self.ws_set_options(path=settings.path or "/mqtt")
        if (will := settings.will) is not None:
            properties = will_properties(will) if is_v5 else None
            self.will_set(will.topic, will.payload, will.qos, will.retain, properties)
        self.hang_up()

    def dial(self) -> None:
        """Connect and send CONNECT, which blocks; raises what sockets raise, or ConnectionFailed for TLS files."""
        if self._tls is None and self._settings.scheme in ("mqtts", "wss"):
            self._tls = tls_context(self._settings)
            self.tls_set_context(self._tls)
        self._pinged.clear()
        try:
            self.reconnect()
        except BaseException:
            for broken in (self._tls.made if self._tls else None, self._raw):
                if broken is not None:
                    broken.close()  # paho forgets a socket whose handshake failed
            raise
        made = self.socket()
        if made is not None:
            send_at_once(made.fileno())

    def hang_up(self) -> None:
        """Close the network connection, if there is one, without a word."""
        settings = self._settings
        host, port = (settings.path, 1) if settings.scheme == "mqtt+unix" else (settings.host, settings.port)
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            is_clean, properties = settings.keep is None, self._session_properties()
            self.connect_async(host, port, settings.keepalive, clean_start=is_clean, properties=properties)
        else:
            self.connect_async(host, port, settings.keepalive)

    def ping(self, answered: Callable[[], object]) -> bool:
        """Send PINGREQ; `answered` is called when PINGRESP comes, behind all that the broker sent before it.

        False if this version of paho has no way to do it.
        """
        if not all(hasattr(paho.Client, name) for name in ("_send_pingreq", "_handle_pingresp")):
            return False
        self._send_pingreq()
        self._pinged[-1] = answered
        return True

    def _send_pingreq(self) -> MQTTErrorCode:
        self._pinged.append(_nothing)  # paho pings by itself, too: answers come in the order of the questions
        return super()._send_pingreq()

    def _handle_pingresp(self) -> MQTTErrorCode:
        result = super()._handle_pingresp()
        if self._pinged:
            self._pinged.popleft()()
        return result

    def _session_properties(self) -> Properties:
        """Without a receive maximum mosquitto sends no more than 20 messages before it waits."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = self._settings.receive_maximum
        if keep := self._settings.keep:
            properties.SessionExpiryInterval = int(min(keep, FOR_EVER))
        return properties

    def _create_socket(self) -> SocketLike:
        made = super()._create_socket()
        return self._link.wrap(made if self.tap is None else self.tap(made))

    def _create_unix_socket_connection(self) -> socket.socket:
        self._raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._raw.connect(self._settings.path)
        return self._raw

    def _create_socket_connection(self) -> socket.socket:
        self._raw = super()._create_socket_connection()
        return self._raw

    def _mid_generate(self) -> MQTTErrorCode | int:
        number = super()._mid_generate()
        while number in self._link.taken:
            number = super()._mid_generate()
        return number


def _nothing() -> None:
    """Nobody waits for this answer."""


def will_properties(will: Notice) -> Properties:
    """The properties of a will (MQTT 5.0 section 3.1.3.2)."""
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = int(will.delay)
    return properties


def send_at_once(descriptor: int) -> None:
    """Switch off Nagle's algorithm, which with delayed acknowledgements holds small packets back for 40 ms."""
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as twin:
        try:
            twin.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # a unix socket has no such option
            return


class TlsContext(ssl.SSLContext):
    """A context that remembers the last socket that it wrapped."""

    made: ssl.SSLSocket | None = None

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a socket."""
        self.made = super().wrap_socket(*arguments, **options)
        return self.made


def tls_context(settings: ConnectionSettings) -> TlsContext:
    """What TLS needs to know; raises ConnectionFailed where a file cannot be used."""
    tls = settings.tls
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
        else:
            context.load_default_certs()
    except OSError as error:
        words = f"the CA certificates in `{tls.ca}` cannot be used: {error.strerror or error}"
        raise ConnectionFailed(words) from error
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    if tls.cert:
        try:
            context.load_cert_chain(tls.cert, tls.key or None, password=lambda: _passphrase(tls))
        except OSError as error:
            raise ConnectionFailed(_unusable(tls, error)) from error
    return context


def _passphrase(tls: TlsSettings) -> str:
    """What opens the key; without it OpenSSL would ask on the terminal."""
    if tls.passphrase is None:
        raise ConnectionFailed(f"the key `{tls.key or tls.cert}` is encrypted: give its `passphrase` under `tls`")
    return tls.passphrase


def _unusable(tls: TlsSettings, error: OSError) -> str:
    """What is wrong with a certificate or its key."""
    if tls.passphrase is not None and "PEM lib" in str(error):
        return f"the key `{tls.key or tls.cert}` cannot be opened: is the `passphrase` right?"
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return f"the key `{tls.key or tls.cert}` does not belong to the certificate `{tls.cert}`"
    return f"the certificate `{tls.cert}` cannot be used: {error.strerror or error}"
