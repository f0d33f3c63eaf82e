"""Turns what workers count, each from nothing whenever it begins anew, into totals that never get smaller."""

from collections.abc import Iterable, Mapping
from dataclasses import field

from flowrunner.records import dataclass

Line = tuple[int, int]
"""A worker, and what it counts from nothing: the `line` of a glance."""


@dataclass(slots=True)
class Sum:
    """What several count: those who still do, and all those before them."""

    gone: dict[str, int] = field(default_factory=dict)
    lines: dict[Line, Mapping[str, int]] = field(default_factory=dict)

    def take(self, line: Line, counts: Mapping[str, int]) -> None:
        """Take what one counted so far."""
        self.lines[line] = counts

    def end(self, lines: Iterable[Line]) -> None:
        """Some count no more."""
        for line in lines:
            for name, count in self.lines.pop(line, {}).items():
                self.gone[name] = self.gone.get(name, 0) + count

    def of(self, name: str) -> int:
        """How many there are."""
        return self.gone.get(name, 0) + sum(counts.get(name, 0) for counts in self.lines.values())

    def all(self) -> dict[str, int]:
        """How many there are of each."""
        names = dict.fromkeys([*self.gone, *(name for counts in self.lines.values() for name in counts)])
        return {name: self.of(name) for name in names}
