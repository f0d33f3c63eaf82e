"""Turns the mocks of a test into what stands in the place of steps that would ask or change the world outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flowrunner.clock import Timer
from flowrunner.code import Host
from flowrunner.compile import Program
from flowrunner.compile.function import name_steps
from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.lines import Line, Turn
from flowrunner.outside.files import Files, Rotation
from flowrunner.outside.http_failures import unwanted
from flowrunner.outside.requests import Limits, Request
from flowrunner.read.mocks import Answer, Mock, answers_of
from flowrunner.step import Step
from flowrunner.steps.write import Appender, Write
from flowrunner.waiting import UNCHANGED, Outcome, WaitingStep, WaitingWorker

if TYPE_CHECKING:
    import httpx

#: What goes wrong where a step of this kind fails, as `error.code` tells it.
_CODES = {
    "http": "http-failed",
    "exec": "program-failed",
    "python": "python-failed",
    "sqlite": "database-failed",
    "write": "not-written",
}


class Script:
    """The answers for the steps of one name, in turn."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._given = 0

    def next(self, step: Step) -> Answer:
        """The answer for this time. Raises StepError when there is none left."""
        answers = self._mock.answers
        if not self._mock.is_in_turn:
            return answers[0]
        if self._given >= len(answers):
            count = f"{len(answers)} answer{'' if len(answers) == 1 else 's'}"
            message = f"the mock of `{_name(step)}` has {count}, and this asks for one more"
            raise StepError(message, code="missing-mock", help="give a map instead of a list for the same every time")
        self._given += 1
        return answers[self._given - 1]


def without_world(program: Program, mocks: Sequence[Mock]) -> Program:
    """The program with answers in the place of the work of its steps; a step without a mock fails if it is outside."""
    scripts = {mock.name: Script(mock) for mock in mocks}

    def script_of(step: Step) -> Script | None:
        mock = answers_of(mocks, step)
        return None if mock is None else scripts[mock.name]

    bound: dict[str, Callable[[Host], object]] = {}
    for name, waiting in program.waits.steps.items():
        script = script_of(waiting)
        if script is not None or waiting.IS_OUTSIDE:
            bound[name] = _worker(waiting, script, program)
    for name, make in program.bound.items():
        step = getattr(make, "__self__", None)
        if isinstance(step, Write):
            bound[name] = _appender(step, script_of(step))
    return replace(program, bound={**program.bound, **bound}) if bound else program


def _worker(step: WaitingStep, script: Script | None, program: Program) -> Callable[[Host], object]:
    def make(host: Host) -> WaitingWorker:
        worker = _Answers(host, step, script)
        worker.line, worker.place = Line(), name_steps(program.flow)[id(step)]
        return worker

    return make


def _appender(step: Write, script: Script | None) -> Callable[[Host], object]:
    return lambda host: Appender(step, host, cast("Files", _NoFiles(step, script, host)))


def _name(step: Step) -> str:
    return step.at.id or step.KEY


def missing(step: Step) -> StepError:
    """The error of a step that a test does not answer for."""
    name = _name(step)
    shown = {"write": f"{name}: null", "sqlite": f"{name}: null", "http": f"{name}: {{status: 200, payload: ...}}"}
    help = f"add `mocks: {{{shown.get(step.KEY, f'{name}: {{payload: ...}}')}}}` to the test"
    return StepError(f"`{name}` needs a mock: a test leaves the world alone", code="missing-mock", help=help)


