"""Turns nodes and the wires between them into steps, from a source to every end."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flowrunner.nodered.export import Export, Node
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import Names, slug
from flowrunner.nodered.outcome import Outcomes
from flowrunner.nodered.stubs import Stubs
from flowrunner.nodered.surroundings import resolved
from flowrunner.nodered.values import Constant, Kind, Uncertain, Value

if TYPE_CHECKING:
    from flowrunner.nodered.calls import Symbols

MOST_STEPS = 200
"""Nodes that one flow may pass, counting each way to a node: a net of wires has very many."""

DEEPEST = 12
"""Branches inside of branches; YAML of ours may be nested 64 deep."""

_NEVER_FAIL = {"let", "state", "delay", "window", "fork", "switch", "log"}
#: Nodes that hand messages on as they are.
_WIRES_ONLY = {"junction", "link in", "link out"}
#: Nodes behind which nothing comes, and which change nothing.
_ENDS = {"debug", "mqtt out", "file", "link out"}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where nodes stand that are used several times: an instance of a subflow, or a call of a link.

    `env` are the variables that are known there; `back` is where its output leads; `symbols` are variables that are
    names, in a flow that others call.
    """

    key: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)
    back: "Callable[[int], list[Target]] | None" = None
    depth: int = 0
    symbols: "Symbols | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A node that a wire leads to."""

    node: Node
    frame: Frame

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the same node in another frame."""
        return self.frame.key, self.node.id


@dataclass(slots=True)
class Flow:
    """A flow as it comes to be: what may still be spent, and the names that are used in it."""

    name: str
    tab: str
    tab_id: str
    stubs: Stubs
    is_heard: bool = True
    left: int = MOST_STEPS
    ids: Names = field(default_factory=Names)
    values: Names = field(default_factory=lambda: Names(mark="_"))
    is_shared: bool = False
    is_called: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Called:
    """A flow that others call: its steps, its constants, and of which kind the payload is behind them."""

    name: str
    tab_id: str
    steps: Steps
    defaults: Mapping[str, Any]
    read: AbstractSet[str]
    constants: Mapping[str, Any]
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A node on its way through the graph, and what it needs to be translated."""

    walk: "Walk"
    flow: Flow
    target: Target
    path: tuple[tuple[str, str], ...] = ()
    stop: tuple[str, str] | None = None
    arrived: "list[Known]" = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    depth: int = 0

    @property
    def node(self) -> Node:
        """The node, with the variables of its surroundings in its fields."""
        return self.target.node

    def on(self, port: int, known: Known) -> Steps:
        """The steps behind one of the outputs."""
        return self.walk.fan(self, self.walk.targets(self.target, port), known)

    def done(self, note: str = "") -> None:
        """Note that the node does what it did."""
        self.walk.outcomes.done(self.node, self.flow.name, note=note)

    def approximated(self, how: str) -> None:
        """Note that the node does nearly what it did."""
        self.walk.outcomes.approximated(self.node, how, self.flow.name)

    def not_done(self, why: str) -> None:
        """Note what is left to do."""
        self.walk.outcomes.not_done(self.node, why, self.flow.name)

    def deeper(self) -> "Way":
        """The same inside of a branch."""
        return replace(self, depth=self.depth + 1)

    def until(self, stop: tuple[str, str]) -> "Way":
        """The same up to a node, where it is noted what is known then."""
        return replace(self, stop=stop, arrived=[], levels=[], depth=self.depth + 1)

    def named(self, steps: Steps) -> Steps:
        """The steps, of which the first with options gets the name of the node."""
        found = "" if self.flow.is_called else slug(self.node.text("name"))
        for step in steps:
            if step.value is not None and not step.id and step.key not in ("let", "map", "decode") and found:
                step.id = self.flow.ids.take(found)
                break
        if steps and (info := self.node.text("info").strip()):
            steps[0].notes.insert(0, info)
        for step in steps:
            if step.key not in _NEVER_FAIL and not step.on_error:
                step.on_error = self.walk.handler(self.flow, self.node) or None
        return steps


Translate = Callable[[Way, Known], Steps]
#: What a value of a property reads, for expressions in nodes.
Read = Callable[[tuple[str | int, ...]], Value]


