"""Runs a broker on a thread of its own, for code that knows nothing of asyncio."""

import asyncio
import ssl
from threading import Event, Thread
from types import TracebackType
from typing import Self, TypedDict, Unpack

from flowrunner.broker.access import AccessList
from flowrunner.broker.limits import Limits
from flowrunner.broker.passwords import Passwords
from flowrunner.broker.server import Broker


class BrokerOptions(TypedDict, total=False):
    """The options of Broker beside its address."""

    websocket_port: int | None
    passwords: Passwords | None
    access: AccessList | None
    tls: ssl.SSLContext | None
    limits: Limits
    status_interval: float


class BrokerThread:
    """A broker beside the caller: `with BrokerThread(port=0) as broker: ... broker.port`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **options: Unpack[BrokerOptions]) -> None:
        self._broker = Broker(host, port, **options)
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """Where the broker listens."""
        return self._broker.host

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return self._broker.port

    @property
    def websocket_port(self) -> int | None:
        """The port for MQTT over websockets, if there is one."""
        return self._broker.websocket_port

    @property
    def url(self) -> str:
        """Where clients connect, as `mqtt://HOST:PORT` (`mqtts` with TLS)."""
        return self._broker.url

    def start(self) -> None:
        """Return when the broker listens; OSError if the address cannot be had."""
        if self._thread is not None:
            raise RuntimeError("the broker is running already")
        is_ready = Event()
        self._thread = Thread(target=self._run, args=(is_ready,), name="flowrunner broker", daemon=True)
        self._thread.start()
        is_ready.wait()
        error = self._take_error()
        if error is not None:
            self._thread.join()
            self._thread = None
            raise error

    def stop(self) -> None:
        """Return when the broker has stopped and its thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, is_retained: bool = False) -> None:
        """Publish a message as the broker itself, from any thread; returns when it is on its way."""
        if self._thread is None or self._loop is None:
            raise RuntimeError("the broker is not running")
        asyncio.run_coroutine_threadsafe(self._publish(topic, payload, qos, is_retained), self._loop).result()

    async def _publish(self, topic: str, payload: bytes, qos: int, is_retained: bool) -> None:  # noqa: FBT001
        self._broker.publish(topic, payload, qos=qos, is_retained=is_retained)

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    def _run(self, is_ready: Event) -> None:
        try:
            asyncio.run(self._serve(is_ready))
        except Exception as error:  # noqa: BLE001 (raised again on the thread that called `start`)
            self._error = error
        finally:
            is_ready.set()

    async def _serve(self, is_ready: Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with self._broker:
            is_ready.set()
            await self._stopping.wait()
