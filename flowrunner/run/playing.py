"""Turns recorded messages into messages that are sent when they are due."""

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from flowrunner.message import Message
from flowrunner.run.recording import Recorded

_LONELY = 1.0  # seconds between two rounds of a recording of one message


class Out(Protocol):
    """Where messages go, and who passes the time until the next one is due."""

    def send(self, message: Message) -> None:
        """Publish a message."""

    def rest(self, seconds: float) -> None:
        """Let so much time pass, or less, and keep the connection alive."""


class Player:
    """Sends messages when they are due. `speed` is a factor, None for as fast as they can be sent."""

    def __init__(self, out: Out, speed: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.out = out
        self.speed = speed
        self.clock = clock
        self.begun = clock()
        self.count = 0

    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self.begun

    def play(self, rounds: Iterator[Iterator[Recorded]]) -> None:
        """Play one recording after the other, until one is empty; the mean pause of a recording is between them."""
        begun, end = self.clock(), 0.0
        for messages in rounds:
            self.wait_until(begun, end)
            begun, first, last, before = self.clock(), 0.0, 0.0, self.count
            for recorded in messages:
                if self.count == before:
                    begun, first, last = self.clock(), recorded.time, recorded.time
                last = max(last, recorded.time)
                self.wait_until(begun, recorded.time - first)
                self.out.send(recorded.message)
                self.count += 1
            played = self.count - before
            if not played:
                return
            end = last - first + ((last - first) / max(1, played - 1) or _LONELY)

    def wait_until(self, begun: float, seconds: float) -> None:
        """Wait until a time of the recording has come; one that went back is over already."""
        if self.speed is None:
            return
        while (left := begun + seconds / self.speed - self.clock()) > 0:
            self.out.rest(left)