class Walk:
    """Goes through the nodes of an export."""

    def __init__(self, export: Export, outcomes: Outcomes, translators: Mapping[str, Translate]) -> None:
        self.export = export
        self.outcomes = outcomes
        self.translators = translators
        self.connections: Mapping[str, str] = {}
        self.variables: dict[str, str] = {}
        self.completes = [node for node in export.of_type("complete") if not node.is_disabled]
        self.called: dict[tuple[Any, ...], Called | None] = {}
        self.names = Names()
        self.catches = [node for node in export.of_type("catch") if not node.is_disabled]
        self.is_in_handler = False

    def targets(self, target: Target, port: int, seen: set[tuple[str, str]] | None = None) -> list[Target]:
        """The nodes behind an output, through everything that only hands on, each of which is passed once."""
        seen = set() if seen is None else seen
        found: list[Target] = []
        wires = target.node.wires[port] if port < len(target.node.wires) else ()
        for id in wires:
            found += self.arrive(id, target.frame, seen)
        subflow = self.export.subflows.get(target.node.tab)
        if subflow is not None and target.frame.back is not None:
            for number, output in enumerate(subflow.maps("out")):
                ends = [end for end in maps(output.get("wires")) if end.get("id") == target.node.id]
                if any(end.get("port", 0) == port for end in ends):
                    found += target.frame.back(number)
        if port == 0:
            for node in self.completes:
                if target.node.id in node.texts("scope") and ("complete", node.id) not in seen:
                    seen.add(("complete", node.id))
                    self.outcomes.done(node)
                    found += self.targets(Target(node, target.frame), 0, seen)
        return found

    def arrive(self, id: str, frame: Frame, seen: set[tuple[str, str]]) -> list[Target]:
        """The node that a wire leads to, or those behind it."""
        node = self.export.nodes.get(id)
        if node is None or node.type in ("tab", "subflow", "group"):
            return []
        if node.is_disabled:
            self.outcomes.done(node, note="was switched off: left out")
            return []
        arrived = Target(node, frame)
        if node.type not in _WIRES_ONLY:
            return [arrived]
        if arrived.key in seen:
            return []
        self.outcomes.done(node)
        seen.add(arrived.key)
        if node.type != "link out":
            return self.targets(arrived, 0, seen)
        if node.text("mode") == "return":
            return frame.back(0) if frame.back is not None else []
        linked = [self.export.nodes[link] for link in node.texts("links") if link in self.export.nodes]
        return [one for link in linked if link.type == "link in" for one in self.arrive(link.id, frame, seen)]

    def handler(self, flow: Flow, node: Node | None) -> Steps:
        """What the `catch` nodes do that watch a node, or with None those that watch all of the flow's tab."""
        if self.is_in_handler:
            return []
        steps: Steps = []
        for catch in self.catches:
            scope = catch.fields.get("scope")
            if (catch.tab != flow.tab_id) if node is None else (node.id not in catch.texts("scope")):
                continue
            if node is None and isinstance(scope, list):
                continue
            steps += self.handled(flow, catch)
        return steps

    def handled(self, flow: Flow, catch: Node) -> Steps:
        """The steps behind a `catch`."""
        self.is_in_handler = True
        try:
            known = Known(kind="bytes", raw="auto-detect" if flow.is_heard else "", is_in_error=True)
            steps = Way(self, flow, Target(catch, Frame())).on(0, known)
        finally:
            self.is_in_handler = False
        note = "the payload there is the one that arrived, and the message ends there"
        self.outcomes.approximated(catch, note, flow.name)
        return steps

    def entrances(self, subflow: Node, frame: Frame) -> list[Target]:
        """The nodes that the inputs of a subflow lead to."""
        found: list[Target] = []
        seen: set[tuple[str, str]] = set()
        for entrance in subflow.maps("in"):
            for wire in maps(entrance.get("wires")):
                if isinstance(wire.get("id"), str):
                    found += self.arrive(wire["id"], frame, seen)
        return found

    def fan(self, way: Way, targets: list[Target], known: Known) -> Steps:
        """The steps of all nodes that an output leads to: in a row where they change nothing, else in branches."""
        if len(targets) == 1:
            return self.enter(way, targets[0], known)
        steps: Steps = []
        if targets and known.raw and not all(self._is_end(target) for target in targets):
            settled, known = known.settled()
            steps += settled
        ends = [target for target in targets if self._is_end(target)]
        chains = [target for target in targets if not self._is_end(target)]
        for end in ends:
            steps += self.enter(way, end, known)
        branches = [self.enter(way.deeper() if len(chains) > 1 else way, chain, known) for chain in chains]
        branches = [branch for branch in branches if branch]
        if len(branches) > 1:
            return [*steps, Step("fork", branches)]
        return [*steps, *(branches[0] if branches else [])]

    def _is_end(self, target: Target) -> bool:
        return target.node.type in _ENDS and not self.targets(target, 0)

    def enter(self, way: Way, target: Target, known: Known) -> Steps:
        """The steps from a node on."""
        if target.key == way.stop:
            way.arrived.append(known)
            way.levels.append(way.depth)
            return []
        node = resolved(self.export, target.node, target.frame.env)
        inner = replace(way, target=Target(node, target.frame), path=(*way.path, target.key))
        word = f"{target.node.type} {target.node.name}".strip()
        if target.key in way.path:
            inner.not_done("the wire that leads back to it: flows have no loops, publish and subscribe instead")
            return [Step("stop", f"a wire leads back to {word}", notes=[f"to do: a wire leads back to {word}"])]
        way.flow.left -= 1
        if way.flow.left < 0 or way.depth > DEEPEST:
            inner.not_done("too many ways lead here for one flow")
            return [Step("stop", f"too many ways lead to {word}", notes=[f"to do: too many ways lead to {word}"])]
        return self.translate(inner, known)

    def translate(self, way: Way, known: Known) -> Steps:
        """The steps of a node and all that follows; what is not certain becomes a stub."""
        translator = self.translators.get(way.node.type) or self.translators[_family(way.node.type)]
        flow_state = way.flow.left
        try:
            return translator(way, known)
        except Uncertain as reason:
            way.flow.left = flow_state
            return self.translators["stub"](replace(way, walk=self), known.named("__why", Constant(str(reason))))


def _family(type: str) -> str:
    return "subflow" if type.startswith("subflow:") else "stub"


def maps(value: Any) -> list[Mapping[str, Any]]:
    """The maps of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def path_reader(known: Known) -> Read:
    """Reads properties as `msg.payload.x` or `payload.x`."""
    return lambda path: known.value(path[1:] if path[0] == "msg" and len(path) > 1 else path)


def reader_of(known: Known, text: str) -> Value:
    """The value of a property that is written as a text."""
    return known.value(read_path(text))
