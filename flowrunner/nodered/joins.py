"""Turns branches that come together again into a `switch` behind which the flow goes on."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.values import Constant, name, option, source
from flowrunner.nodered.walk import Target, Way

#: Nodes that hand one message on for each that comes, or drop it.
_SIMPLE = {"change", "template", "json", "range", "rbe", "function", "csv", "http request", "delay", "yaml"}
_LONGEST = 30


@dataclass(frozen=True, slots=True)
class Branch:
    """A way that is taken if a condition (None: otherwise) holds, through an output of the node."""

    condition: ast.expr | None
    port: int


def join_branches(way: Way, known: Known, branches: Sequence[Branch]) -> Steps:
    """A `switch` with these branches, of which the first whose condition holds is taken."""
    meeting = _meeting(way, [branch.port for branch in branches])
    if meeting is not None and (joined := _joined(way, known, branches, meeting)):
        return joined
    cases: list[dict[str, Any]] = []
    for branch in branches:
        steps = way.deeper().on(branch.port, known) or [Step("stop")]
        cases.append(_case(branch, steps))
    while cases and "else" in cases[-1] and _is_stop(cases[-1]["else"]):
        cases.pop()
    if not cases or set(cases[0]) == {"else"}:
        return list(cases[0]["else"]) if cases else []
    return way.named([Step("switch", cases)])


def _is_stop(steps: Steps) -> bool:
    return len(steps) == 1 and steps[0].key == "stop" and steps[0].value is None


def _case(branch: Branch, steps: Steps) -> dict[str, Any]:
    return {"else": steps} if branch.condition is None else {"when": source(branch.condition), "steps": steps}


def _meeting(way: Way, ports: Sequence[int]) -> Target | None:
    """The first node to which every branch leads that leads anywhere, without a fork on the way."""
    chains = [chain for port in ports if (chain := _chain(way, port)) is not None]
    if len(chains) < len(ports) or len(chains) < 2:
        return None
    chains = [chain for chain in chains if chain]
    if len(chains) < 2:
        return None
    others = [{target.key for target in chain} for chain in chains[1:]]
    for target in chains[0]:
        if all(target.key in other for other in others):
            return target
    return None


def _chain(way: Way, port: int) -> list[Target] | None:
    """The nodes behind an output as long as one follows the other; empty if there is none, None for several."""
    found: list[Target] = []
    targets = way.walk.targets(way.target, port)
    if len(targets) > 1:
        return None
    while len(targets) == 1 and len(found) < _LONGEST and targets[0].key not in {one.key for one in found}:
        found.append(targets[0])
        node = targets[0].node
        if node.type not in _SIMPLE or len(node.wires) > 1:
            break
        targets = way.walk.targets(targets[0], 0)
    return found


def _joined(way: Way, known: Known, branches: Sequence[Branch], meeting: Target) -> Steps:
    """Branches up to where they meet, and what follows; nothing where one of them does not arrive as it should."""
    ways: list[End] = []
    for branch in branches:
        inner = way.until(meeting.key)
        steps = inner.on(branch.port, known)
        if len(inner.arrived) > 1 or (steps and not inner.arrived):
            return []
        end = inner.arrived[0] if inner.arrived else None
        ways.append(End(branch.condition, [Step("stop")] if end is None else steps, end))
    if branches[-1].condition is not None:
        ways.append(End(None, [Step("stop")], None))
    found = unite(ways)
    if found is None:
        return []
    step, after = found
    return [*way.named([step]), *way.walk.enter(way, meeting, after)]


@dataclass(frozen=True, slots=True)
class End:
    """A branch: its condition (None: otherwise), its steps, and what is known behind them (None: nothing arrives)."""

    condition: ast.expr | None
    steps: Steps
    known: Known | None


def unite(ways: Sequence[End]) -> tuple[Step, Known] | None:
    """A `switch` of all branches, and what is known behind it; None where a branch has nothing to do."""
    ends = [end.known for end in ways if end.known is not None]
    if not ends:
        return None
    is_topic_same = len({str(option(end.topic)) for end in ends}) == 1
    cases: list[dict[str, Any]] = []
    settled_ends: list[Known] = []
    for end in ways:
        steps = end.steps
        if end.known is not None:
            more, settled = end.known.settled()
            if not is_topic_same:
                more = [*more, Step("let", {"new_topic": option(settled.topic)})]
                settled = settled.named("topic", name("new_topic", "text"))
            settled_ends.append(settled)
            steps = [*steps, *more]
        if not steps and end.condition is not None:
            return None
        if steps:
            cases += _flat(_case(Branch(end.condition, 0), steps))
    return Step("switch", cases), _common(settled_ends)


def _flat(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The cases of a `switch` that is all that an `else` holds."""
    inner = case.get("else")
    if inner and len(inner) == 1 and inner[0].key == "switch" and isinstance(inner[0].value, list):
        return list(inner[0].value)
    return [case]


def _common(ends: Sequence[Known]) -> Known:
    """What is known whichever branch was taken."""
    first, *others = ends
    kinds = {end.kind for end in ends}
    names = {
        key: value
        for key, value in first.names.items()
        if all(key in other.names and option(other.names[key]) == option(value) for other in others)
    }
    qos, retain = first.qos, first.retain
    if any(option(other.qos) != option(qos) or option(other.retain) != option(retain) for other in others):
        qos, retain = Constant(0), Constant(False)
    kind = first.kind if len(kinds) == 1 else "any"
    return replace(first, kind=kind, names=names, qos=qos, retain=retain)
