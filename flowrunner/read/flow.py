"""Turns the nodes of a flow file into checked flows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowrunner.diagnostics import Diagnostic, has_errors, name_list, suggest
from flowrunner.expressions import Kind, Scope
from flowrunner.options import Place, options_of
from flowrunner.options.maps import read_what_can_be
from flowrunner.options.nested import Handling
from flowrunner.read.cases import Case
from flowrunner.read.document import read_document
from flowrunner.read.keys import FlowKeys
from flowrunner.read.loops import find_loops, find_silence
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.settings import Settings
from flowrunner.read.step_list import FlowContext
from flowrunner.read.words import FLOW_WORDS
from flowrunner.report import Refused, Report
from flowrunner.sources import AtStart, Every, Subscribe
from flowrunner.sources import Source as Trigger
from flowrunner.step import ANY_NAME, Check, Step
from flowrunner.text import Source, Span


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A flow that was read and checked without errors.

    `constants` are the `vars` of the settings and the flow; `env` is what it may read of the environment. `scope` is
    what is known before the first step, `errors_scope` inside of `on_error`, `scopes` before each step (by its id()).
    `files` are those it refers to: tables, schemas, Python files.
    """

    name: str
    source: Source
    span: Span
    description: str
    sources: tuple[Trigger, ...]
    steps: tuple[Step, ...]
    on_error: Handling
    is_enabled: bool
    tests: tuple[Case, ...]
    constants: Mapping[str, Any]
    env: Mapping[str, str]
    scope: Scope
    errors_scope: Scope
    scopes: Mapping[int, Scope] = field(repr=False)
    files: tuple[Path, ...] = ()


def read_flows(
    source: Source, *, name: str, folder: Path, settings: Settings, steps: Mapping[str, type[Step]]
) -> tuple[list[Flow], list[Diagnostic]]:
    """All flows of a file, without those that hold an error, and all that is wrong with it. Raises nothing.

    `name` is the flow's if the file is one flow; `folder` is where the files lie that it refers to.
    """
    report = Report()
    node, mistakes = read_document(source)
    report.extend(mistakes)
    reader = FlowReader(source, folder, settings, steps, report)
    found = list(reader.flows_in(node, name)) if node is not None else reader.nothing(mistakes)
    return [] if has_errors(mistakes) else found, report.diagnostics


class FlowReader:
    """Reads the flows of one file."""

    def __init__(
        self, source: Source, folder: Path, settings: Settings, steps: Mapping[str, type[Step]], report: Report
    ) -> None:
        self.source = source
        self.folder = folder
        self.settings = settings
        self.steps = steps
        self.report = report

    def nothing(self, mistakes: list[Diagnostic]) -> list[Flow]:
        """An empty file is a flow that somebody is about to write."""
        if not mistakes:
            help = "a flow has `subscribe:` and `steps:`; `flowrunner new NAME` writes a first one"
            self.report.say(
                "empty-file", "the file holds no flow", self.source.span(0, 0), helps=(help,), severity="warning"
            )
        return []

    def flows_in(self, node: Node, name: str) -> list[Flow]:
        """One flow, or those below `flows:`."""
        if not isinstance(node, Map):
            what = "this is a list" if isinstance(node, List) else "this is no map"
            help = "a flow has `subscribe:` and `steps:`, each at the beginning of a line"
            self.report.say(
                "wrong-value", "a flow file must be a map", node.span.first_line(), label=what, helps=(help,)
            )
            return []
        several = node.get("flows")
        if several is None:
            return [flow for flow in [self.flow(name, node)] if flow]
        for entry in node:
            if entry.key.text not in {"flows", "description"}:
                message = f"`{entry.key.text}` belongs into one of the flows below `flows`"
                self.report.say("unknown-key", message, entry.key.span)
        if not isinstance(several.value, Map):
            self.report.say("wrong-value", "`flows` must be a map from names to flows", several.key.span)
            return []
        found = [self.named(entry.key, entry.value) for entry in several.value]
        return [flow for flow in found if flow]

    def named(self, key: Scalar, node: Node) -> Flow | None:
        """One entry below `flows:`."""
        if isinstance(node, Map):
            return self.flow(key.text, node)
        self.report.say("wrong-value", f"`{key.text}` must be a flow", key.span, label="a map with `steps` is missing")
        return None

    def flow(self, name: str, node: Map) -> Flow | None:
        """One flow; None if it holds an error."""
        report = Report()
        try:
            flow = self.checked(name, node, report)
        except Refused:
            flow = None
        self.report.extend(report.diagnostics)
        return None if has_errors(report.diagnostics) else flow

    def checked(self, name: str, node: Map, report: Report) -> Flow:
        """Read the keys, then check every step with what is known where it stands."""
        context = FlowContext(report, self.folder, self.steps, self.settings.connections)
        keys, is_refused = read_what_can_be(
            FlowKeys, node, Place(context), lambda key: explain_flow_key(key, self.steps)
        )
        steps: tuple[Step, ...] = keys["steps"] or ()
        sources = sources_of(keys)
        constants = {**self.settings.vars, **(keys["vars"] or {})}
        scope, errors_scope = scopes_of(sources, constants, is_complete=not is_refused)
        continues = keys["on_error"].how == "continue"
        check = Check(report, errors_scope, self.settings.env, constants, continues=continues)
        for source in sources:
            check_source(source, check)
        check.steps(steps, scope)
        check.steps(keys["on_error"].steps, errors_scope)
        report.extend([*find_loops(sources, steps), *find_silence(sources, steps)])
        if is_refused:
            raise Refused
        self.check_sources(name, node, sources, report)
        rest = (constants, self.settings.env, scope, errors_scope, check.scopes, tuple(context.files))
        flow_keys = (keys["on_error"], keys["enabled"], keys["tests"])
        return Flow(name, self.source, node.span, keys["description"], sources, steps, *flow_keys, *rest)

    def check_sources(self, name: str, node: Map, sources: tuple[Trigger, ...], report: Report) -> None:
        """A flow needs a source."""
        if sources or node.get("at_start"):
            return
        help = "add `subscribe: some/topic`, `every: 5s` or `at_start: true`"
        first = node.entries[0].key.span if node.entries else node.span.first_line()
        report.say("missing-source", f"the flow `{name}` has no source: nothing runs it", first, helps=(help,))


