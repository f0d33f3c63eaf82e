"""Turns how long flows took for messages into counts by length of time."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate

#: Seconds: a fused flow takes microseconds, one with a large table milliseconds. What took longer comes behind.
BOUNDS = (0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 1.0)

Counts = tuple[float, tuple[int, ...]]
"""Seconds in all, and how many took up to each of the bounds, and longer; one that took as long is in one of them."""


class Timings:
    """How long flows took, by name."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, list[int]] = {}

    def observe(self, flow: str, took: float) -> None:
        """A flow took so many seconds for a message."""
        counts = self._counts.get(flow)
        if counts is None:
            counts = self._counts[flow] = [0] * (len(BOUNDS) + 1)
            self._seconds[flow] = 0.0
        counts[bisect_left(BOUNDS, took)] += 1
        self._seconds[flow] += took

    def known(self) -> dict[str, Counts]:
        """What there is, by flow."""
        return {flow: (self._seconds[flow], tuple(counts)) for flow, counts in self._counts.items()}

    def add(self, more: Mapping[str, Counts]) -> None:
        """Add what was counted elsewhere."""
        for flow, (seconds, counts) in more.items():
            own = self._counts.setdefault(flow, [0] * len(counts))
            self._counts[flow] = [one + other for one, other in zip(own, counts, strict=True)]
            self._seconds[flow] = self._seconds.get(flow, 0.0) + seconds


def buckets(counts: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    """How many took at most so many seconds, each bound as Prometheus writes it."""
    bounds = [*map(str, BOUNDS), "+Inf"]
    yield from zip(bounds, accumulate(counts), strict=True)
