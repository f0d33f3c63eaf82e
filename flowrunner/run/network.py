"""Runs a client in the asyncio loop over one network connection, from CONNECT to its end (MQTT 5.0 section 4.2)."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from flowrunner.connections import ConnectionSettings
from flowrunner.errors import ConnectionFailed
from flowrunner.records import dataclass
from flowrunner.run import refusals
from flowrunner.run.client import PATIENCE, Client
from flowrunner.run.link import Link, Terms
from flowrunner.run.terms import read_terms, subscribe_properties
from flowrunner.run.threads import in_thread

#: Seconds between looks at the keep-alive, and seconds that a broker has to close after DISCONNECT.
HEARTBEAT = 1.0
FAREWELL = 1.0

#: Seconds that stand for a round trip where none can be made.
UNKNOWN_ROUND = 0.5

_log = logging.getLogger("flowrunner.run")

Answered = Callable[[int], None]
"""Is given the reason code of a SUBACK or UNSUBACK, in the very turn in which it is read."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a network connection ended. `words` say why, if that is known; not `is_from_broker` if it said nothing."""

    words: str = ""
    is_from_broker: bool = False
    is_takeover: bool = False
    is_malformed: bool = False
    is_unauthorized: bool = False


class Network:
    """One network connection. `opened` is called in the turn in which CONNACK is read, before anything after it."""

    def __init__(
        self, client: Client, link: Link, settings: ConnectionSettings, client_id: str, opened: Callable[[Terms], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._link = link
        self._settings = settings
        self._client_id = client_id
        self._opened = opened
        self._answer: asyncio.Future[Terms] = self._loop.create_future()
        self.ended: asyncio.Future[Ending] = self._loop.create_future()
        self._ending: Ending | None = None
        self._descriptor = -1
        self._is_writing = False
        self._is_flush_planned = False
        self._is_read_planned = False
        self._is_reading = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self._answers: dict[int, Answered] = {}

    async def open(self) -> Terms:
        """Connect and wait for CONNACK. Raises Refused."""
        client = self._client
        self._listen(client)
        try:
            await in_thread(client.dial, abandoned=client.hang_up)
        except (OSError, ValueError, ConnectionFailed, paho.WebsocketConnectionError) as error:
            raise refusals.unreachable(error, self._settings) from error
        self._attach()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer
        except TimeoutError:
            raise refusals.silent(self._settings) from None
        finally:
            if not self._answer.done() or self._answer.cancelled() or self._answer.exception() is not None:
                self.abort()

    def subscribe(self, topic_filter: str, qos: int, answered: Answered, **options: Any) -> None:
        """Send SUBSCRIBE for one filter; options are `identifier`, `no_local` and `retain_handling`, for MQTT 5."""
        client = self._client
        if client.protocol == MQTTProtocolVersion.MQTTv5:
            wishes = SubscribeOptions(
                qos, noLocal=options.get("no_local", False), retainHandling=options.get("retain_handling", 0)
            )
            properties = subscribe_properties(options.get("identifier", 0))
            _, number = client.subscribe(topic_filter, options=wishes, properties=properties)
        else:
            _, number = client.subscribe(topic_filter, qos)
        if number is not None:
            self._answers[number] = answered

    def unsubscribe(self, topic_filter: str, answered: Answered) -> None:
        """Send UNSUBSCRIBE for one filter."""
        _, number = self._client.unsubscribe(topic_filter)
        if number is not None:
            self._answers[number] = answered

    async def ping(self) -> None:
        """Wait for a round trip to the broker, or for the end: what it had sent before has been read then."""
        answered = asyncio.Event()
        if not self._client.ping(answered.set):
            await asyncio.wait((self.ended,), timeout=UNKNOWN_ROUND)
            return
        self._plan_flush()
        waiting = self._loop.create_task(answered.wait())
        try:
            await asyncio.wait((waiting, self.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def close(self) -> None:
        """Send DISCONNECT after all that waits, and let the broker close (MQTT 5.0 section 3.14.4)."""
        raw = self._client.socket()
        if raw is None:
            return
        # Closing while something is unread resets the connection, and takes away from the broker what it has not
        # read yet. A second descriptor keeps it open after paho has closed its own.
        with socket.fromfd(raw.fileno(), socket.AF_INET, socket.SOCK_STREAM) as twin:
            self._client.disconnect()
            self._flush()
            try:
                async with asyncio.timeout(FAREWELL):
                    await self.ended
                    await _linger(twin)
            except (TimeoutError, OSError):
                self.abort()

    def abort(self, words: str = "") -> None:
        """Close at once, for the reason given."""
        self._client.hang_up()
        self._finish(self._ending or Ending(words))

    def _listen(self, client: Client) -> None:
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_answer
        client.on_unsubscribe = self._on_answer
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_something_to_write
        self._link.wake = self._plan_flush
        client.on_socket_unregister_write = _ignore

    def _attach(self) -> None:
        connected = self._client.socket()
        if connected is None:
            self._finish(Ending())
            return
        self._descriptor = connected.fileno()
        self._listen_if_room()
        self._beat()
        self._flush()

    def _on_socket_close(self, _client: Any, _data: Any, _socket: Any) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    def _on_something_to_write(self, _client: Any, _data: Any, _socket: Any) -> None:
        self._plan_flush()

    def _plan_flush(self) -> None:
        # paho also calls this in the thread that connects, before there is a descriptor
        if self._descriptor >= 0 and not self._is_flush_planned:
            self._is_flush_planned = True
            self._loop.call_soon(self._flush)

    def _read(self) -> None:
        self._is_read_planned = False
        is_more = False
        try:
            is_more = self._link.read()
        except Exception:  # noqa: BLE001 - it is logged, and costs the network connection
            _log.exception("a packet from %s could not be handled", self._settings.shown)
            self._ending = Ending(refusals.MALFORMED, is_malformed=True)
            self._client.hang_up()
        self._look_for_end()
        self._listen_if_room()
        if is_more and self._descriptor >= 0 and not self._is_read_planned:
            self._is_read_planned = True
            self._loop.call_soon(self._read_planned)

    def _read_planned(self) -> None:
        if self._is_read_planned and self._descriptor >= 0:
            self._read()

    def _listen_if_room(self) -> None:
        """Read no faster than the network takes what comes of it (it is TCP that then holds the broker back)."""
        has_room = self._link.has_room
        if self._descriptor >= 0 and has_room != self._is_reading:
            if has_room:
                self._loop.add_reader(self._descriptor, self._read)
            else:
                self._loop.remove_reader(self._descriptor)
            self._is_reading = has_room

    def _flush(self) -> None:
        self._is_flush_planned = False
        is_left = self._link.write()
        self._look_for_end()
        if self._descriptor >= 0 and is_left != self._is_writing:
            if is_left:
                self._loop.add_writer(self._descriptor, self._flush)
            else:
                self._loop.remove_writer(self._descriptor)
            self._is_writing = is_left
        self._listen_if_room()

    def _beat(self) -> None:
        self._heartbeat = self._loop.call_later(HEARTBEAT, self._beat)
        self._client.loop_misc()
        if not self._is_reading:  # a broker may be waiting for us to read, and not read itself
            self._read()
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._client.socket() is None:
            self._finish(self._ending or Ending())

    def _finish(self, ending: Ending) -> None:
        if not self._answer.done():
            is_readable = not ending.is_malformed
            self._answer.set_exception(refusals.closed(self._settings, is_readable=is_readable))
            self._answer.exception()  # nobody may be waiting any more
        if not self.ended.done():
            self.ended.set_result(ending)

    def _on_connect(
        self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self._answer.done():
            return
        if reason.is_failure:
            self._answer.set_exception(refusals.refused(reason.value, self._settings, self._client_id))
            return
        version = 5 if self._client.protocol == MQTTProtocolVersion.MQTTv5 else 4
        terms = read_terms(version, properties, session_present=flags.session_present)
        self._answer.set_result(terms)
        self._opened(terms)

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._ending = self._ending or _ending(reason.value, is_said=flags.is_disconnect_packet_from_server)

    def _on_answer(self, _client: Any, _data: Any, number: int, reasons: list[ReasonCode], _properties: Any) -> None:
        answered = self._answers.pop(number, None)
        if answered is not None:
            answered(reasons[0].value if reasons else 0)


def _ending(code: int, *, is_said: bool) -> Ending:
    """What a reason code means, which is the broker's or, where it said nothing, paho's."""
    if is_said:
        is_takeover, is_unauthorized = code == refusals.TAKEN_OVER, code == refusals.NOT_AUTHORIZED
        return Ending(
            refusals.ended(code), is_from_broker=True, is_takeover=is_takeover, is_unauthorized=is_unauthorized
        )
    if code == refusals.PROTOCOL_ERROR:
        return Ending(refusals.MALFORMED, is_malformed=True)
    return Ending(refusals.ended(code) if code == refusals.KEEP_ALIVE_TIMEOUT else "")


async def _linger(twin: socket.socket) -> None:
    """Say that nothing follows, and read until the broker has closed."""
    twin.setblocking(False)
    with suppress(OSError):
        twin.shutdown(socket.SHUT_WR)
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(twin, 65_536):
        pass


def _ignore(_client: Any, _data: Any, _socket: Any) -> None:
    """`_flush` looks for itself whether something is left to write."""
