"""Turns what a reload did into a line for people and an object for programs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any

from flowrunner.compile.outline import Subscription
from flowrunner.compile.plan import Difference
from flowrunner.diagnostics import Diagnostic
from flowrunner.records import dataclass

#: Names that a line shows of one kind, and mistakes that an object holds.
_MOST_NAMES = 4
_MOST_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Reload:
    """What a reload did, how long it took (seconds), and when it was (seconds since 1970).

    `stale` are the flows of which an older version runs than the file holds, each with the time since when it does;
    `errors` is what is wrong with the newer ones. `mended` are the files that hold no mistakes any more, `reconnected`
    the names of connections with new settings.
    """

    difference: Difference
    seconds: float
    at: float
    stale: Mapping[str, float] = field(default_factory=dict)
    mended: tuple[str, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    reconnected: tuple[str, ...] = ()


def line_of(reload: Reload) -> str:
    """The line for the terminal: what changed, what of the state was kept, and how long it took."""
    found = reload.difference
    parts = [_flows(found)]
    if found.subscribed or found.unsubscribed:
        parts.append(f"subscriptions +{len(found.subscribed)} -{len(found.unsubscribed)}")
    if reload.reconnected:
        parts.append(f"connected anew: {few(reload.reconnected)}")
    parts += _state(found)
    return f"reloaded in {_milliseconds(reload.seconds):g} ms: {'; '.join(parts)}"


def _flows(found: Difference) -> str:
    counted = {"added": sorted(found.added), "changed": sorted(found.changed), "removed": sorted(found.removed)}
    parts = [f"{len(names)} {word} ({few(names)})" for word, names in counted.items() if names]
    if not parts and found.moved:
        parts.append(
            f"{few(sorted(found.moved))} does the same as before"
            if len(found.moved) == 1
            else "all do the same as before"
        )
    return ", ".join([*parts, f"{len(found.kept)} kept"])


def _state(found: Difference) -> Iterator[str]:
    is_one = len(found.changed) == 1
    changes = sorted(found.changed.items())
    kept = [name if is_one else f"{flow} {name}" for flow, change in changes for name in change.kept]
    reset = [
        f"{lost.name if is_one else f'{flow} {lost.name}'} ({lost.why})"
        for flow, change in changes
        for lost in change.reset
    ]
    if kept:
        yield f"state kept: {few(kept)}"
    if reset:
        yield f"reset: {few(reset)}" if kept else f"state reset: {few(reset)}"


def stale_line(flow: str, since: float, *, now: float) -> str:
    """What runs instead of a version with mistakes."""
    return f"the running version of `{flow}` is from {clock_time(since, now=now)}"


def mended_line(files: Sequence[str]) -> str:
    """That files with mistakes hold none any more."""
    return f"mended: {few(files)}"


def clock_time(seconds: float, *, now: float) -> str:
    """A time since 1970 as a watch here shows it, with the day if it is not this one."""
    moment, today = time.localtime(seconds), time.localtime(now)
    is_today = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)


def as_json(reload: Reload) -> dict[str, Any]:
    """The object that goes, retained, to `flowrunner/<client id>/reload`, and into the lines of a JSON log."""
    found = reload.difference
    changes = sorted(found.changed.items())
    return {
        "time": iso_time(reload.at),
        "milliseconds": _milliseconds(reload.seconds),
        "added": sorted(found.added),
        "changed": sorted(found.changed),
        "removed": sorted(found.removed),
        "kept": len(found.kept),
        "subscriptions": {"added": _subscriptions(found.subscribed), "removed": _subscriptions(found.unsubscribed)},
        "state": {
            "kept": {flow: list(change.kept) for flow, change in changes if change.kept},
            "reset": {flow: {lost.name: lost.why for lost in change.reset} for flow, change in changes if change.reset},
        },
        "reconnected": list(reload.reconnected),
        "stale": {flow: iso_time(since) for flow, since in sorted(reload.stale.items())},
        "mended": list(reload.mended),
        "errors": [_error(diagnostic) for diagnostic in reload.errors[:_MOST_ERRORS]],
    }


def iso_time(seconds: float) -> str:
    """A time since 1970 as ISO 8601 writes it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _subscriptions(found: frozenset[Subscription]) -> list[dict[str, str]]:
    return [{"connection": one.connection, "filter": one.filter} for one in sorted(found)]


def _error(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    place = {"file": span.source.name, "line": span.line, "column": span.column}
    return {**place, "code": diagnostic.code, "message": diagnostic.message}


def few(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1 if seconds < 0.01 else None)
