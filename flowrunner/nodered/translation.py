"""Turns an export of Node-RED into the files of a folder of flows, and tells what became of each node."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic
from flowrunner.nodered.calls import calls_in
from flowrunner.nodered.export import Export, Node, read_export
from flowrunner.nodered.files import Made, TabFile
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import Names, slug
from flowrunner.nodered.nodes import TRANSLATORS
from flowrunner.nodered.outcome import Outcome, Outcomes
from flowrunner.nodered.settings import Connections, read_connections
from flowrunner.nodered.sources import (
    Origin,
    find_origins,
    heard,
    injected,
    leftovers,
    name_of,
    subscription,
    ticks,
    wait_at_start,
)
from flowrunner.nodered.stubs import Stubs
from flowrunner.nodered.surroundings import resolved
from flowrunner.nodered.values import Uncertain
from flowrunner.nodered.walk import Called, Flow, Target, Walk, Way
from flowrunner.read.flow import read_flow_file
from flowrunner.read.settings import Settings
from flowrunner.steps import all_steps
from flowrunner.text import Source

SETTINGS = "flowrunner.yaml"
_MOST_FLOWS = 2000


@dataclass(frozen=True, slots=True)
class Translation:
    """What is to be written, by name, and what became of every node, with the name of its tab.

    `broken` are flows that were left out because they would not pass `check`; there should be none.
    """

    files: Mapping[str, str]
    rows: tuple[tuple[Node, str, Outcome], ...]
    broken: Mapping[str, tuple[Diagnostic, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes are done, approximated, not done."""
        counted = Counter(outcome.result for _, _, outcome in self.rows)
        return {result: counted[result] for result in ("done", "approximated", "not done")}


def translate(text: str) -> Translation:
    """Translate an export. Raises BadExport for a text that is none."""
    return _Translator(read_export(text)).run()


