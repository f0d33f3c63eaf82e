"""Says what a fleet is to run."""

from collections.abc import Sequence
from pathlib import Path

from flowrunner.compile import Program
from flowrunner.read.library import Library
from flowrunner.records import dataclass
from flowrunner.remote.address import StateSettings
from flowrunner.workers.snapshot import Copies


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet is to run: `count` workers, the flows of a library, and whose files are copied for them.

    `folder` is where `.flowrunner/` keeps client ids and values. Without a `group` the workers form one of their own.
    `state` is the Redis in which steps remember, None if they do so in the workers.
    """

    count: int
    library: Library[Program]
    copies: Copies
    paths: Sequence[Path]
    folder: Path | None
    allow: frozenset[str] = frozenset()
    group: str = ""
    is_explained: bool = False
    state: StateSettings | None = None
