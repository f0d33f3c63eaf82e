"""Turns a runner into what it can say about itself: its flows, what went wrong in them, what waits, its connections."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flowrunner import __version__
from flowrunner.compile.failure import step_at
from flowrunner.compile.function import name_steps
from flowrunner.diagnostics import Diagnostic
from flowrunner.read.contents import Contents, Version
from flowrunner.read.flow import Flow
from flowrunner.read.load import SETTINGS_FILE, shown_name
from flowrunner.run.failures import Tally
from flowrunner.run.shown import Connected, Shown, ShownFlow, Shows, Tallies, Worker

#: Kinds of errors, and reasons of `stop`, that are shown of one flow.
MOST_ERRORS = 8


class Meter:
    """Turns totals into rates between two looks; the first look counts from when it was made."""

    def __init__(self, now: float) -> None:
        self.since = now
        self._before: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self.seconds = 0.0

    def copy(self) -> "Meter":
        """Another one that goes on from the last look, for whoever looks again and again."""
        meter = Meter(self.since)
        meter._totals = self._totals  # it is replaced, never changed
        return meter

    def begin(self, now: float) -> None:
        """Begin another look."""
        self.seconds, self.since = now - self.since, now
        self._before, self._totals = self._totals, {}

    def rate(self, name: str, total: int) -> float:
        """How often a second; a total that was not there before, or shrank, began at nothing."""
        self._totals[name] = total
        came = total - self._before.get(name, 0)
        return round((came if came >= 0 else total) / self.seconds, 2) if self.seconds > 0 else 0.0


def overview(
    runner: Shows, contents: Contents[Any], meter: Meter, *, folder: Path, since: float, is_read_only: bool = False
) -> Shown:
    """A plain object with all that `flowrunner status` shows. Times are seconds since 1970."""
    meter.begin(runner.clock.time())
    mistakes = _mistakes(contents.diagnostics)
    flows = [_flow(version, runner, meter, mistakes) for version in contents.versions.values()]
    known = {flow["file"] for flow in flows}
    owners = {name: worker.number for worker in runner.workers for name in worker.owned}
    for flow in flows if runner.workers else ():
        flow["worker"] = owners.get(flow["name"])
    return {
        "version": __version__,
        "process": os.getpid(),
        "folder": str(folder.resolve()),
        "since": since,
        "time": runner.clock.now(),
        "is_read_only": is_read_only,
        "seconds": round(meter.seconds, 3),
        "workers": [_worker(worker) for worker in runner.workers],
        "flows": sorted(flows, key=lambda flow: (flow["file"], flow["line"])),
        "broken": [found for file, found in mistakes.items() if file not in known],
        "shared": {name: len(store) for (flow, name), store in runner.stores.items() if not flow},
        "connections": [show_connection(name, one, meter.rate) for name, one in runner.connections.items()],
    }


def show_connection(name: str, one: Connected, rate: Callable[[str, int], float]) -> Shown:
    """A connection: where it goes, whether it stands, and what was published on it."""
    published = one.link.published
    there, clients = one.clients
    return {
        "name": name,
        "url": one.settings.shown,
        "is_there": there == clients,
        **({"clients": {"there": there, "all": clients}} if clients > 1 else {}),
        "version": one.terms.version if one.terms is not None else None,
        "published": published,
        "rate": rate(f"connection {name}", published),
        "dropped": one.link.dropped,
        "pending": one.link.pending,
    }


def _worker(worker: Worker) -> Shown:
    return {
        "number": worker.number,
        "process": worker.process or None,
        "since": worker.since,
        "restarts": worker.restarts,
        "flows": list(worker.owned),
        "cpu_seconds": round(worker.seconds, 2),
        "memory": worker.memory,
    }


def tallies_of(live: ShownFlow, failures: Tallies) -> list[Tally]:
    """What failed in the running version of a flow, the latest first."""
    found = [tally for tally in list(failures.tallies.values()) if tally.flow == live.name and tally.last >= live.since]
    return sorted(found, key=lambda tally: -tally.last)[:MOST_ERRORS]


def _flow(version: Version[Any], runner: Shows, meter: Meter, mistakes: Mapping[str, Shown]) -> Shown:
    live = runner.flows.get(version.flow.name)
    flow = version.flow
    if live is not None and isinstance(live.program.flow, Flow):
        flow = live.program.flow
    file = shown_name(version.file)
    head: Shown = {"name": flow.name, "file": file, "line": flow.span.line}
    if live is None:
        return {**head, "status": "not started" if flow.is_enabled else "off"}
    states = live.show_states(runner.clock)
    stores = {name: len(store) for (own, name), store in runner.stores.items() if own == flow.name}
    return {
        **head,
        "status": "stale" if version.is_stale else "running",
        **({"mistake": mistakes[file]} if version.is_stale and file in mistakes else {}),
        "since": live.since,
        "received": live.received,
        "rate": meter.rate(f"flow {flow.name}", live.received),
        "dropped": live.dropped,
        "handled": live.handled,
        "stopped": dict(list(live.stopped.items())[:MOST_ERRORS]),
        "errors": [_error(tally, flow) for tally in tallies_of(live, runner.failures)],
        "waiting": sum(state.get("waiting", 0) for state in states.values()),
        "keys": sum(state.get("keys", 0) for state in states.values()) + sum(stores.values()),
        "states": states,
        "stores": stores,
    }


def _error(tally: Tally, flow: Flow) -> Shown:
    span = tally.diagnostic.span
    step = step_at(flow, span) if span.source is flow.source else None
    return {
        "code": tally.diagnostic.code,
        "message": tally.diagnostic.message,
        "step": name_steps(flow).get(id(step), ""),
        "file": span.source.name,
        "line": span.line,
        "count": tally.count,
        "last": tally.last,
    }


def _mistakes(diagnostics: tuple[Diagnostic, ...]) -> dict[str, Shown]:
    """The first mistake of each file, the settings last."""
    found: dict[str, Shown] = {}
    for one in sorted(diagnostics, key=lambda one: (Path(one.span.source.name).name == SETTINGS_FILE, one.sort_key)):
        if one.severity == "error":
            file, line = one.span.source.name, one.span.line
            shown = found.setdefault(file, {"file": file, "line": line, "code": one.code, "message": one.message})
            shown["count"] = shown.get("count", 0) + 1
    return found
