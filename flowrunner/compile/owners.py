"""Turns a flow into the reasons for which only one process of a group may run it."""

from collections import Counter
from collections.abc import Iterator

from flowrunner.compile.failure import steps_of
from flowrunner.read.flow import Flow
from flowrunner.remembering import KeepingStep
from flowrunner.sources import AtStart, Cron, Every, Subscribe
from flowrunner.step import Step

_TICKS = {Every: "`every` ticks", Cron: "`cron` ticks", AtStart: "`at_start` begins something"}


def owner_reasons(flow: Flow, *, is_state_shared: bool | None = None) -> tuple[str, ...]:
    """Why a flow needs one owner, in words such as "`changed` remembers"; empty where all processes may run it.

    `is_state_shared` says whether what steps remember is kept where all of them find it (`state: redis://...`);
    None: as the settings of the flow want it.
    """
    is_state_shared = flow.is_remote if is_state_shared is None else is_state_shared
    return tuple(dict.fromkeys([*_of_sources(flow), *_of_steps(flow, is_state_shared=is_state_shared)]))


def is_freed_by_shared_state(flow: Flow) -> bool:
    """Whether nothing but memory ties a flow to one owner, and memory that can be kept elsewhere."""
    return bool(owner_reasons(flow, is_state_shared=False)) and not owner_reasons(flow, is_state_shared=True)


def _of_sources(flow: Flow) -> Iterator[str]:
    for source in flow.sources:
        if not isinstance(source, Subscribe):
            yield _TICKS[type(source)]
            continue
        if source.no_local:
            yield "`no_local` knows what one client has published"
        if source.filter.levels[0].startswith("$") and source.share is None:
            yield f"`{source.filter.levels[0]}` comes to no group"  # from mosquitto 2.0, that is
        if source.retained == "only" and source.share is None:
            yield "`retained: only` is not for groups"


def _of_steps(flow: Flow, *, is_state_shared: bool) -> Iterator[str]:
    used = Counter(step.memory() for step in steps_of(flow) if id(step) in flow.scopes)
    for step in steps_of(flow):
        if id(step) not in flow.scopes:
            continue
        if _remembers(step) and not (is_state_shared and step.CAN_BE_SHARED):
            yield f"`{step.KEY}` remembers"
        elif step.memory() and used[step.memory()] > 1:
            yield f"`{step.KEY}` steps share a value, and nobody may come between them"
        if step.WRITES_FILES:
            yield f"`{step.KEY}` writes to a file"


def _remembers(step: Step) -> bool:
    return isinstance(step, KeepingStep) or bool(step.memory())


def ties_of(flow: Flow) -> frozenset[str]:
    """What a flow uses together with others: flows with a name in common need the same owner."""
    found = (step.memory() for step in steps_of(flow) if id(step) in flow.scopes)
    return frozenset(name for name in found if name.startswith("shared "))
