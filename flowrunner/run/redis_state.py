"""Turns calls of scripts into round trips to a Redis, which may be away for a while."""

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowrunner.errors import StepError
from flowrunner.records import dataclass
from flowrunner.remote.address import StateSettings
from flowrunner.remote.place import Answer, Limits, part
from flowrunner.remote.script import Script
from flowrunner.remote.scripts import ALL, CHECK
from flowrunner.run.backoff import Backoff
from flowrunner.run.redis_words import elsewhere, is_lasting, is_passing, reason

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from flowrunner.run.report import Report

#: Calls that go in one round trip.
MOST_CALLS = 64

#: Nodes of a cluster that send us on to another, one after the other, before it is a mistake.
_MOST_HOPS = 5

#: Seconds that Redis has to answer, and to accept a connection.
PATIENCE = 10.0
_LAST = 2.0  # for the end


@dataclass(slots=True, eq=False)
class _Call:
    """A call that waits for its answer; `number` and `slot` tell Redis that it has answered it already."""

    script: Script
    path: str
    limits: Limits
    arguments: Sequence[str | bytes]
    number: int
    done: "asyncio.Future[Answer]"
    slot: int = -1


class RedisState:
    """Talks to one Redis for all steps of a process, over one connection; see `flowrunner.remote.place.Remote`.

    `project` is what tells its keys from those of others: `flowrunner:{project}:...`. A call that finds no Redis waits
    until there is one, and is made once however often it is sent. `now` (seconds since 1970) stands in for the clock of
    Redis.
    """

    def __init__(
        self,
        settings: StateSettings,
        project: str,
        report: "Report",
        *,
        backoff: Backoff | None = None,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.token = secrets.token_hex(6)
        self.round_trips = 0
        self.is_away = False
        self._settings = settings
        self._where = settings  # or the node of its cluster that has our keys
        self._hops = 0
        self._said: set[str] = set()
        self._prefix = f"flowrunner:{{{part(project)}}}:"
        self._report = report
        self._backoff = backoff or Backoff()
        self._now = now
        self._client: Redis | None = None
        self._is_ready = False
        self._was_there = False
        self._waiting: deque[_Call] = deque()
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    def open(self) -> None:
        """Connect, so that it is said at once where that is not possible."""
        self._work()

    async def call(self, script: Script, path: str, limits: Limits, arguments: Sequence[str | bytes]) -> Answer:
        """See `Remote`."""
        self._number += 1
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, path, limits, arguments, self._number, done))
        self._work()
        return await done

    async def aclose(self) -> None:
        """Let go of the connection; what still waits is given up."""
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=_LAST)
        for call in self._waiting:
            call.done.cancel()
        self._waiting.clear()
        await self._disconnect()

    def _work(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        """Make all calls that wait, and those that come meanwhile."""
        while not self._is_ready or self._waiting:
            calls = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_CALLS))]
            for slot, call in enumerate(calls):
                call.slot = slot
            try:
                await self._make(calls)
            except asyncio.CancelledError:
                for call in calls:
                    call.done.cancel()
                raise

    async def _make(self, calls: Sequence[_Call]) -> None:
        """Make some calls, however long that takes."""
        is_again = False
        while True:
            was_ready = self._is_ready
            try:
                await self._make_ready()
                calls, error = await self._send(calls, is_again=is_again)
            except Exception as trouble:  # noqa: BLE001 - redis-py lets errors of sockets and of TLS through, too
                error = trouble
            if error is None:
                self._say_back()
                return
            if self._is_closing:  # the client may take the cancellation for a connection that broke
                raise asyncio.CancelledError
            self._is_ready = False
            if was_ready and type(error).__name__ == "NoScriptError":
                continue
            is_again = True
            if not await self._follow(error):
                self._say_away(error)
                await asyncio.sleep(self._backoff.wait())

    async def _follow(self, error: Exception) -> bool:
        """Go to the node of a cluster that has our keys, if it is that; after any other trouble back to the first."""
        there = elsewhere(error) if self._hops < _MOST_HOPS else None
        where = self._settings
        if there is not None:
            self._hops += 1
            where = replace(where, host=there[0] or self._where.host, port=there[1])
        if where != self._where:
            self._where, self._is_ready = where, False
            await self._disconnect()
        return there is not None

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.aclose(), _LAST)

    async def _make_ready(self) -> None:
        """Have Redis know all scripts, and see whether it lets us do all that is in them."""
        if self._is_ready:
            return
        if self._client is None:
            self._client = connect(self._where)
        pipeline = self._client.pipeline(transaction=False)
        for script in ALL:
            pipeline.execute_command("SCRIPT LOAD", script.text)
        pipeline.execute_command("EVAL", CHECK, 1, f"{self._prefix}check:{self.token}")
        for reply in await pipeline.execute(raise_on_error=False):
            if isinstance(reply, Exception):
                raise reply
        self._is_ready = True

    async def _send(self, calls: Sequence[_Call], *, is_again: bool) -> tuple[Sequence[_Call], Exception | None]:
        """Make each call once; returns those that are to be made again, and why."""
        if not calls:
            return (), None
        assert self._client is not None
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", call.script.sum, 2, *self._arguments(call, is_again=is_again))
        self.round_trips += 1
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        left: list[_Call] = []
        trouble: Exception | None = None
        for call, reply in zip(calls, replies, strict=True):
            if call.done.done():  # nobody waits for it any more
                continue
            if not isinstance(reply, Exception):
                evicted, keys, wait, results = reply
                call.done.set_result(Answer(evicted, keys, wait / 1e6 if wait >= 0 else None, results))
            elif is_passing(reply):
                trouble = reply
                left.append(call)
            else:
                call.done.set_exception(StepError(f"Redis refuses: {str(reply)[:200]}", code="state-failed"))
        return left, trouble

    def _arguments(self, call: _Call, *, is_again: bool) -> list[str | bytes]:
        now = "" if self._now is None else str(round(self._now() * 1e6))
        answer = f"{self._prefix}answer:{self.token}:{call.slot}"
        return [
            self._prefix + call.path, answer,
            now, str(call.number), "1" if is_again else "0", self.token, f"{self._prefix}alive:",
            *call.limits.arguments(), *call.arguments,
        ]  # fmt: skip

    def _say_away(self, error: Exception) -> None:
        shown = self._where.shown
        words = reason(error, self._where, is_new=not self._was_there)
        if words in self._said or (self.is_away and not is_lasting(words)):
            return
        self.is_away = True
        self._said.add(words)
        text = f"state: {shown}: {words}; what needs it waits, trying again and again"
        self._report.say("state-away", text, level="warning", url=shown)

    def _say_back(self) -> None:
        self._backoff.reset()
        self._hops = 0
        if self._was_there and not self.is_away:
            return
        words = "back on" if self._was_there else "in"
        event = "state-back" if self._was_there else "state-connected"
        self.is_away, self._was_there = False, True
        self._said.clear()
        shown = self._where.shown
        self._report.say(event, f"state: {words} {shown}", url=shown)


def connect(settings: StateSettings) -> "Redis":
    """A client with one connection, which is made when it is used; it tries nothing again by itself.

    It speaks RESP 2, which every Redis knows (HELLO came with Redis 6).
    """
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    where: dict[str, Any] = {"host": settings.host, "port": settings.port}
    if settings.scheme == "unix":
        where = {"unix_socket_path": settings.path}
    elif settings.scheme == "rediss":
        if settings.cert:  # with a password that is none, nobody is asked for one on the terminal
            ssl.create_default_context().load_cert_chain(settings.cert, settings.key, password="")
        where |= {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": settings.ca or None,
            "ssl_certfile": settings.cert or None,
            "ssl_keyfile": settings.key or None,
        }
    return Redis(
        **where,
        db=settings.db,
        username=settings.username,
        password=settings.password,
        protocol=2,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
