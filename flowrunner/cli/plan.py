"""Turns edited flow files into what they would change of what runs."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse, json_option, make_command, option, paths_argument
from flowrunner.cli.paths import existing, tell_of_unread_settings

if TYPE_CHECKING:
    from flowrunner.compile.outline import Outline, Subscription
    from flowrunner.compile.plan import Change, Difference
    from flowrunner.diagnostics import Diagnostic
    from flowrunner.run.running import Running

_COLORS = {"+": "32", "-": "31", "~": "33", "!": "1;33"}


@make_command(
    "plan",
    examples="""
    flowrunner plan                              what the files in flows/ would change
    flowrunner plan draft/ --running flows/      a copy, compared with what runs out of flows/
    flowrunner plan --json | jq '.changed[].state'
    """,
)
@option("--running", "folder", metavar="FOLDER", type=click.Path(path_type=Path),
        help="The folder whose runner is meant [that of PATHS].")  # fmt: skip
@json_option
@paths_argument
def command(paths: tuple[Path, ...], folder: Path | None, *, as_json: bool) -> None:
    """Tell what flow files would change of what runs.

    PATHS are files and folders [flows/]. They are read and compiled, compared with what the runner of the folder noted
    when it last took up a change, and not run. A runner takes up files as they are saved; one that was started with
    --no-reload does so at its next start. Flows with mistakes stay as they are.

    What steps remember (timers, windows, last values) is kept in an edited flow wherever the options that shape it are
    the same. Exit code: 0, whatever is found.
    """
    from flowrunner.diagnostics import render

    paths = existing(paths)
    if folder is not None and not folder.is_dir():
        raise Misuse(f"there is no folder `{folder}`")
    tell_of_unread_settings(paths)
    plan = make_plan(paths, folder or (paths[0] if paths[0].is_dir() else paths[0].parent))
    if as_json:
        print(json.dumps(plan.as_json(), ensure_ascii=False, indent=2))
        return
    if plan.errors:
        sys.stderr.write(render(plan.errors, color=terminal.wants_color(sys.stderr)) + "\n")
    print("\n".join(plan.lines(color=terminal.wants_color(sys.stdout))))


def make_plan(paths: Sequence[Path], folder: Path) -> "Plan":
    """Compare the files of some paths with what was noted of a runner in a folder."""
    from flowrunner.compile import compile_flow
    from flowrunner.compile.outline import outline
    from flowrunner.compile.plan import difference
    from flowrunner.read.library import Library
    from flowrunner.run.running import read_running

    running = read_running(folder)
    contents = Library(paths, compile_flow, allow=None).refresh()
    errors = [one for one in contents.diagnostics if one.severity == "error"]
    new = {name: outline(version.flow) for name, version in contents.versions.items() if version.flow.is_enabled}
    old = {flow.name: flow for flow in running.flows} if running else {}
    broken = {Path(one.span.source.name).resolve() for one in errors}
    base = Path(running.base) if running else Path()
    stale = {name: flow for name, flow in old.items() if name not in new and (base / flow.file).resolve() in broken}
    return Plan(running, difference(old, {**new, **stale}), stale, errors)


@dataclass(frozen=True, slots=True)
class Plan:
    """What files would change of what runs; `stale` are flows that stay because their files hold mistakes."""

    running: "Running | None"
    found: "Difference"
    stale: "Mapping[str, Outline]"
    errors: "Sequence[Diagnostic]"

    def lines(self, *, color: bool) -> Iterator[str]:
        """The plan for people."""
        yield _compared_with(self.running)
        found = self.found
        rows = [("+", flow, [*_subscriptions(flow.subscriptions, ())]) for flow in found.added.values()]
        rows += [("~", change.new, [*_about_change(change)]) for change in found.changed.values()]
        rows += [("-", flow, [*_subscriptions((), flow.subscriptions)]) for flow in found.removed.values()]
        rows += [("!", flow, ["has mistakes, and stays as it is"]) for flow in self.stale.values()]
        width = max((len(flow.name) for _, flow, _ in rows), default=0)
        for mark, flow, about in sorted(rows, key=lambda row: row[1].name):
            yield f"  {terminal.paint(f'{mark} {flow.name.ljust(width)}', _COLORS[mark], color=color)}  {flow.file}"
            yield from (f"      {line}" for line in about)
        yield self.summary()

    def summary(self) -> str:
        """All of it in a line."""
        found = self.found
        counts = {"added": found.added, "changed": found.changed, "removed": found.removed}
        parts = [f"{len(flows)} {word}" for word, flows in counts.items() if flows]
        kept = f"{len(found.kept)} kept"
        if not parts:
            return f"nothing would change: {kept}"
        more = f"; subscriptions +{len(found.subscribed)} -{len(found.unsubscribed)}"
        return f"{', '.join([*parts, kept])}{more if found.subscribed or found.unsubscribed else ''}"

    def as_json(self) -> dict[str, Any]:
        """The plan for programs."""
        from flowrunner.diagnostics import as_json

        found, running = self.found, self.running
        compared = running and {
            "process": running.process,
            "since": running.since,
            "ended": running.ended,
            "is_alive": running.is_alive,
        }
        return {
            "compared_with": compared,
            "added": [_flow_as_json(flow, flow.subscriptions, ()) for flow in found.added.values()],
            "changed": [_change_as_json(change) for change in found.changed.values()],
            "removed": [_flow_as_json(flow, (), flow.subscriptions) for flow in found.removed.values()],
            "kept": list(found.kept),
            "stale": list(self.stale),
            "subscriptions": _subscriptions_as_json(found.subscribed, found.unsubscribed),
            "errors": [as_json(diagnostic) for diagnostic in self.errors],
        }


def _compared_with(running: "Running | None") -> str:
    if running is None:
        return "no runner has noted anything here: all of it would be new"
    if running.is_alive:
        return f"compared with what runs since {_clock(running.since)} (process {running.process})"
    if running.ended is not None:
        return f"compared with what ran until {_clock(running.ended)}: no runner runs now"
    return f"compared with what ran since {_clock(running.since)}: that runner is gone"


def _clock(seconds: float) -> str:
    from flowrunner.run.reload_report import clock_time

    return clock_time(seconds, now=time.time())


def _about_change(change: "Change") -> Iterator[str]:
    old, new = set(change.old.subscriptions), set(change.new.subscriptions)
    yield from _subscriptions(new - old, old - new)
    if change.kept:
        yield f"state kept: {', '.join(change.kept)}"
    if change.reset:
        yield f"state reset: {', '.join(f'{lost.name} ({lost.why})' for lost in change.reset)}"


def _subscriptions(added: "Iterable[Subscription]", removed: "Iterable[Subscription]") -> Iterator[str]:
    for mark, found in (("-", removed), ("+", added)):
        for one in sorted(found):
            yield f"{mark} {one.filter}{'' if one.connection == 'default' else f' on {one.connection}'}"


def _flow_as_json(
    flow: "Outline", added: "Iterable[Subscription]", removed: "Iterable[Subscription]"
) -> dict[str, Any]:
    return {"flow": flow.name, "file": flow.file, "subscriptions": _subscriptions_as_json(added, removed)}


def _change_as_json(change: "Change") -> dict[str, Any]:
    old, new = set(change.old.subscriptions), set(change.new.subscriptions)
    state = {"kept": list(change.kept), "reset": {lost.name: lost.why for lost in change.reset}}
    return {**_flow_as_json(change.new, new - old, old - new), "state": state}


def _subscriptions_as_json(added: "Iterable[Subscription]", removed: "Iterable[Subscription]") -> dict[str, Any]:
    return {
        word: [{"connection": one.connection, "filter": one.filter} for one in sorted(found)]
        for word, found in (("added", added), ("removed", removed))
    }
