"""Turns a row of failures into the times to wait between attempts."""

from collections.abc import Callable
from random import random


class Backoff:
    """Waits that double from `first` to `most` seconds, each shortened at random by up to a half.

    Without the chance in it, a thousand clients of one broker would come back in the same instant.
    """

    def __init__(self, first: float = 0.5, most: float = 30.0, *, chance: Callable[[], float] = random) -> None:
        self._first = first
        self._most = most
        self._chance = chance
        self._next = first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        seconds = self._next * (1.0 - self._chance() / 2)
        self._next = min(self._next * 2, self._most)
        return seconds

    def reset(self) -> None:
        """Begin anew: the connection has proved itself."""
        self._next = self._first
