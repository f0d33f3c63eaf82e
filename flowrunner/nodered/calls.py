"""Turns a subflow that stands in several places into one flow that is called from there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowrunner.nodered.export import Node
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import identifier, slug
from flowrunner.nodered.surroundings import variables_of
from flowrunner.nodered.values import Constant, escaped, option, source, tree_of
from flowrunner.nodered.walk import Called, Flow, Frame, Target, Way

_END = Target(Node("#end", "subflow end", "", {}, ()), Frame("#end"))
_NESTED = ("subflow:", "link ")


@dataclass(frozen=True, slots=True)
class Symbols:
    """The variables of a subflow as names of the flow that is called: their values without `with`; which are read."""

    defaults: Mapping[str, Any]
    read: set[str] = field(default_factory=set)

    @property
    def constants(self) -> dict[str, Any]:
        """The `vars` of the flow."""
        return {identifier(word, "variable"): self.defaults[word] for word in sorted(self.read)}


def call(way: Way, known: Known, subflow: Node, given: Mapping[str, Any]) -> Steps | None:
    """The call of a subflow with these variables, and what follows; None where its nodes must stand in its place."""
    if not _may_be_called(way, subflow):
        return None
    settled, known = known.settled()
    if not _is_plain(known):
        return None
    called = _flow_of(way, known, subflow)
    if called is None:
        return None
    values = {
        identifier(word, "variable"): escaped(given[word])
        for word in sorted(called.read)
        if word in given and given[word] != called.defaults[word]
    }
    step = Step("call", {"flow": called.name, "with": values} if values else called.name)
    return [*settled, *way.named([step]), *way.on(0, known.replaced(called.kind))]


def _may_be_called(way: Way, subflow: Node) -> bool:
    """Whether it is used several times, has one way in and at most one out, and holds nothing that only fits here."""
    export = way.walk.export
    uses = [node for node in export.of_type(f"subflow:{subflow.id}") if not node.is_disabled]
    inside = export.children.get(subflow.id, ())
    if len(uses) < 2 or len(subflow.maps("in")) != 1 or len(subflow.maps("out")) > 1:
        return False
    return not any(node.type.startswith(_NESTED) or "${" in str(node.fields) for node in inside)


def _is_plain(known: Known) -> bool:
    """Whether a flow that is called knows all that is known: it gets the message, and no names."""
    is_own_topic = not isinstance(known.topic, Constant) and source(tree_of(known.topic)) == "topic"
    return is_own_topic and not known.names and known.parts is None and not known.is_in_error and not known.is_answer


def _flow_of(way: Way, known: Known, subflow: Node) -> Called | None:
    """The flow of a subflow, made when it is called with such a message for the first time."""
    walk = way.walk
    key = (subflow.id, known.kind, option(known.qos), option(known.retain), known.is_one_topic)
    if key not in walk.called:
        walk.called[key] = None  # a subflow that holds itself finds this
        walk.called[key] = _made(way, known, subflow)
    return walk.called[key]


def _made(way: Way, known: Known, subflow: Node) -> Called | None:
    walk = way.walk
    name = walk.names.take(slug(subflow.name, "subflow"))
    symbols = Symbols(variables_of(subflow, {}))
    frame = Frame(f"#{name}", {}, lambda _port: [_END], way.target.frame.depth + 1, symbols)
    flow = Flow(name, way.flow.tab, way.flow.tab_id, way.flow.stubs, is_called=True)
    inner = Way(walk, flow, Target(subflow, frame), stop=_END.key)
    steps = walk.fan(inner, walk.entrances(subflow, frame), replace(known, raw=""))
    if subflow.maps("out"):
        if inner.levels != [0]:
            return None
        more, end = inner.arrived[0].settled()
        is_same = option(end.qos) == option(known.qos) and option(end.retain) == option(known.retain)
        if not _is_plain(replace(end, names={})) or end.names or not is_same:
            return None
        steps, kind = [*steps, *more], end.kind
    else:
        kind = known.kind
    if not steps:
        return None
    walk.outcomes.done(subflow, name)
    return Called(name, flow.tab_id, steps, symbols.defaults, symbols.read, symbols.constants, kind)


def calls_in(steps: Sequence[Any]) -> Iterator[str]:
    """The names of the flows that steps call, however deep."""
    for step in steps:
        if isinstance(step, Step):
            if step.key == "call":
                yield step.value if isinstance(step.value, str) else step.value["flow"]
            yield from calls_in([step.value, step.on_error])
        elif isinstance(step, list):
            yield from calls_in(step)
        elif isinstance(step, dict):
            yield from calls_in(list(step.values()))
