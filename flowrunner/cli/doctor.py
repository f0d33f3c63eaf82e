"""Turns a connection into what works on the way to its broker, and what does not."""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Misuse, broker_option, json_option, make_command, option, paths_argument
from flowrunner.cli.paths import DEFAULT_PATH, load_flows, warn_of_password
from flowrunner.cli.terminal import UNREACHABLE, paint, say, wants_color
from flowrunner.diagnostics import name_list, suggest

if TYPE_CHECKING:
    from flowrunner.connections import ConnectionSettings
    from flowrunner.read.load import Loaded
    from flowrunner.run.examination import Finding, Wish

_MARKS = {"fine": ("ok", "32"), "hint": ("look", "33"), "bad": ("bad", "1;31")}


@make_command(
    "doctor",
    examples="""
    flowrunner doctor                              every connection that the flows in flows/ use
    flowrunner doctor --connection cloud
    flowrunner doctor --broker mqtts://broker.example.org
    flowrunner doctor --listen 30s                 for filters on which little comes
    flowrunner doctor --json | jq '.connections[].findings[] | select(.state != "fine")'
    """,
)
@broker_option
@option("--connection", "only", metavar="NAME", help="Look at this connection only [all that flows use].")
@option("--listen", metavar="DURATION", default="3s", help="How long to listen for messages on silent filters [3s].")
@json_option
@paths_argument
def command(paths: tuple[Path, ...], broker: str | None, only: str | None, listen: str, *, as_json: bool) -> int:
    """Look at the way to the broker, step by step.

    The name of its host, the network, encryption, the broker's answer and limits, round trips, shared subscriptions,
    each filter of the flows with its granted QoS and retained messages, topics that are near a filter which hears
    nothing, and who uses the client id. PATHS are files and folders of flows [flows/]. It connects under a client id of
    its own, and disturbs no runner.

    Exit code 0: the broker is there, perhaps with something to look at; 1: it refuses a filter; 3: it is not reached.
    """
    url = broker or os.environ.get("FLOWRUNNER_BROKER") or None
    seconds = _duration(listen)
    loaded = _load(paths, url)
    warn_of_password(broker)
    folder = _folder(paths)
    names = _names(loaded, only)
    color = not as_json and wants_color(sys.stdout)
    told = [asyncio.run(_examine(loaded, name, folder, seconds, color=color, is_silent=as_json)) for name in names]
    if as_json:
        print(json.dumps({"connections": told}, ensure_ascii=False, indent=2))
    codes: list[int] = [one["code"] for one in told]
    return max(codes, default=0)


async def _examine(
    loaded: "Loaded", name: str, folder: Path | None, seconds: float, *, color: bool, is_silent: bool
) -> dict[str, Any]:
    """Look at one connection, and show each finding as it comes."""
    from flowrunner.run.examination import Examination
    from flowrunner.run.identity import known_client_id

    settings = loaded.settings.connections[name]
    own_id = settings.client_id or known_client_id(name, folder)
    found: list[Finding] = []
    if not is_silent:
        print(paint(f"{name}: {settings.shown}", "1", color=color), flush=True)
    examination = Examination(settings, own_id=own_id, wishes=_wishes(loaded, name), folder=folder, seconds=seconds)
    async with aclosing(examination.findings()) as findings:
        async for finding in findings:
            found.append(finding)
            if not is_silent:
                print(_line(finding, color=color), flush=True)
    return {
        "connection": name,
        "url": settings.shown,
        "code": _code(found),
        "findings": [asdict(finding) for finding in found],
    }


def _line(finding: "Finding", *, color: bool) -> str:
    mark, style = _MARKS[finding.state]
    took = f"  ({finding.milliseconds:.1f} ms)" if finding.milliseconds is not None else ""
    return f"  {paint(mark.ljust(5), style, color=color)}{finding.step.ljust(12)} {finding.text}{took}"


def _code(found: "Iterable[Finding]") -> int:
    """The exit code: whether the broker could not be reached, or does not let a flow hear."""
    bad = {finding.step for finding in found if finding.state == "bad"}
    return UNREACHABLE if "connection" in bad else 1 if bad else 0


def _load(paths: tuple[Path, ...], url: str | None) -> "Loaded":
    """The flows and settings; a broker that is named needs neither."""
    from flowrunner.address import BadAddress, parse_address
    from flowrunner.read.load import load

    if url is not None:
        try:
            parse_address(url)
        except BadAddress as error:
            raise Misuse(error.message, error.help) from None
    if not paths and not DEFAULT_PATH.exists():
        return load([], url=url, allow=None)
    loaded = load_flows(paths, url=url)
    if count := sum(diagnostic.severity == "error" for diagnostic in loaded.diagnostics):
        say(f"{count} mistake{'' if count == 1 else 's'} in the files, which `flowrunner check` shows")
    return loaded


def _folder(paths: tuple[Path, ...]) -> Path | None:
    first = paths[0] if paths else DEFAULT_PATH
    if not first.exists():
        return None
    return first if first.is_dir() else first.parent


def _names(loaded: "Loaded", only: str | None) -> list[str]:
    known: dict[str, ConnectionSettings] = dict(loaded.settings.connections)
    if only is not None:
        if only not in known:
            near = suggest(only, known)
            help = f"did you mean `{near}`?" if near else f"there are {name_list(list(known))}"
            raise Misuse(f"there is no connection `{only}`", help)
        return [only]
    used = {connection for flow in loaded.flows for connection in _connections_of(flow)}
    return [name for name in known if name in used] or ["default"]


def _connections_of(flow: Any) -> set[str]:
    from flowrunner.read.delivery import all_steps_of

    found = [*flow.sources, *all_steps_of(flow)]
    return {connection for one in found if isinstance(connection := getattr(one, "connection", None), str)}


def _wishes(loaded: "Loaded", name: str) -> "list[Wish]":
    from flowrunner.run.examination import wishes_of
    from flowrunner.sources import Subscribe

    sources = [source for flow in loaded.flows if flow.is_enabled for source in flow.sources]
    heard = [source for source in sources if isinstance(source, Subscribe) and source.connection == name]
    return wishes_of([(source.filter, source.qos) for source in heard])


def _duration(text: str) -> float:
    from flowrunner.quantities import BadQuantity, parse_duration

    try:
        return parse_duration(text)
    except BadQuantity as bad:
        raise click.UsageError(f"`--listen`: {bad.message}") from None
