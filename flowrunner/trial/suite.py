"""Turns the flows and test files that were read into tests, and runs those that are wanted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowrunner.compile import Program, compile_flow
from flowrunner.errors import FlowError
from flowrunner.read.cases import Case
from flowrunner.read.flow import Flow
from flowrunner.read.load import Loaded
from flowrunner.step import walk
from flowrunner.trial.beside import Beside
from flowrunner.trial.case import Outcome, Result, fail, run_case
from flowrunner.trial.coverage import Coverage, compile_watched


@dataclass(frozen=True, slots=True, eq=False)
class FlowTest:
    """A case and the flow that it is for. `files` are those on which it depends, its own first."""

    flow: Flow
    case: Case
    files: tuple[Path, ...] = ()

    @property
    def file(self) -> str:
        """The file in which the case stands, as people write it."""
        return self.case.span.source.name

    @property
    def name(self) -> str:
        """What `-k` looks at: the file, the flow, and the name of the case."""
        return f"{self.file} {self.flow.name} {self.case.title}"


def all_tests(loaded: Loaded) -> list[FlowTest]:
    """Every test there is, in the order of the files."""
    found = [FlowTest(flow, case, tuple(files_of(flow))) for flow in loaded.flows for case in flow.tests]
    found += [
        FlowTest(tested.flow, case, (tested.path, *files_of(tested.flow)))
        for tested in loaded.tests
        for case in tested.cases
    ]
    order = {file: number for number, file in enumerate(sorted({test.file for test in found}))}
    return sorted(found, key=lambda test: order[test.file])


def files_of(flow: Flow) -> Iterator[Path]:
    """The files of a flow: its own, those of the flows that it calls, and those that any of them refers to."""
    steps = walk([*flow.steps, *flow.on_error.steps])
    yield from map(Path, dict.fromkeys([flow.source.name, *(step.at.span.source.name for step in steps)]))
    yield from flow.files


@dataclass(slots=True)
class Suite:
    """Runs tests, each flow compiled once. With `coverage` it learns what they reach."""

    coverage: Coverage | None = None
    programs: dict[int, tuple[Flow, Program | FlowError]] = field(default_factory=dict)

    def run(self, tests: Iterable[FlowTest], *, told: Callable[[FlowTest, Result], bool]) -> list[Result]:
        """Run tests one after the other; `told` gets each result, and says whether to go on."""
        results: list[Result] = []
        with Beside() as beside:
            for test in tests:
                result = self.run_one(test, beside)
                results.append(result)
                if not told(test, result):
                    break
        return results

    def run_one(self, test: FlowTest, beside: Beside) -> Result:
        """Run one test."""
        program = self.program(test.flow)
        if isinstance(program, FlowError):
            failure = fail(test.case, "the flow cannot be compiled", test.case.span.first_line())
            return Result(test.case, test.flow, Outcome(errors=program.diagnostics), failure)
        return run_case(program, test.case, beside, notice=self.coverage)

    def program(self, flow: Flow) -> Program | FlowError:
        """The flow as it was compiled, or why it cannot be."""
        if id(flow) not in self.programs:
            try:
                compiled = compile_watched(flow, self.coverage) if self.coverage else compile_flow(flow)
                self.programs[id(flow)] = flow, compiled
            except FlowError as error:
                self.programs[id(flow)] = flow, error
        return self.programs[id(flow)][1]


def flows_in(loaded: Loaded) -> Iterator[Flow]:
    """The flows that were read, and those that are only named by a file of tests."""
    yield from loaded.flows
    known = {id(flow) for flow in loaded.flows}
    for tested in loaded.tests:
        if id(tested.flow) not in known:
            known.add(id(tested.flow))
            yield tested.flow


def failed(results: Sequence[Result]) -> list[Result]:
    """Those that are not as expected."""
    return [result for result in results if not result.is_passed]
