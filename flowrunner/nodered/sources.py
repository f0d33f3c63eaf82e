"""Turns the nodes from which messages come into the sources of flows, and into what is known of their messages."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowrunner.nodered.export import Export, Node, as_text
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import slug
from flowrunner.nodered.nodes.change import assign
from flowrunner.nodered.nodes.links import frame_of
from flowrunner.nodered.nodes.timing import duration
from flowrunner.nodered.properties import typed
from flowrunner.nodered.values import Constant, Uncertain, name
from flowrunner.nodered.walk import Frame, Target, Walk, Way
from flowrunner.schedules import BadSchedule, BadTimeZone, read_schedule
from flowrunner.topics import BadTopic, parse_filter

_CONFIG = {"tab", "subflow", "group", "comment", "mqtt-broker", "tls-config", "global-config", "http proxy"}
NO_STEPS = _CONFIG | {"catch", "status", "complete", "link in", "link out", "junction"}
"""Types that are no steps: settings, remarks, and what only hands on."""

_NEAR = 25
_LONG_ENOUGH = 0.5
_SOURCES = {"mqtt in", "inject"}


@dataclass(slots=True)
class Origin:
    """One or several nodes in which a flow begins, and the tab that they are drawn in."""

    targets: list[Target]
    tab: Node
    keys: dict[str, Any] = field(default_factory=dict)
    is_pseudo: bool = False

    @property
    def node(self) -> Node:
        """The first of them."""
        return self.targets[0].node


def is_source(node: Node) -> bool:
    """Whether messages come from a node by itself."""
    return node.type in _SOURCES and not (node.type == "mqtt in" and node.number("inputs", 0) > 0)


def find_origins(walk: Walk) -> list[Origin]:
    """Where flows begin, in the order of the file; subscriptions with the same wires are one."""
    found: list[Origin] = []
    alike: dict[tuple[Any, ...], Origin] = {}
    for tab in walk.export.tabs:
        for target in _sources_in(walk, tab, Frame()):
            node = target.node
            key = (tab.id, target.frame.key, node.wires, node.text("datatype"))
            if node.type == "mqtt in" and any(node.wires) and key in alike:
                alike[key].targets.append(target)
                continue
            found.append(Origin([target], tab))
            if node.type == "mqtt in":
                alike[key] = found[-1]
    return found


def _sources_in(walk: Walk, home: Node, frame: Frame) -> Iterator[Target]:
    for node in walk.export.children.get(home.id, ()):
        if node.is_disabled:
            walk.outcomes.done(node, note="was switched off: left out")
        elif is_source(node):
            yield Target(node, frame)
        elif (inner := walk.export.subflows.get(node.type.removeprefix("subflow:"))) is not None and ":" in node.type:
            try:
                deeper = frame_of(walk, Target(node, frame))
            except Uncertain:
                continue
            yield from _sources_in(walk, inner, deeper)


def name_of(origin: Origin) -> str:
    """What a flow is called after the node in which it begins."""
    node = origin.node
    if found := slug(node.name):
        return found
    if node.type == "mqtt in":
        return slug(node.text("topic").replace("$share/", "")) or "everything"
    if node.type != "inject":
        return slug(node.type, "flow")
    if node.number("repeat", 0) > 0:
        return f"every-{_interval(node)}".replace(".", "-")
    return "scheduled" if node.text("crontab") else "at-start" if node.flag("once") else "button"


def _interval(node: Node) -> str:
    try:
        return duration(node.number("repeat", 1))
    except Uncertain:
        return "36525d"


def subscription(walk: Walk, node: Node) -> Any:
    """The entry of `mqtt in` below `subscribe`. Raises Uncertain for a filter that is none."""
    filter, share = node.text("topic"), ""
    if filter.startswith("$share/") and filter.count("/") > 1:
        _, share, filter = filter.split("/", 2)
    try:
        parse_filter(filter)
    except BadTopic as bad:
        raise Uncertain(f"the topic filter: {bad.message}") from None
    found: dict[str, Any] = {"topic": filter}
    if qos := qos_of(node):
        found["qos"] = qos
    broker = walk.export.nodes.get(node.text("broker"))
    if broker is not None and broker.text("protocolVersion") == "5":
        found |= {"retained": "new"} if node.text("rh") == "2" else {}
        found |= {"no_local": True} if node.flag("nl") and not share else {}
    if share:
        found["share"] = share
    connection = walk.connections.get(node.text("broker"), "default")
    if connection != "default":
        found["connection"] = connection
    return filter if list(found) == ["topic"] else found


def qos_of(node: Node) -> int:
    """The QoS of `mqtt in`, which is 2 where it says nothing."""
    qos = int(node.number("qos", 2))
    return qos if qos in (0, 1, 2) else 2


def heard(walk: Walk, origin: Origin) -> Known:
    """What is known of messages of subscriptions."""
    nodes = [target.node for target in origin.targets]
    topics = {node.text("topic") for node in nodes}
    is_one = len(topics) == 1 and not any(sign in next(iter(topics)) for sign in "+#")
    return Known(
        kind="bytes",
        raw=origin.node.text("datatype") or "utf8",
        wants_fields=_reads_fields(walk, origin),
        qos=Constant(0) if all(qos_of(node) == 0 for node in nodes) else name("qos", "number"),
        retain=name("retain", "bool"),
        is_one_topic=is_one,
    )


def _reads_fields(walk: Walk, origin: Origin) -> bool:
    """Whether one of the next nodes looks into the payload, as if it were a map."""
    targets = walk.targets(origin.targets[0], 0)
    seen: set[tuple[str, str]] = set()
    while targets and len(seen) < _NEAR:
        target = targets.pop(0)
        if target.key in seen or target.node.type in ("json", "csv", "mqtt out"):
            continue
        seen.add(target.key)
        fields = {key: value for key, value in target.node.fields.items() if key != "info"}
        text = json.dumps(fields)
        if "payload." in text.replace("payload.length", "").replace("payload.to", "") or "payload[" in text:
            return True
        for port in range(min(len(target.node.wires), 10)):
            targets += walk.targets(target, port)
    return False


def injected(way: Way) -> tuple[Steps, Known]:
    """What is known of messages of `inject`, and the steps that must come first."""
    node = way.node
    known = Known(kind="any", topic=Constant(""), payload=Constant(None))
    given = node.maps("props") if isinstance(node.fields.get("props"), list) else [{"p": "payload"}, {"p": "topic"}]
    steps: Steps = []
    for prop in given:
        word = as_text(prop.get("p"))
        is_own = word in ("payload", "topic") and "v" not in prop
        value = node.fields.get(word) if is_own else prop.get("v")
        kind = (node.text("payloadType") if word == "payload" else "str") if is_own else as_text(prop.get("vt"))
        if word == "payload" and kind == "" and value in ("", None):
            kind = "date"
        more, found = typed(value, kind or "str", known, way)
        last, known = assign(read_path(word), found, known)
        steps += [*more, *last]
    return steps, known


def ticks(way: Way) -> dict[str, Any]:
    """The sources of `inject`."""
    node = way.node
    found: dict[str, Any] = {}
    if node.number("repeat", 0) > 0:
        interval = _interval(node)
        found["every"] = {"interval": interval, "immediately": True} if node.flag("once") else interval
    elif schedule := node.text("crontab").strip():
        try:
            read_schedule(schedule, "")
        except (BadSchedule, BadTimeZone):
            way.not_done(f"the schedule `{schedule[:40]}`")
        else:
            found["cron"] = schedule
    if node.flag("once") and "every" not in found:
        found["at_start"] = True
    if not found:
        found["subscribe"] = f"inject/{way.flow.name}"
        way.approximated(f"a button: runs when something is published to `inject/{way.flow.name}`")
    return found


def wait_at_start(node: Node, sources: Mapping[str, Any]) -> Steps:
    """The wait before `inject once`, where it is long enough to be meant."""
    seconds = node.number("onceDelay", 0)
    if list(sources) != ["at_start"] or seconds < _LONG_ENOUGH:
        return []
    return [Step("delay", duration(seconds))]


def leftovers(walk: Walk, export: Export) -> Iterator[Origin]:
    """Nodes that no message reaches: those that no wire leads to first, then what is left of loops."""
    tabs = {tab.id: tab for tab in export.tabs}
    wired = {id for node in export.nodes.values() for port in node.wires for id in port}
    for is_first in (True, False):
        for node in export.nodes.values():
            tab = tabs.get(node.tab)
            if tab is None or walk.outcomes.has(node) or node.type in NO_STEPS or not _is_step(node):
                continue
            if not node.is_disabled and (node.id not in wired or not is_first):
                yield Origin([Target(node, Frame())], tab, is_pseudo=True)


def _is_step(node: Node) -> bool:
    """Whether a node stands in a drawing: settings have no place there, and no wires."""
    return bool(node.wires) or "wires" in node.fields or "x" in node.fields
