"""Turns flows into a graph: what each hears and publishes, and which topics lead from one to another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowrunner.drawings.patterns import patterns_of
from flowrunner.expressions import Template
from flowrunner.quantities import format_duration
from flowrunner.read.flow import Flow
from flowrunner.sources import AtStart, Cron, Every, Source, Subscribe
from flowrunner.step import Step, line_of, walk
from flowrunner.topics import BadTopic, overlaps, parse_filter


@dataclass(frozen=True, slots=True, order=True)
class Topic:
    """Topics of one kind on one connection, as a filter: `alerts/+` stands for `alerts/${room}` and `alerts/+room`."""

    filter: str
    connection: str = "default"

    @property
    def shown(self) -> str:
        """The filter, with the connection where it is not the usual one."""
        return self.filter if self.connection == "default" else f"{self.filter} ({self.connection})"


@dataclass(frozen=True, slots=True)
class Way:
    """A list of steps inside a step, and when it is taken (may be empty)."""

    title: str
    steps: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Node:
    """A step: its kind, its line in the file, and the ways inside it."""

    kind: str
    text: str
    line: int
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A flow: what it hears and publishes (with the text of the file), what else starts it, and whom it calls."""

    name: str
    description: str
    file: str
    line: int
    is_enabled: bool
    hears: tuple[tuple[Topic, str], ...]
    ticks: tuple[str, ...]
    publishes: tuple[tuple[Topic, str], ...]
    is_replying: bool
    calls: tuple[str, ...]
    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """Flows, and the joints between them: a topic that is published, and one of those that are heard, overlap."""

    boxes: tuple[Box, ...]
    joints: tuple[tuple[Topic, Topic], ...] = field(default=())

    @property
    def topics(self) -> list[Topic]:
        """All topics, each once."""
        found = [topic for box in self.boxes for topic, _ in (*box.hears, *box.publishes)]
        return list(dict.fromkeys(found))

    def sources_of(self, heard: Topic) -> list[str]:
        """Names of the flows whose messages may come to who hears a topic."""
        leading = {heard} | {sent for sent, other in self.joints if other == heard}
        return [box.name for box in self.boxes if any(topic in leading for topic, _ in box.publishes)]

    def hearers_of(self, sent: Topic) -> list[str]:
        """Names of the flows that may hear what is published to a topic."""
        reached = {sent} | {heard for other, heard in self.joints if other == sent}
        return [box.name for box in self.boxes if any(topic in reached for topic, _ in box.hears)]

    def as_json(self) -> dict[str, Any]:
        """The graph for other programs: `flows`, and `joins` from flow to flow."""
        joins: list[dict[str, Any]] = [
            {"from": box.name, "to": name, "topic": topic.filter, "connection": topic.connection}
            for box in self.boxes
            for topic in dict.fromkeys(topic for topic, _ in box.publishes)
            for name in self.hearers_of(topic)
        ]
        joins += [{"from": box.name, "to": name, "calls": True} for box in self.boxes for name in box.calls]
        return {"flows": [_box_as_json(box) for box in self.boxes], "joins": joins}


def graph_of(flows: Sequence[Flow]) -> Graph:
    """The graph of flows, those that feed others first."""
    boxes = [box_of(flow) for flow in flows]
    sent = {topic for box in boxes for topic, _ in box.publishes}
    heard = {topic for box in boxes for topic, _ in box.hears}
    joints = tuple(
        (one, other) for one in sorted(sent) for other in sorted(heard) if one != other and do_overlap(one, other)
    )
    graph = Graph(tuple(boxes), joints)
    return Graph(tuple(sorted_by_feeding(graph)), joints)


def do_overlap(sent: Topic, heard: Topic) -> bool:
    """Whether a message that is published may be one that is heard."""
    if sent.connection != heard.connection:
        return False
    try:
        return overlaps(parse_filter(sent.filter), parse_filter(heard.filter))
    except BadTopic:
        return False