class _Answers(WaitingWorker):
    """Answers in the place of one step."""

    def __init__(self, host: Host, step: WaitingStep, script: Script | None) -> None:
        super().__init__(host)
        self.step = step
        self.script = script
        self.timer: Timer | None = None

    def start(self, turns: Sequence[Turn]) -> None:
        """Answer at once, or when it is time."""
        self.tell(turns[0].job)
        try:
            answer = self.next()
        except StepError as error:
            self.finish(turns, [error])
            return
        limit: float = getattr(self.step, "timeout", float("inf"))
        after = min(answer.after, limit)
        if after <= 0:
            self.answer(turns, answer)
            return
        clock = self.host.clock
        give = (lambda: self.late(turns, limit)) if answer.after > limit else (lambda: self.answer(turns, answer))
        self.timer = clock.call_at(clock.time() + after, give)

    def tell(self, job: Any) -> None:
        """Note what would have been asked: a test that fails shows it."""
        if isinstance(job, Request):
            self.host.log("", "mock", f"`{_name(self.step)}` asks {job.method} {job.url}")
        elif self.step.KEY == "exec":
            self.host.log("", "mock", f"`{_name(self.step)}` runs {' '.join(job[0])}")

    def next(self) -> Answer:
        """The answer for this time. Raises StepError."""
        if self.script is None:
            raise missing(self.step)
        return self.script.next(self.step)

    def answer(self, turns: Sequence[Turn], answer: Answer) -> None:
        """End the turns with what the test says."""
        self.timer = None
        try:
            outcome: Outcome | Exception = outcome_of(answer, self.step, turns[0].job)
        except StepError as error:
            outcome = error
        self.finish(turns, [outcome])

    def late(self, turns: Sequence[Turn], limit: float) -> None:
        """End the turns because the answer takes too long."""
        self.timer = None
        message = f"`{_name(self.step)}` took longer than {limit:g} s"
        self.finish(turns, [StepError(message, code="timed-out", help="give it more with `timeout`")])

    def give_up(self) -> None:
        """See `Worker`."""
        if self.timer is not None:
            self.timer.cancel()
        super().give_up()


def outcome_of(answer: Answer, step: Step, job: Any) -> Outcome:
    """What the step comes to. Raises StepError where it fails."""
    if answer.error is not None:
        raise StepError(answer.error, code=_CODES.get(step.KEY, "step-failed"))
    payloads = answer.payloads
    match step.KEY:
        case "http":
            return _http(answer, step, job)
        case "exec":
            return ({"payload": to_payload(payloads[0] if payloads else b"")},)
        case _:
            return UNCHANGED if payloads is None else tuple({"payload": payload} for payload in payloads)


def _http(answer: Answer, step: Step, job: Any) -> Outcome:
    status = answer.status or 200
    expected = getattr(step, "expect", ()) or (2,)
    payload = answer.payloads[0] if answer.payloads else None
    if not Limits(expected).is_expected(status):
        raise unwanted(cast("httpx.Response", _Said(status, answer.headers)), _beginning(payload))
    response = {"status": status, "headers": answer.headers, "url": job.url}
    return ({"payload": payload, "response": response},)


@dataclass(frozen=True, slots=True)
class _Said:
    """What is looked at in an answer that is not wanted."""

    status_code: int
    headers: Mapping[str, str]

    @property
    def reason_phrase(self) -> str:
        """The words that belong to the status."""
        return HTTPStatus(self.status_code).phrase if self.status_code in list(HTTPStatus) else ""


def _beginning(payload: Any) -> str:
    return " ".join(to_payload(payload).decode("utf-8", "replace").split())[:200]


class _NoFiles:
    """Takes lines, and writes none."""

    def __init__(self, step: Write, script: Script | None, host: Host) -> None:
        self.step = step
        self.script = script
        self.host = host

    def head_of(self, path: Path) -> bytes:  # noqa: ARG002
        """See `flowrunner.outside.files.Files`: the file is new."""
        return b""

    def append(
        self, path: Path, line: bytes, now: float, *, rotation: Rotation | None = None, head: bytes = b""
    ) -> None:
        """See `flowrunner.outside.files.Files`. Raises StepError where the test says so, or says nothing."""
        del now, rotation, head
        self.host.log("", "mock", f"`{_name(self.step)}` writes into {path.name}: {line.decode('utf-8').rstrip()}")
        if self.script is None:
            raise missing(self.step)
        if (error := self.script.next(self.step).error) is not None:
            raise StepError(error, code=_CODES[self.step.KEY])
