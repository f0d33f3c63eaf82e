"""Turns `*.test.yaml` files into cases for the flows that they name."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from flowrunner.diagnostics import Diagnostic, has_errors, name_list, suggest
from flowrunner.options import Kind, Place, Text, option
from flowrunner.options.maps import nothing_more, read_options
from flowrunner.read.cases import Case, TestCases, check_cases
from flowrunner.read.document import read_document
from flowrunner.read.flow import Flow, FlowFile
from flowrunner.read.nodes import Map, Node, Scalar
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.text import Source, Span

TEST_ENDINGS = (".test.yaml", ".test.yml")


@dataclass(frozen=True, slots=True)
class Target:
    """The flow that is tested: `other.yaml`, `other.yaml#name`, or a name alone."""

    file: str
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class TargetKind(Kind[Target]):
    """The name of a flow, or its file beside the file of tests, with `#name` where that holds several flows."""

    phrase: str = "the name of a flow, or a file such as `overheat.yaml` or `units.yaml#to_celsius`"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

    def read(self, node: Node, place: Place) -> Target:
        text = Text(self.phrase).read(node, place)
        file, hash, name = text.partition("#")
        if not hash and not file.endswith((".yaml", ".yml")):
            file, name = "", text
        if not (file or name) or "\0" in text or (hash and not (file and name)):
            raise place.refuse(node, self.phrase)
        return Target(file, name, node.span)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFileKeys:
    """The keys of a file of tests."""

    __test__: ClassVar[bool] = False  # pytest collects what begins with `Test`
    flow: Target = option(TargetKind(), "the flow that is tested: its name, or `FILE` or `FILE#NAME` beside this file")
    description: str = option(Text(), "what the tests are for, in a sentence", default="")
    tests: tuple[Case, ...] = option(TestCases(), "what must come out for what comes in")


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """A flow, and the cases that a file of tests has for it."""

    flow: Flow
    cases: tuple[Case, ...]
    source: Source
    path: Path


class _Context:
    """What reading the keys asks for: a file of tests holds no steps and names no other files."""

    def __init__(self, report: Report, folder: Path) -> None:
        self.report = report
        self.folder = folder
        self.connections: Collection[str] = ()
        self.allow: frozenset[str] | None = None

    def read_steps(self, node: Node, place: Place) -> tuple[Any, ...]:
        """See `flowrunner.options.Context`."""
        raise place.refuse(node, "no list of steps")

    def read_called(self, name: Scalar) -> Any:
        """See `flowrunner.options.Context`."""
        raise self.report.refuse(Diagnostic("wrong-value", "a file of tests calls no flow", name.span))

    def read_file(self, path: str, span: Span) -> bytes:
        """See `flowrunner.options.Context`."""
        raise self.report.refuse(Diagnostic("wrong-value", "a file of tests refers to no other files", span))

    def is_file(self, path: Path) -> bool:
        """See `flowrunner.options.Context`."""
        return False


def is_test_file(path: Path | str) -> bool:
    """Whether a file holds tests and no flows, by its name."""
    return str(path).endswith(TEST_ENDINGS)


class TestFiles:
    """Reads files of tests.

    `flows` are those known by name, `broken` names of those with mistakes, `silent` of those without a source; `open`
    reads a flow file (None: it cannot be read).
    """

    __test__ = False  # pytest collects what begins with `Test`

    def __init__(
        self,
        flows: Mapping[str, Flow],
        open: Callable[[Path], FlowFile | None],
        *,
        broken: Collection[str] = (),
        silent: Collection[str] = (),
    ) -> None:
        self.flows = flows
        self.broken = broken
        self.silent = silent
        self.open = open
        self.report = Report()

    def read(self, source: Source, path: Path) -> Tested | None:
        """The cases of a file; None if there is a mistake, which is reported, or its flow holds one."""
        node, mistakes = read_document(source)
        self.report.extend(mistakes)
        if node is None or has_errors(mistakes):
            return None
        try:
            keys = self.keys(node, path)
            flow = self.flow(keys["flow"], path.parent)
        except Refused:
            return None
        if flow is None:
            return None
        before = len(self.report.diagnostics)
        check_cases(keys["tests"], [*flow.steps, *flow.on_error.steps], flow.constants, self.report)
        return None if len(self.report.diagnostics) > before else Tested(flow, keys["tests"], source, path)

    def keys(self, node: Node, path: Path) -> dict[str, Any]:
        """The keys of a file. Raises Refused."""
        if not isinstance(node, Map):
            help = "it has `flow:`, which names the flow, and `tests:`"
            message = "a file of tests must be a map"
            raise self.report.refuse(Diagnostic("wrong-value", message, node.span.first_line(), helps=(help,)))
        report = Report()
        place = Place(_Context(report, path.parent), "", "a file of tests", None)
        try:
            keys = read_options(TestFileKeys, node, place, nothing_more)
        finally:
            self.report.extend(report.diagnostics)
        if has_errors(report.diagnostics):
            raise Refused
        return keys

    def flow(self, target: Target, folder: Path) -> Flow | None:
        """The flow that is meant; None if it holds a mistake, which is reported elsewhere. Raises Refused."""
        if target.file:
            return self.in_file(target, folder / target.file)
        if target.name in self.silent:
            raise self.without_source(target)
        if target.name in self.flows or target.name in self.broken:
            return self.flows.get(target.name)
        for ending in (".yaml", ".yml"):
            if (path := folder / f"{target.name}{ending}").is_file():
                return self.in_file(target, path)
        raise self.unknown(target, [*self.flows, *self.broken], "")

    def in_file(self, target: Target, path: Path) -> Flow | None:
        """The same for one in a certain file."""
        if not path.is_file():
            others = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
            near = suggest(path.name, others)
            help = f"did you mean `{near}`?" if near else "the path is relative to the file of tests"
            message = f"there is no file `{target.file}`"
            raise self.report.refuse(Diagnostic("missing-file", message, target.span, helps=(help,)))
        found = self.open(path)
        if found is None or found.names is None:
            return None
        flows = {flow.name: flow for flow in found.flows}
        names = sorted(found.names)
        name = target.name or (names[0] if len(names) == 1 else "")
        if name in found.without_source:
            raise self.without_source(target)
        if target.name:
            if target.name not in names:
                raise self.unknown(target, names, f" in `{target.file or path.name}`")
            return flows.get(target.name)
        if len(names) > 1:
            help = f"write `{target.file}#{names[0]}`; it holds {name_list(names)}"
            message = f"`{target.file}` holds several flows"
            raise self.report.refuse(Diagnostic("unknown-flow", message, target.span, helps=(help,)))
        return flows.get(names[0]) if names else None

    def without_source(self, target: Target) -> Refused:
        """Report that nothing can come into the flow."""
        message, help = "a flow without a source has no tests", "test a flow that calls it"
        return self.report.refuse(Diagnostic("missing-source", message, target.span, helps=(help,)))

    def unknown(self, target: Target, names: Collection[str], where: str) -> Refused:
        """Report that there is no such flow."""
        near = suggest(target.name, names)
        help = f"did you mean `{near}`?" if near else f"there are {name_list(sorted(names))}" if names else ""
        message = f"there is no flow `{target.name}`{where}"
        return self.report.refuse(Diagnostic("unknown-flow", message, target.span, helps=(help,) if help else ()))
