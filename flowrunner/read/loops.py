"""Turns a flow as a whole into what is wrong with it: endless loops, filters that hear too little, ids that clash."""

import ast
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.expressions import Template
from flowrunner.records import dataclass
from flowrunner.sources import Source, Subscribe
from flowrunner.step import Step, trees_of, walk
from flowrunner.topics import BadTopic, Filter, overlaps, parse_filter

if TYPE_CHECKING:
    from flowrunner.read.flow import Flow


def find_loops(sources: Sequence[Source], steps: Sequence[Step]) -> list[Diagnostic]:
    """A warning for every `publish` to a topic that the flow itself subscribes to (on the same connection)."""
    heard = [source for source in sources if isinstance(source, Subscribe) and not source.no_local]
    found: list[Diagnostic] = []
    for step in walk(steps):
        topic = getattr(step, "topic", None)
        if step.KEY != "publish" or not isinstance(topic, Template):
            continue
        for source in heard:
            if getattr(step, "connection", "") == source.connection and may_reach(topic, source.filter):
                found.append(_loop(topic, source))
                break
    return found


def may_reach(topic: Template, heard: Filter, came: Filter | None = None) -> bool:
    """Whether a message published to this topic may come through the filter; `came` is how it came, if otherwise."""
    pattern = pattern_of(topic, came or heard)
    if pattern is None:
        return False
    try:
        return overlaps(parse_filter(pattern), parse_filter("/".join(heard.levels)))
    except BadTopic:
        return False


def pattern_of(topic: Template, heard: Filter) -> str | None:
    """A filter that covers what the topic may become: an inserted value is one level, `${topic}` what came."""
    text = ""
    for part in topic.parts:
        if isinstance(part, str):
            text += part
        elif part.expression.passage.text.strip() == "topic":
            text += "/".join(level if level != "#" else "+" for level in heard.levels)
        else:
            text += "+"
    return "/".join("+" if "+" in level else level for level in text.split("/"))


