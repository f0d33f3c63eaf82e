"""Turns the nodes of a flow file into checked flows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from flowrunner.diagnostics import Diagnostic, has_errors, name_list, suggest
from flowrunner.expressions import Scope
from flowrunner.lines import Queue
from flowrunner.options import Place, options_of
from flowrunner.options.maps import read_what_can_be
from flowrunner.options.nested import Handling
from flowrunner.read.calls import Calls, Entries, Entry, Index, Library, NoIndex, entries_of
from flowrunner.read.cases import Case, check_cases
from flowrunner.read.document import read_document
from flowrunner.read.flow_sources import check_source, scopes_of, sources_of
from flowrunner.read.keys import FlowKeys
from flowrunner.read.loops import find_loops, find_silence, same_ids
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.read.permission import Beginnings, find_forbidden
from flowrunner.read.settings import Settings
from flowrunner.read.step_list import FlowContext
from flowrunner.read.words import FLOW_WORDS, SETTINGS_WORDS
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.sources import Source as Trigger
from flowrunner.step import Check, Step
from flowrunner.text import Source, Span


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A flow that was read and checked without errors.

    `constants` are the `vars` of the settings and the flow; `env` is what it may read of the environment. `scope` is
    what is known before the first step, `errors_scope` inside of `on_error`, `scopes` before each step (by its id()).
    `publish_only` are beginnings of topics, each of which must allow what it publishes.
    `files` are those it refers to: tables, schemas, Python files. `calls` are the flows whose steps it takes, directly
    and through others. It `is_remote` if the settings want the memory of its steps in Redis.
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
    queue: Queue = Queue()
    calls: tuple[str, ...] = ()
    publish_only: tuple[Beginnings, ...] = ()
    is_remote: bool = False


@dataclass(frozen=True, slots=True)
class FlowFile:
    """What a file holds: flows without an error, the names of all its flows, and all that is wrong with it.

    `names` is None where nobody can know which flows are meant, as after a mistake in the syntax. `calls` are the flows
    that those of the file call, also those with mistakes. `without_source` are flows that only others can run, each
    with the mistake that this is if nobody does: see `never_called`.
    """

    flows: list[Flow]
    names: frozenset[str] | None
    diagnostics: list[Diagnostic]
    calls: frozenset[str] = frozenset()
    without_source: Mapping[str, Diagnostic] = field(default_factory=dict)


def read_flows(
    source: Source, *, name: str, folder: Path, settings: Settings, steps: Mapping[str, type[Step]]
) -> tuple[list[Flow], list[Diagnostic]]:
    """All flows of a file, without those that hold an error, and all that is wrong with it. Raises nothing.

    `name` is the flow's if the file is one flow; `folder` is where the files lie that it refers to.
    """
    file = read_flow_file(source, name=name, folder=folder, settings=settings, steps=steps)
    return file.flows, [*file.diagnostics, *never_called([file])]


def never_called(files: Iterable[FlowFile]) -> list[Diagnostic]:
    """The mistakes in flows without a source that no other flow calls; only all files together tell."""
    files = list(files)
    called = frozenset[str]().union(*(file.calls for file in files))
    return [found for file in files for name, found in file.without_source.items() if name not in called]


def read_flow_file(
    source: Source,
    *,
    name: str,
    folder: Path,
    settings: Settings,
    steps: Mapping[str, type[Step]],
    read: Callable[[Path], bytes] = Path.read_bytes,
    index: Index | None = None,
) -> FlowFile:
    """The same, with the names of all flows; `read` reads the files that the flows refer to.

    `index` knows the files of the flows that they may call.
    """
    report = Report()
    node, mistakes = read_document(source)
    report.extend(mistakes)
    library = Library(index or NoIndex(), read)
    reader = FlowReader(source, folder, settings, steps, report, library)
    found = list(reader.flows_in(node, name)) if node is not None else reader.nothing(mistakes)
    is_spoilt = has_errors(mistakes)
    names = frozenset(reader.names) if reader.names and not is_spoilt else None
    calls, without_source = frozenset(reader.calls), {} if is_spoilt else reader.without_source
    return FlowFile([] if is_spoilt else found, names, report.diagnostics, calls, without_source)


class FlowReader:
    """Reads the flows of one file."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        settings: Settings,
        steps: Mapping[str, type[Step]],
        report: Report,
        library: Library | None = None,
    ) -> None:
        self.source = source
        self.folder = folder
        self.settings = settings
        self.steps = steps
        self.report = report
        self.library = library or Library()
        self.entries: Entries = {}
        self.names: list[str] = []
        self.calls: set[str] = set()
        self.without_source: dict[str, Diagnostic] = {}

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
        self.entries = entries_of(node, name, self.source, self.folder)
        self.library.opened[self.source.name] = self.entries
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
        self.names.append(key.text)
        if isinstance(node, Map):
            return self.flow(key.text, node)
        self.report.say("wrong-value", f"`{key.text}` must be a flow", key.span, label="a map with `steps` is missing")
        return None

    def flow(self, name: str, node: Map) -> Flow | None:
        """One flow; None if it holds an error."""
        report = Report()
        self.names.append(name)
        calls = Calls((name,), self.entries, self.library, self.called)
        try:
            flow = self.checked(name, node, report, calls)
        except Refused:
            flow = None
        self.calls.update(calls.names)
        self.report.extend(report.diagnostics)
        return None if has_errors(report.diagnostics) else flow

    def called(self, entry: Entry, report: Report, calls: Calls) -> Flow:
        """A flow that another one calls, as if it stood for itself."""
        reader = FlowReader(entry.source, entry.folder, self.settings, self.steps, report, self.library)
        return reader.checked(entry.name, entry.node, report, calls)

    def checked(self, name: str, node: Map, report: Report, calls: Calls) -> Flow:
        """Read the keys, then check every step with what is known where it stands."""
        context = FlowContext(
            report,
            self.folder,
            self.steps,
            self.settings.connections,
            self.settings.allow,
            self.library.read,
            calls,
        )
        keys, is_refused = read_what_can_be(
            FlowKeys, node, Place(context), lambda key: explain_flow_key(key, self.steps)
        )
        steps: tuple[Step, ...] = keys["steps"] or ()
        sources = sources_of(keys)
        constants = {**self.settings.vars, **(keys["vars"] or {})}
        is_complete = not is_refused and bool(sources)  # what a flow gets that others call, only they know
        scope, errors_scope = scopes_of(sources, constants, is_complete=is_complete)
        continues = keys["on_error"].how == "continue"
        check = Check(report, errors_scope, self.settings.env, constants, continues=continues)
        for source in sources:
            check_source(source, check)
        check.steps(steps, scope)
        check.steps(keys["on_error"].steps, errors_scope)
        permissions = tuple(one for one in (self.settings.publish_only, keys["publish_only"]) if one is not None)
        report.extend(list(find_forbidden([*steps, *keys["on_error"].steps], permissions)))
        report.extend([*find_loops(sources, steps), *find_silence(sources, steps), *same_ids(steps)])
        if is_refused or calls.is_broken:
            raise Refused
        check_cases(keys["tests"], [*steps, *keys["on_error"].steps], constants, report)
        if calls.chain == (name,):
            self.check_sources(name, node, sources, keys["tests"], report)
        return Flow(
            name,
            self.source,
            node.span,
            keys["description"],
            sources,
            steps,
            keys["on_error"],
            keys["enabled"],
            keys["tests"],
            constants,
            self.settings.env,
            scope,
            errors_scope,
            check.scopes,
            (*context.files, *calls.files),
            keys["queue"],
            tuple(dict.fromkeys(calls.names)),
            permissions,
            self.settings.state is not None,
        )

    def check_sources(
        self, name: str, node: Map, sources: tuple[Trigger, ...], tests: tuple[Case, ...], report: Report
    ) -> None:
        """A flow needs a source, or others that call it. Raises Refused for one that cannot run by itself."""
        if sources or node.get("at_start"):
            return
        help = "add `subscribe: some/topic`, `every: 5s`, `cron: 0 7 * * *` or `at_start: true`"
        first = node.entries[0].key.span if node.entries else node.span.first_line()
        if tests:
            message, helps = "a flow without a source has no tests", ("put them into a flow that calls it",)
            report.say("missing-source", message, tests[0].span.first_line(), label="nothing can come in", helps=helps)
        message = f"the flow `{name}` has no source: nothing runs it"
        self.without_source[name] = Diagnostic("missing-source", message, first, helps=(help, _CALL_HELP))
        raise Refused