def sorted_by_feeding(graph: Graph) -> Iterator[Box]:
    """The flows so that each comes behind those that feed it, as far as they do not go round in circles."""
    left = list(graph.boxes)
    feeding = {
        box.name: {name for topic, _ in box.hears for name in graph.sources_of(topic)} - {box.name} for box in left
    }
    while left:
        names = {box.name for box in left}
        ready = [box for box in left if not feeding[box.name] & names] or left[:1]
        yield from ready
        left = [box for box in left if box not in ready]


def box_of(flow: Flow) -> Box:
    """A flow as it is drawn."""
    subscriptions = [source for source in flow.sources if isinstance(source, Subscribe)]
    hears = [(Topic("/".join(one.filter.levels), one.connection), one.filter.text) for one in subscriptions]
    steps = [*walk(flow.steps), *walk(flow.on_error.steps)]
    publishes = [
        (Topic(pattern, getattr(step, "connection", "default")), template.passage.text)
        for step in steps
        if step.KEY == "publish" and isinstance(template := getattr(step, "topic", None), Template)
        for pattern in patterns_of(template, [one.filter for one in subscriptions])
    ]
    ways = [Way("", nodes_of(flow.on_error.steps))] if flow.on_error.steps else []
    nodes = (*nodes_of(flow.steps), *(Node("on_error", "on_error", flow.span.line, (way,)) for way in ways))
    return Box(
        flow.name,
        flow.description,
        flow.source.name,
        flow.span.line,
        flow.is_enabled,
        tuple(hears),
        tuple(tick_of(source) for source in flow.sources if not isinstance(source, Subscribe)),
        tuple(dict.fromkeys(publishes)),
        any(step.KEY == "reply" for step in steps),
        flow.calls,
        nodes,
    )


def tick_of(source: Source) -> str:
    """What starts a flow besides messages."""
    match source:
        case Every(interval=interval):
            return f"every {format_duration(interval)}"
        case Cron(schedule=schedule):
            return f"cron {getattr(schedule, 'text', '')}".strip()
        case AtStart():
            return "at start"
    return ""


def nodes_of(steps: Sequence[Step]) -> tuple[Node, ...]:
    """Steps as they are drawn."""
    return tuple(Node(step.KEY, text_of(step), step.at.key_span.line, tuple(ways_of(step))) for step in steps)


def ways_of(step: Step) -> Iterator[Way]:
    """The lists of steps inside a step; those of a flow that is called, too: it need not have a box of its own."""
    for number, inner in enumerate(step.inner()):
        yield Way(_title(step, number), nodes_of(inner))
    if step.at.on_error is not None and step.at.on_error.steps:
        yield Way("on_error", nodes_of(step.at.on_error.steps))


def _title(step: Step, number: int) -> str:
    match step.KEY:
        case "switch":
            when = getattr(step, "cases")[number].when  # noqa: B009 - a `switch` has cases
            return "else" if when is None else when.passage.text
        case "fork":
            return f"branch {number + 1}"
        case "filter":
            return "else"
    return ""


def text_of(step: Step) -> str:
    """A step in a few words: its key, and what stands beside it if that is short."""
    key, _, value = line_of(step).partition(":")
    value = value.strip()
    is_plain = value and value[0] not in "{[|>" and not value.endswith(("}", "]"))
    return f"{key} {value}" if is_plain and len(value) <= _LONGEST else step.KEY


_LONGEST = 40


def _box_as_json(box: Box) -> dict[str, Any]:
    return {
        "name": box.name,
        "description": box.description,
        "file": box.file,
        "line": box.line,
        "enabled": box.is_enabled,
        "hears": [{"topic": topic.filter, "connection": topic.connection, "text": text} for topic, text in box.hears],
        "ticks": list(box.ticks),
        "publishes": [
            {"topic": topic.filter, "connection": topic.connection, "text": text} for topic, text in box.publishes
        ],
        "replies": box.is_replying,
        "calls": list(box.calls),
        "steps": [_node_as_json(node) for node in box.steps],
    }


def _node_as_json(node: Node) -> dict[str, Any]:
    ways = [{"title": way.title, "steps": [_node_as_json(inner) for inner in way.steps]} for way in node.ways]
    return {"step": node.kind, "text": node.text, "line": node.line} | ({"ways": ways} if ways else {})