def check_source(source: Trigger, check: Check) -> None:
    """What a source names must not be a constant."""
    if isinstance(source, Subscribe) and source.span:
        for name, _, _ in source.filter.captures:
            check.new_name(name, source.span)


def explain_flow_key(key: Scalar, steps: Mapping[str, type[Step]]) -> Diagnostic:
    """A word at the top of a flow that is no key of it."""
    word = key.text
    known = [option.name for option in options_of(FlowKeys)]
    message = f"a flow has no key `{word}`"
    if near := suggest(word, known):
        help = f"did you mean `{near}`?"
    elif word in steps:
        message, help = f"`{word}` is a step", f"put it into the list below `steps:`: `- {word}: ...`"
    elif ours := FLOW_WORDS.get(word):
        where = "" if ours in known else ", a step below `steps:`"
        help = f"flowrunner calls it `{ours}`{where}"
    else:
        help = f"a flow has {name_list(known)}"
    return Diagnostic("unknown-key", message, key.span, helps=(help,))


def sources_of(keys: Mapping[str, Any]) -> tuple[Trigger, ...]:
    """The sources in a fixed order; a handler's last argument counts them."""
    every: Every | None = keys["every"]
    at_start: AtStart | None = keys["at_start"]
    return (*keys["subscribe"], *([every] if every else []), *([at_start] if at_start else []))


def scopes_of(sources: tuple[Trigger, ...], constants: Mapping[str, Any], *, is_complete: bool) -> tuple[Scope, Scope]:
    """What is known before the first step, and inside of `on_error`; not complete, if a key of the flow was refused."""
    is_heard = {isinstance(source, Subscribe) for source in sources}
    payload: Kind = "any" if len(is_heard) != 1 else "bytes" if is_heard == {True} else "data"
    names: dict[str, Kind] = {"payload": payload, "topic": "text", "qos": "data", "retain": "data", "properties": "any"}
    names |= dict.fromkeys(constants, "data")
    names |= {"env": "data", "flow": "text"}
    captured = [
        {name for name, _, _ in source.filter.captures} if isinstance(source, Subscribe) else set[str]()
        for source in sources
    ]
    common = set.intersection(*captured) if captured else set[str]()
    names |= dict.fromkeys(sorted(common), "text")
    if not is_complete:
        names[ANY_NAME] = "any"
    missing = {
        name: f"not every source of this flow names the level `{name}`"
        for name in sorted(set[str]().union(*captured) - common)
    }
    return Scope(names, missing), Scope({**names, "error": "data"}, missing)