_CALL_HELP = "or let another flow call it: `- call: NAME`"


def explain_flow_key(key: Scalar, steps: Mapping[str, type[Step]]) -> Diagnostic:
    """A word at the top of a flow that is no key of it."""
    word = key.text
    known = [option.name for option in options_of(FlowKeys)]
    message = f"a flow has no key `{word}`"
    if Path(key.span.source.name).name == "flowrunner.yml":
        help = "settings are read from `flowrunner.yaml`: rename the file"
    elif word in SETTINGS_WORDS:
        what = f"`{word}:` stands" if word in ("connections", "group") else "the broker is set"
        example = "" if word == "group" else ", such as `connections: {default: mqtt://localhost}`"
        help = f"{what} in `flowrunner.yaml`, in the folder of the flows{example}"
    elif near := suggest(word, known):
        help = f"did you mean `{near}`?"
    elif word in steps:
        message, help = f"`{word}` is a step", f"put it into the list below `steps:`: `- {word}: ...`"
    elif ours := FLOW_WORDS.get(word):
        where = "" if ours in known else ", a step below `steps:`"
        help = f"flowrunner calls it `{ours}`{where}"
    else:
        help = f"a flow has {name_list(known)}"
    return Diagnostic("unknown-key", message, key.span, helps=(help,))
