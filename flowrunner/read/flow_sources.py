"""Turns the keys of a flow into its sources, and these into what is known before its first step."""

from collections.abc import Mapping
from typing import Any

from flowrunner.expressions import Kind, Scope
from flowrunner.sources import AtStart, Cron, Every, Source, Subscribe
from flowrunner.step import ANY_NAME, Check


def sources_of(keys: Mapping[str, Any]) -> tuple[Source, ...]:
    """The sources in a fixed order; a handler's last argument counts them."""
    every: Every | None = keys["every"]
    cron: Cron | None = keys["cron"]
    at_start: AtStart | None = keys["at_start"]
    return (*keys["subscribe"], *(source for source in (every, cron, at_start) if source is not None))


def scopes_of(sources: tuple[Source, ...], constants: Mapping[str, Any], *, is_complete: bool) -> tuple[Scope, Scope]:
    """What is known before the first step, and inside of `on_error`; not complete, if a key of the flow was refused."""
    is_heard = {isinstance(source, Subscribe) for source in sources}
    payload: Kind = "any" if len(is_heard) != 1 else "bytes" if is_heard == {True} else "data"
    names: dict[str, Kind] = {"payload": payload, "topic": "text", "qos": "data", "retain": "data", "properties": "any"}
    names |= dict.fromkeys(constants, "data")
    names |= {"env": "data", "flow": "text"}
    captured = [
        {name for name, _, _ in source.filter.captures} if isinstance(source, Subscribe) else set[str]()
        for source in sources
    ]
    common = set.intersection(*captured) if captured else set[str]()
    names |= dict.fromkeys(sorted(common), "text")
    if not is_complete:
        names[ANY_NAME] = "any"
    missing = {
        name: f"not every source of this flow names the level `{name}`"
        for name in sorted(set[str]().union(*captured) - common)
    }
    return Scope(names, missing), Scope({**names, "error": "data"}, missing)


def check_source(source: Source, check: Check) -> None:
    """What a source names must not be a constant."""
    if isinstance(source, Subscribe) and source.span:
        for name, _, _ in source.filter.captures:
            check.new_name(name, source.span)
