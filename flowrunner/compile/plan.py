"""Turns what runs, and what shall run, into their difference: flows, subscriptions, and what is remembered."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace

from flowrunner.compile.outline import Memory, Outline, Subscription, subscriptions_of
from flowrunner.compile.outline import outline as outline_of
from flowrunner.diagnostics import name_list
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass

Outlines = Mapping[str, Outline]
"""Flows by name."""


@dataclass(frozen=True, slots=True)
class Reset:
    """A state that is lost: of which step, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """A flow that does something else from now on: both versions, and whose state goes on."""

    old: Outline
    new: Outline

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the steps that keep their state: those that are still there, with a state of the same shape."""
        new = {memory.name: memory.shape for memory in self.new.memories}
        return tuple(memory.name for memory in self.old.memories if new.get(memory.name) == memory.shape)

    @property
    def reset(self) -> tuple[Reset, ...]:
        """The steps that begin anew, or are gone."""
        new = {memory.name: memory for memory in self.new.memories}
        lost = [memory for memory in self.old.memories if memory.name not in self.kept]
        return tuple(Reset(memory.name, why_reset(memory, new.get(memory.name))) for memory in lost)


@dataclass(frozen=True, slots=True)
class Difference:
    """What an edit changes. Of the flows that stay, those in `moved` do the same, but stand elsewhere in their file."""

    added: Outlines = field(default_factory=dict)
    changed: Mapping[str, Change] = field(default_factory=dict)
    moved: Outlines = field(default_factory=dict)
    same: frozenset[str] = frozenset()
    removed: Outlines = field(default_factory=dict)
    subscribed: frozenset[Subscription] = frozenset()
    unsubscribed: frozenset[Subscription] = frozenset()

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the flows that go on as they are, in the order of the alphabet."""
        return tuple(sorted({*self.moved, *self.same}))

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes of what flows do."""
        return not (self.added or self.changed or self.removed)


def difference(old: Outlines, new: Outlines) -> Difference:
    """What changes between two sets of flows. Both hold only flows that are switched on."""
    both = [name for name in new if name in old]
    changed = {name: Change(old[name], new[name]) for name in both if old[name].fingerprint != new[name].fingerprint}
    before, after = frozenset(wanted(old.values())), frozenset(wanted(new.values()))
    return Difference(
        added={name: flow for name, flow in new.items() if name not in old},
        changed=changed,
        moved={name: new[name] for name in both if name not in changed and old[name] != new[name]},
        same=frozenset(name for name in both if old[name] == new[name]),
        removed={name: flow for name, flow in old.items() if name not in new},
        subscribed=after - before,
        unsubscribed=before - after,
    )


def difference_of_flows(
    old: Mapping[str, Flow], new: Mapping[str, Flow], *, outline: Callable[[Flow], Outline] = outline_of
) -> Difference:
    """The same for flows, which are looked at only where they are not the very same ones."""
    same = {name for name in new if old.get(name) is new[name]}
    before = {name: outline(flow) for name, flow in old.items() if name not in same}
    after = {name: outline(flow) for name, flow in new.items() if name not in same}
    found = difference(before, after)
    is_touched = found.subscribed or found.unsubscribed
    others = {one for name in same for one in subscriptions_of(new[name])} if is_touched else set()
    return replace(
        found,
        same=found.same | same,
        subscribed=found.subscribed - others,
        unsubscribed=found.unsubscribed - others,
    )


def apply(old: Outlines, change: Difference) -> dict[str, Outline]:
    """The flows that a difference leads to: `apply(old, difference(old, new)) == new`."""
    kept = {name: old[name] for name in change.same}
    changed = {name: one.new for name, one in change.changed.items()}
    return {**kept, **change.moved, **changed, **change.added}


def wanted(flows: Iterable[Outline]) -> Iterator[Subscription]:
    """All that these flows subscribe to."""
    for flow in flows:
        yield from flow.subscriptions


def why_reset(old: Memory, new: Memory | None) -> str:
    """Why the state of a step cannot go on."""
    if new is None:
        return "the step is gone"
    if new.kind != old.kind:
        return f"it was `{old.kind}`"
    before, after = dict(old.parts), dict(new.parts)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"{name_list(names)} changed" if names else "what it remembers changed"