class _Translator:
    def __init__(self, export: Export) -> None:
        self.export = export
        self.outcomes = Outcomes()
        self.walk = Walk(export, self.outcomes, TRANSLATORS)
        self.connections: Connections = read_connections(export, self.outcomes)
        self.walk.connections = self.connections.names
        self.names = self.walk.names = Names(frozenset({"flowrunner"}))
        self.files: dict[str, TabFile] = {}
        self.broken: dict[str, tuple[Diagnostic, ...]] = {}
        self.made = 0

    def run(self) -> Translation:
        """All flows, then the nodes that no message reaches."""
        for tab in self.export.tabs:
            stem = self.names.take(slug(tab.name, "flow"))
            self.files[tab.id] = TabFile(tab, stem, Stubs(f"{stem.replace('-', '_')}.py", f"From Node-RED: {tab.name}"))
        origins = find_origins(self.walk)
        counts = Counter(origin.tab.id for origin in origins)
        for origin in origins:
            self.add(origin, is_alone=counts[origin.tab.id] == 1)
        for origin in leftovers(self.walk, self.export):
            if not self.outcomes.has(origin.node):
                self.add(origin, is_alone=False)
        self.add_called()
        self.note_the_rest()
        return Translation(dict(self.written()), tuple(self.outcomes.rows(self.export)), self.broken)

    def add(self, origin: Origin, *, is_alone: bool) -> None:
        """Translate one flow and put it into its file."""
        self.made += 1
        file = self.files[origin.tab.id]
        is_first = is_alone and not file.flows
        name = file.stem if is_first else self.names.take(name_of(origin))
        flow = Flow(name, origin.tab.name, origin.tab.id, file.stubs, is_shared=not is_alone)
        flow.is_heard = origin.is_pseudo or origin.node.type == "mqtt in"
        if self.made > _MOST_FLOWS:
            self.outcomes.not_done(origin.node, "too many flows for one import")
            return
        try:
            made = self.flow_of(origin, flow)
        except Uncertain as reason:
            for target in origin.targets:
                self.outcomes.not_done(target.node, str(reason))
            return
        if made is None:
            return
        made.is_enabled = made.is_enabled and not origin.tab.is_disabled
        made.on_error = [*self.walk.handler(flow, None), *self.late_handlers(flow)]
        if mistakes := self.mistakes_in(made, file):
            self.broken[name] = mistakes
            self.outcomes.not_done(origin.node, f"the flow would not run: {mistakes[0].message}", name)
            return
        file.flows.append(made)

    def late_handlers(self, flow: Flow) -> Steps:
        """What `catch` does for some nodes of the flow, where none of their steps took it."""
        steps: Steps = []
        for catch in self.walk.catches:
            watched = [self.outcomes.found.get(id) for id in catch.texts("scope")]
            if not self.outcomes.has(catch) and any(one is not None and flow.name in one.flows for one in watched):
                steps += self.walk.handled(flow, catch)
                self.outcomes.approximated(catch, "does so whatever fails in the flow", flow.name)
        return steps

    def called_by(self, made: Made) -> list[Made]:
        """The flows that a flow calls."""
        wanted = set(calls_in([*made.steps, *made.on_error]))
        return [made_of(called) for called in self.walk.called.values() if called and called.name in wanted]

    def add_called(self) -> None:
        """Put the flows that are called behind those of the tab in which they were called first."""
        flows = [flow for file in self.files.values() for flow in file.flows]
        wanted = {name for flow in flows for name in calls_in([*flow.steps, *flow.on_error])}
        for called in self.walk.called.values():
            if called is not None and called.name in wanted:
                self.files[called.tab_id].flows.append(made_of(called))

    def flow_of(self, origin: Origin, flow: Flow) -> Made | None:
        """The flow of an origin; None where nothing is wired to it."""
        target = origin.targets[0]
        way = Way(self.walk, flow, Target(resolved(self.export, target.node, target.frame.env), target.frame))
        if origin.is_pseudo:
            return self.pseudo_flow(origin, flow, way)
        if not self.walk.targets(way.target, 0):
            for target in origin.targets:
                self.outcomes.not_done(target.node, "no wire leads on from it")
            return None
        if way.node.type == "inject":
            sources = ticks(way)
            steps, known = injected(way)
            steps = [*wait_at_start(way.node, sources), *steps]
        else:
            sources = {"subscribe": self.subscriptions(origin)}
            steps, known = [], heard(self.walk, origin)
        steps += way.on(0, known)
        if not steps:
            steps = [Step("stop")]
        for target in origin.targets:
            self.outcomes.done(target.node, flow.name)
            if known.raw == "auto-detect" and known.wants_fields:
                note = "what is not JSON is an error here, and a text in Node-RED"
                self.outcomes.approximated(target.node, note, flow.name)
        remarks = [text for target in origin.targets if (text := target.node.text("info").strip())]
        return Made(flow.name, sources, steps, remarks=remarks)

    def subscriptions(self, origin: Origin) -> Any:
        """What stands behind `subscribe`: one entry, or a list of them."""
        found: list[Any] = []
        for target in origin.targets:
            entry = subscription(self.walk, resolved(self.export, target.node, target.frame.env))
            if entry not in found:
                found.append(entry)
        return found[0] if len(found) == 1 else found

    def pseudo_flow(self, origin: Origin, flow: Flow, way: Way) -> Made | None:
        """A flow, switched off, for nodes that no message reaches, or whose messages come from elsewhere."""
        node = origin.node
        topic = f"to-do/{flow.name}"
        known = Known(kind="bytes", raw="auto-detect", wants_fields=False)
        is_entrance = bool(self.walk.targets(way.target, 0)) and node.type not in TRANSLATORS and ":" not in node.type
        if is_entrance and not any(node.id in port for one in self.export.nodes.values() for port in one.wires):
            steps: Steps = way.on(0, known)
            self.outcomes.not_done(node, f"there is no source for `{node.type}`: its flow is switched off", flow.name)
            remark = f"to do: in Node-RED messages come from {node.type} {node.name}".strip()
        else:
            steps = self.walk.enter(way, origin.targets[0], known)
            is_wired = any(node.id in port for one in self.export.nodes.values() for port in one.wires)
            why = "what leads to it is not translated" if is_wired else "no message reaches it"
            if steps:
                self.outcomes.approximated(node, f"{why}: its flow is switched off", flow.name)
            remark = f"to do: {why}" if is_wired else "in Node-RED no message reaches these nodes"
        if not steps:
            return None
        return Made(flow.name, {"subscribe": topic}, steps, is_enabled=False, remarks=[remark])

    def mistakes_in(self, made: Made, file: TabFile) -> tuple[Diagnostic, ...]:
        """What `check` says against a flow."""
        names = self.connections.entries or {"default": ""}
        connections = {name: ConnectionSettings(name=name) for name in {*names, "default"}}
        variables = dict.fromkeys(self.walk.variables.values(), "")
        settings = Settings(connections=connections, vars=variables, allow=None)
        content = file.stubs.text.encode()
        source = Source(f"{made.name}.yaml", made.text(self.called_by(made)))

        def read(path: Path) -> bytes:
            if path.name != file.stubs.file:
                raise FileNotFoundError(path)
            return content

        found = read_flow_file(source, name=made.name, folder=Path(), settings=settings, steps=all_steps(), read=read)
        return tuple(one for one in found.diagnostics if one.severity == "error")

    def note_the_rest(self) -> None:
        """Say something of nodes that are no steps."""
        for node in self.export.nodes.values():
            if self.outcomes.has(node):
                continue
            if node.type in ("tab", "group", "comment", "global-config", "junction"):
                self.outcomes.done(node)
            elif node.is_disabled:
                self.outcomes.done(node, note="was switched off: left out")
            elif node.type == "subflow":
                self.outcomes.not_done(node, "the subflow is not used")
            elif node.type == "status":
                self.outcomes.not_done(node, "nodes have no status here")
            elif "wires" not in node.fields and "x" not in node.fields:
                self.outcomes.not_done(node, "its settings are not needed here, or not known")
            elif node.tab in self.export.subflows:
                self.outcomes.not_done(node, "its subflow is not used, or nothing leads to it")
            else:
                self.outcomes.not_done(node, "nothing leads to it")

    def written(self) -> Iterator[tuple[str, str]]:
        """The files by name."""
        if settings := self.connections.text(self.walk.variables):
            yield SETTINGS, settings
        for file in self.files.values():
            if file.flows:
                yield f"{file.stem}.yaml", file.text(self.export)
                if file.stubs.bodies:
                    yield file.stubs.file, file.stubs.text


def made_of(called: Called) -> Made:
    """A flow that others call, as it is written."""
    return Made(called.name, {}, called.steps, remarks=["a subflow"], constants=called.constants)
