"""Turns what runs into a file beside the flows, for whoever wants to know what an edit would change."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import orjson

from flowrunner.compile.outline import Outline, read_outline
from flowrunner.records import dataclass
from flowrunner.run.identity import FOLDER, replace_file

_FILE = "running.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Running:
    """What a runner runs: its process, since when it does so, out of which paths, and each flow with its time.

    Times are seconds since 1970. `ended` is when the runner was stopped; None while it runs, or where it was killed.
    `base` is the folder in which it was started, where the files of its flows have their names.
    """

    process: int
    since: float
    base: str
    paths: tuple[str, ...]
    flows: tuple[Outline, ...] = ()
    times: Mapping[str, float] = field(default_factory=dict)
    ended: float | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the runner still runs."""
        if self.ended is not None:
            return False
        try:
            os.kill(self.process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:  # it is there, and another user's
            return True
        return True


def write_running(folder: Path, running: Running) -> None:
    """Replace the file in one step, readable for its owner only. Where nothing can be written, nothing is."""
    path = folder / FOLDER / _FILE
    data = {
        "version": _VERSION,
        "process": running.process,
        "since": running.since,
        "ended": running.ended,
        "base": running.base,
        "paths": running.paths,
        "times": running.times,
        "flows": running.flows,  # dataclasses: of a thousand flows this takes milliseconds, as maps it would take 200
    }
    replace_file(path, orjson.dumps(data))


def read_running(folder: Path) -> Running | None:
    """What runs, or ran last, out of a folder; None if nobody knows."""
    try:
        data = orjson.loads((folder / FOLDER / _FILE).read_bytes())
        return _read(data) if data["version"] == _VERSION else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _read(data: Mapping[str, Any]) -> Running:
    ended = data["ended"]
    flows: Sequence[Mapping[str, Any]] = data["flows"]
    return Running(
        int(data["process"]),
        float(data["since"]),
        str(data["base"]),
        tuple(str(path) for path in data["paths"]),
        tuple(read_outline(flow) for flow in flows),
        {str(name): float(since) for name, since in data["times"].items()},
        None if ended is None else float(ended),
    )


def shown_paths(paths: Iterable[Path]) -> tuple[str, ...]:
    """Paths as they are compared with those of another start."""
    return tuple(sorted(str(path.resolve()) for path in paths))
