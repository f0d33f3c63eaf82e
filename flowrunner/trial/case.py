"""Turns a case of `tests:` into what its flow does with it, and says whether that is what is expected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from flowrunner.compile import Program, compile_flow
from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.errors import FlowError
from flowrunner.read.cases import After, Case, Expected, Given
from flowrunner.read.flow import Flow
from flowrunner.read.mocks import Mock
from flowrunner.run.aside import same_chance
from flowrunner.text import Span
from flowrunner.trial.answers import without_world
from flowrunner.trial.beside import Beside
from flowrunner.trial.compare import Pair, differences, line_up
from flowrunner.trial.host import Noticing, Published, TooMuch, TrialHost


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a flow did: what it published, the errors of its steps, what it logged, and topics that it does not hear.

    `rest` is in how many seconds the next timer of a step would have rung, None if none was set or the flow ticks.
    """

    published: tuple[Published, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    logged: tuple[tuple[str, str], ...] = ()
    unheard: tuple[str, ...] = ()
    rest: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case. `failure` says what is not as expected, None if all is; `pairs` are the messages."""

    case: Case
    flow: Flow
    outcome: Outcome
    failure: Diagnostic | None = None
    pairs: tuple[Pair, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def is_passed(self) -> bool:
        """Whether all is as expected."""
        return self.failure is None


def run_given(
    program: Program,
    given: Sequence[Given | After],
    beside: Beside,
    *,
    mocks: Sequence[Mock] = (),
    constants: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    notice: Noticing | None = None,
) -> Outcome:
    """What a flow does with messages while time passes in between; it begins with an empty memory.

    Raises FlowError where the flow cannot begin, and TooMuch where it would not end.
    """
    if constants or env:
        program = with_values(program, constants or {}, env or {})
    with same_chance():
        host = TrialHost(without_world(program, mocks), beside, notice)
        try:
            host.begin()
            beside.settle()
            for one in given:
                if isinstance(one, After):
                    host.clock.advance(one.seconds)
                else:
                    host.arrive(one.topic, one.payload, one.qos, retain=one.retain, properties=one.properties)
        finally:
            host.close()
    rest = None if host.ticks else host.clock.rest
    return Outcome(tuple(host.published), tuple(host.errors), tuple(host.logged), tuple(host.unheard), rest)


def with_values(program: Program, constants: Mapping[str, Any], env: Mapping[str, str]) -> Program:
    """The program with other constants and another environment."""
    flow = program.flow
    flow = replace(flow, constants={**flow.constants, **constants}, env={**flow.env, **env})
    # what a called flow knows under the same name is written into the code
    return compile_flow(flow) if constants and flow.calls else replace(program, flow=flow)


def run_case(program: Program, case: Case, beside: Beside, *, notice: Noticing | None = None) -> Result:
    """Run a case. Raises nothing that a flow or a test could be the reason for."""
    begin = perf_counter()
    values: dict[str, Any] = {"mocks": case.mocks, "constants": case.vars, "env": case.env, "notice": notice}
    try:
        outcome = run_given(program, case.given, beside, **values)
    except FlowError as error:
        outcome = Outcome(errors=error.diagnostics)
        failure: Diagnostic | None = fail(case, "the flow cannot begin", case.span.first_line())
        pairs: tuple[Pair, ...] = ()
    except TooMuch as error:
        outcome, pairs = Outcome(), ()
        failure = fail(case, str(error), case.span.first_line())
    else:
        pairs = tuple(line_up(case.expect, outcome.published))
        failure = judge(case, pairs)
        if any(error.code == "missing-mock" for error in outcome.errors):
            failure = fail(case, "a step would have touched the world", case.span.first_line(), "a mock is missing")
    return Result(case, program.flow, outcome, failure, pairs, perf_counter() - begin)


def judge(case: Case, pairs: Sequence[Pair]) -> Diagnostic | None:
    """The first thing that is not as expected, at its place in the file; None if there is none."""
    number = 0
    for pair in pairs:
        number += pair.expected is not None
        if pair.is_same:
            continue
        if pair.expected is None:
            assert pair.got is not None
            count = len(case.expect)
            message = f"a message came that is not expected: {_shown(pair.got)}"
            return fail(case, message, case.expect_span, "nothing else" if count else "nothing at all")
        which = f"message {number} of {len(case.expect)}" if len(case.expect) > 1 else "the message"
        span = pair.expected.span.first_line()
        if pair.got is None:
            return fail(case, f"{which} did not come", span)
        return fail(case, f"{which} is not as expected", span, _first_difference(pair.expected, pair.got))
    return None


def fail(case: Case, message: str, span: Span, label: str = "") -> Diagnostic:
    """The frame of a test that failed."""
    head = case.span.first_line()
    labels = (Label(head, "in this test"),) if head.line != span.line else ()
    return Diagnostic("test-failed", message, span, label, labels)


def _first_difference(expected: Expected, got: Published) -> str:
    return next(differences(expected, got), "")


def _shown(got: Published) -> str:
    return f"`{got.topic}`" if len(got.topic) <= 30 else f"`{got.topic[:29]}…`"
