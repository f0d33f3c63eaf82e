"""Says what the supervisor asks of a worker, and what comes back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowrunner.connections import ConnectionSettings
from flowrunner.records import dataclass
from flowrunner.remote.address import StateSettings
from flowrunner.workers.asking import Tap
from flowrunner.workers.snapshot import Delta


@dataclass(frozen=True, slots=True)
class Part:
    """What a worker does of all there is to do.

    `alone` are the flows with one owner, in whatever worker that is, `elsewhere` those of them that others own. The
    rest is shared with the others in the `group`: `members` on this machine, and perhaps more (`has_strangers`).
    """

    group: str
    alone: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    has_strangers: bool = False
    members: int = 1


@dataclass(frozen=True, slots=True)
class Begin:
    """Run flows: those of these paths, after all these deltas. Answered with Running, as Apply is."""

    paths: tuple[Path, ...]
    folder: Path | None
    allow: frozenset[str]
    connections: Mapping[str, ConnectionSettings]
    past: tuple[Delta, ...]
    part: Part
    tap: Tap
    family: str
    is_explained: bool = False
    state: StateSettings | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """Run the flows as they are after a delta; without one only the part is another one."""

    delta: Delta | None
    part: Part
    tap: Tap


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Use other settings of connections, and connect those of these names anew; answered with the names of these."""

    connections: Mapping[str, ConnectionSettings]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something of the runner, see `Runner.tell`."""

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Tried:
    """Answer when every broker has answered, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Answer when every broker has answered what the flows want of it."""


@dataclass(frozen=True, slots=True)
class End:
    """Finish what is in work and leave the brokers; answered as Ask is, when that is done."""


Running = Mapping[str, bytes]
"""The flows that run in a worker, each with a digest of the texts that it was made of."""


@dataclass(frozen=True, slots=True)
class Said:
    """Lines for the report: the name of a method of it each, with what it is called with."""

    lines: tuple[tuple[str, tuple[Any, ...], Mapping[str, Any]], ...]
