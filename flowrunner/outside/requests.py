"""Holds what is asked of a server, and what its answer may be."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a server: the body in bytes, or None."""

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may be: its status (200, or 2 for all from 200 to 299), how late, and how large."""

    statuses: Collection[int] = (2,)
    seconds: float = 10.0
    size: int = 10_000_000

    def is_expected(self, status: int) -> bool:
        """Whether an answer with this status is wanted."""
        return status in self.statuses or status // 100 in self.statuses

    @property
    def wants_redirects(self) -> bool:
        """Whether a redirection is an answer itself, and not to be followed."""
        return any(status // 100 == 3 or status == 3 for status in self.statuses)
