"""Turns the number of a worker into a process that runs, hears and answers, until it ends."""

import asyncio
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowrunner.workers import __main__ as entry
from flowrunner.workers.channel import Channel, Gone, open_channel

#: Seconds between two questions whether a worker is still there, and how many of these it may leave without an answer.
BEAT = 1.0
MOST_MISSED = 10

#: Seconds for a process that has closed its channel to end by itself, and between two looks whether it did.
PARTING = 5.0
LOOK = 0.005


class Process:
    """A worker, as its supervisor has it. Now and then it is asked what `question` gives; `beaten` takes the answer."""

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        channel: Channel,
        question: Callable[[], object],
        beaten: Callable[[Any], object],
    ) -> None:
        self.child = child
        self.channel = channel
        self.words = ""
        self._question = question
        self._beating: asyncio.Task[None] | None = None
        self._beaten = beaten

    @property
    def number(self) -> int:
        """Its number in the system."""
        return self.child.pid

    async def watch(self) -> str:
        """Wait until it has ended, or end it where it does not answer; returns why it ended, in words."""
        try:
            await self.channel.run()
        finally:
            if self._beating is not None:
                self._beating.cancel()
            await self._part()
        return self.words or reason_of(self.child.returncode)

    def beat(self) -> None:
        """Ask from now on whether it is still there: it runs what it was told to."""
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    def kill(self, words: str = "") -> None:
        """End it at once; `words` say why."""
        self.words = self.words or words
        self.child.kill()

    async def _beat(self) -> None:
        """Ask again and again. What counts is how often it did not answer: a supervisor that was stopped asks less."""
        waiting: asyncio.Future[Any] | None = None
        missed = 0
        while missed < MOST_MISSED:
            if waiting is None or waiting.done():
                missed = 0
                waiting = self.channel.asking(self._question())
                waiting.add_done_callback(self._hear_beat)
            await asyncio.sleep(BEAT)
            missed += 1
        self.kill(f"did not answer for {MOST_MISSED * BEAT:.0f} s")

    def _hear_beat(self, answer: "asyncio.Future[Any]") -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._beaten(answer.result())

    async def _part(self) -> None:
        """See to it that the process is gone, and no zombie."""
        for _ in range(int(PARTING / LOOK)):
            if self.child.poll() is not None:
                return
            await asyncio.sleep(LOOK)
        self.child.kill()
        while self.child.poll() is None:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(LOOK)


async def start(
    number: int, hear: Callable[[Any], object], question: Callable[[], object], beaten: Callable[[Any], object]
) -> Process:
    """Start a worker; `hear` is told what it says. Raises OSError where the system has no room for it."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            with _held_back():
                child = subprocess.Popen(  # noqa: ASYNC220, S603 - it is ourselves, and a matter of a millisecond
                    [sys.executable, "-P", str(Path(entry.__file__)), str(number), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)
    said: list[Process] = []

    def heard(news: Any) -> None:
        if isinstance(news, str):  # it could not even begin
            said[0].words = f"cannot start: {news}"
        else:
            hear(news)

    channel = await open_channel(ours, answer=_refuse, hear=heard)
    process = Process(child, channel, question, beaten)
    said.append(process)
    path = pickle.dumps(sys.path)
    channel.greet(struct.pack(">I", len(path)) + path)
    return process


def reason_of(code: int | None) -> str:
    """How a process ended."""
    if code is None:
        return "is gone"
    if code < 0:
        return f"was killed ({signal.Signals(-code).name})"
    return f"ended with code {code}"


@contextmanager
def _held_back() -> Iterator[None]:
    """What a terminal sends to all of us reaches a new worker when it knows what to do with it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, entry.QUIET)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def _refuse(question: Any) -> Any:
    raise Gone(f"a worker asks nothing: {type(question).__name__}")