def _loop(topic: Template, source: Subscribe) -> Diagnostic:
    labels = (Label(source.span, "what the flow subscribes to"),) if source.span else ()
    helps = (
        "publish to another topic, such as `.../out`",
        "if it is meant: `subscribe: {topic: ..., no_local: true}`, which skips all that this connection publishes",
    )
    message = "the flow publishes to a topic that it hears itself: an endless loop"
    return Diagnostic(
        "possible-loop", message, topic.passage.span().first_line(), "", labels, helps, severity="warning"
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """A message of one flow may become one of another: what is published, and what hears it."""

    begin: "Flow"
    end: "Flow"
    topic: Template
    heard: Subscribe


def find_rings(flows: Sequence["Flow"]) -> list[Diagnostic]:
    """A warning for every ring of flows in which a message may go round without end; see `find_loops` for one flow."""
    ways: dict[Flow, list[_Way]] = {}
    for way in _ways([flow for flow in flows if flow.is_enabled]):
        ways.setdefault(way.begin, []).append(way)
    found: list[Diagnostic] = []
    seen: set[Flow] = set()
    for flow in ways:
        if flow not in seen and (ring := _ring_through(flow, ways)):
            seen.update(way.begin for way in ring)
            found.append(_ring(ring))
    return found


def _ways(flows: Sequence["Flow"]) -> Iterator[_Way]:
    heard: dict[tuple[str, str], list[tuple[Flow, Subscribe]]] = {}
    for flow in flows:
        for source in flow.sources:
            if isinstance(source, Subscribe) and not source.no_local:
                heard.setdefault((source.connection, source.filter.levels[0]), []).append((flow, source))
    for flow in flows:
        for step in walk([*flow.steps, *flow.on_error.steps]):
            topic, connection = getattr(step, "topic", None), getattr(step, "connection", "")
            if step.KEY == "publish" and isinstance(topic, Template):
                firsts = _first_levels(topic, connection, heard)
                near = [entry for first in firsts for entry in heard.get((connection, first), ())]
                yield from (
                    _Way(flow, other, topic, source)
                    for other, source in near
                    if other is not flow and _reaches(flow, topic, source.filter)
                )


def _reaches(flow: "Flow", topic: Template, heard: Filter) -> bool:
    came = [source.filter for source in flow.sources if isinstance(source, Subscribe)]
    return any(may_reach(topic, heard, one) for one in came or [heard])


def _first_levels(topic: Template, connection: str, known: Collection[tuple[str, str]]) -> Iterable[str]:
    """The first levels of filters that may hear a topic."""
    first = topic.parts[0] if topic.parts else ""
    if isinstance(first, str) and "/" in first:
        return {first.partition("/")[0], "+", "#"}
    return {level for name, level in known if name == connection}


def _ring_through(flow: "Flow", ways: Mapping["Flow", Sequence[_Way]]) -> list[_Way]:
    """The shortest ring that begins and ends with a flow; empty if there is none."""
    came: dict[Flow, _Way] = {}
    waiting = deque([flow])
    while waiting:
        here = waiting.popleft()
        for way in ways.get(here, ()):
            if way.end is flow:
                ring = [way]
                while ring[0].begin is not flow:
                    ring.insert(0, came[ring[0].begin])
                return ring
            if way.end not in came:
                came[way.end] = way
                waiting.append(way.end)
    return []


def _ring(ring: Sequence[_Way]) -> Diagnostic:
    names = [way.begin.name for way in ring]
    shown = " and ".join(f"`{name}`" for name in names) if len(names) == 2 else f"{len(names)} flows"
    around = ", ".join(f"`{way.begin.name}` publishes what `{way.end.name}` hears" for way in ring[:4])
    helps = (
        f"{around}{', and so on' if len(ring) > 4 else ''}",
        "publish to a topic that none of them hears, such as `.../out`",
    )
    topic = ring[0].topic.passage.span().first_line()
    labels = tuple(
        Label(way.heard.span, f"`{way.end.name}` hears it")
        for way in ring[:1]
        if way.heard.span is not None and way.heard.span.source is topic.source
    )
    message = f"messages may go round between {shown}: an endless loop"
    return Diagnostic("possible-loop", message, topic, "", labels, helps, severity="warning")


def find_silence(sources: Sequence[Source], steps: Sequence[Step]) -> list[Diagnostic]:
    """A warning where a flow looks for `$SYS` and hears `#`, which does not cover it (MQTT 5.0 section 4.7.2)."""
    wide = [source for source in sources if isinstance(source, Subscribe) and source.filter.levels[0] in {"#", "+"}]
    if not wide or not wide[0].span or not any(_speaks_of_sys(step) for step in walk(steps)):
        return []
    first = wide[0].filter.levels[0]
    message = f"`{first}` does not cover topics that start with `$`"
    helps = ("subscribe to both: `subscribe: ['#', '$SYS/#']`",)
    return [Diagnostic("dollar-topics", message, wide[0].span, helps=helps, severity="warning")]


def _speaks_of_sys(step: Step) -> bool:
    parts = [*step.parts(), *([step.at.when] if step.at.when else [])]
    constants = (
        found.value
        for part in parts
        for tree in trees_of(part)
        for found in ast.walk(tree)
        if isinstance(found, ast.Constant)
    )
    return any(isinstance(value, str) and value.startswith("$") for value in constants)


def same_ids(steps: Sequence[Step]) -> list[Diagnostic]:
    """A diagnostic for every step whose `id` another one has: its state could not be told from the other's."""
    known: dict[str, Step] = {}
    found: list[Diagnostic] = []
    for step in walk(steps):
        if step.at.id and (first := known.setdefault(step.at.id, step)) is not step:
            labels = (Label(first.at.key_span, "the first one"),)
            message = f"two steps have the id `{step.at.id}`"
            helps = ("choose another id",)
            found.append(Diagnostic("duplicate-id", message, step.at.key_span, labels=labels, helps=helps))
    return found
