"""Turns the topics of flows into the pairs that they join: one publishes what another one hears."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowrunner.compile.function import name_steps
from flowrunner.expressions import Template
from flowrunner.read.flow import Flow
from flowrunner.read.loops import may_reach
from flowrunner.sources import Subscribe
from flowrunner.step import walk
from flowrunner.steps.publish import Publish

#: Pairs that are looked for; a broker with more of them shows no picture that anybody could read.
MOST = 2_000


@dataclass(frozen=True, slots=True)
class Join:
    """A step of one flow publishes what another flow hears, or may hear."""

    flow: str
    step: str
    topic: str
    to: str


def find_joins(flows: Iterable[Flow]) -> list[Join]:
    """All pairs, up to a bound."""
    flows = list(flows)
    hearers = _Hearers(flows)
    found: list[Join] = []
    for flow in flows:
        names = name_steps(flow)
        for step in walk([*flow.steps, *flow.on_error.steps]):
            if isinstance(step, Publish):
                to = dict.fromkeys(name for name in hearers.of(step.topic, step.connection) if name != flow.name)
                found += [Join(flow.name, names[id(step)], step.topic.passage.text, name) for name in to]
        if len(found) >= MOST:
            break
    return found[:MOST]


class _Hearers:
    """The subscriptions of flows, by their first level: most pairs need not be compared then."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.by_level: dict[str, list[tuple[str, Subscribe]]] = {}
        for flow in flows:
            for source in flow.sources:
                if isinstance(source, Subscribe):
                    self.by_level.setdefault(source.filter.levels[0], []).append((flow.name, source))

    def of(self, topic: Template, connection: str) -> Iterator[str]:
        """The names of the flows that hear a topic."""
        first = topic.parts[0] if topic.parts else ""
        level, slash, _ = first.partition("/") if isinstance(first, str) else ("", "", "")
        levels = {level, "+", "#"} if slash or topic.is_constant else set(self.by_level)
        for known in levels & self.by_level.keys():
            for name, source in self.by_level[known]:
                if source.connection == connection and may_reach(topic, source.filter):
                    yield name
