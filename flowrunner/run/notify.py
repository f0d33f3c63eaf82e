"""Tells systemd that the flows run, that the loop still turns, and what goes on (sd_notify(3))."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

#: Seconds between status lines, where no watchdog wants to hear more often.
STATUS_EVERY = 10.0

#: Seconds that a broker has before we count as up without it.
PATIENCE = 30.0


class Notify:
    """Speaks to the socket that the environment names; without one it says nothing.

    READY comes when the subscriptions are answered (`begin`), WATCHDOG from the loop itself, so that a loop which hangs
    is restarted, and STATUS with both.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, environment: Mapping[str, str] = os.environ) -> None:
        self._loop = loop
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every = _interval(environment)
        self._status: Callable[[], str] = str
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def begin_when(self, is_up: Callable[[], Coroutine[Any, Any, None]], status: Callable[[], str]) -> None:
        """Begin when something is done, or when it takes long: a broker that is away is no reason to be restarted."""

        async def begin() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await is_up()
            self.begin(status)

        if self.is_wanted:
            self._task = self._loop.create_task(begin())

    def begin(self, status: Callable[[], str]) -> None:
        """Say that everything is up, and go on saying that it is."""
        if not self.is_wanted:
            return
        self._status = status
        self._send(f"READY=1\nMAINPID={os.getpid()}")
        self._beat()

    def end(self) -> None:
        """Say that the end has begun; it may take as long as messages in work do."""
        for waiting in (self._timer, self._task):
            if waiting is not None:
                waiting.cancel()
        if self.is_wanted:
            self._send("STOPPING=1\nSTATUS=finishing what is in work")

    def _beat(self) -> None:
        self._send(f"WATCHDOG=1\nSTATUS={self._status()}")
        self._timer = self._loop.call_later(self._every, self._beat)

    def _send(self, text: str) -> None:
        address = self._address
        if address.startswith("@"):  # an abstract one
            address = f"\0{address[1:]}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), address)
        except OSError:  # whoever started us has gone, or does not keep up: that must not stop the flows
            return


def _interval(environment: Mapping[str, str]) -> float:
    """Seconds between two beats: half of what the watchdog allows."""
    given, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not given.isdigit() or int(given) == 0 or (process and process != str(os.getpid())):
        return STATUS_EVERY
    return min(int(given) / 2_000_000, STATUS_EVERY)
