"""A step that waits for whatever a test says: `wait: expression`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

from flowrunner.code import Block, Host
from flowrunner.diagnostics import Diagnostic, render
from flowrunner.expressions import Expression
from flowrunner.options import ExpressionKind, option
from flowrunner.read.flow import Flow, read_flows
from flowrunner.read.settings import Settings
from flowrunner.step import Step
from flowrunner.steps import all_steps
from flowrunner.text import Source
from flowrunner.waiting import Outcome, WaitingStep, WaitingWorker
from tests.flow_host import CONNECTIONS


async def echo(job: Any) -> Outcome:
    """The value becomes the payload; a text that begins with `fail` is an error."""
    if isinstance(job, str) and job.startswith("fail"):
        raise RuntimeError(job)
    return ({"payload": job},)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(WaitingStep):
    """Do what the test says with the value."""

    KEY = "wait"
    answer: ClassVar[Callable[[Any], Awaitable[Outcome]]] = staticmethod(echo)
    batches: ClassVar[list[Sequence[Any]]] = []
    batch: ClassVar[int] = 1

    value: Expression = option(ExpressionKind(), "what is done", main=True)

    def worker(self, host: Host) -> WaitingWorker:
        return Waiter(host)

    def emit(self, to: Block) -> None:
        self.job(to, to.value(self.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLate(Wait):
    """Compute the value only when it is the message's turn."""

    KEY = "waitlate"

    def worker(self, host: Host) -> WaitingWorker:
        return LateWaiter(host)

    def emit(self, to: Block) -> None:
        self.job(to, to.expression("lambda: VALUE", VALUE=to.value(self.value)))


class Waiter(WaitingWorker):
    @property
    def batch(self) -> int:  # type: ignore[override]
        return Wait.batch

    async def work(self, job: Any) -> Outcome:
        return await Wait.answer(job)

    async def work_all(self, jobs: Sequence[Any]) -> Sequence[Outcome | Exception]:
        Wait.batches.append(list(jobs))
        return await WaitingWorker.work_all(self, jobs) if len(jobs) == 1 else [await Wait.answer(job) for job in jobs]


class LateWaiter(WaitingWorker):
    async def work(self, job: Callable[[], Any]) -> Outcome:
        return await Wait.answer(job())


def diagnose_waiting(
    text: str,
    *,
    folder: Path = Path(),
    allow: frozenset[str] | None = frozenset({"exec"}),
    env: Mapping[str, str] | None = None,
) -> tuple[list[Flow], list[Diagnostic]]:
    """The flows of a file that may use `wait` and `waitlate`, and all that is wrong with it."""
    settings = Settings(connections=CONNECTIONS, env=env or {}, vars={}, source=None, allow=allow)
    source = Source("flows/flow.yaml", dedent(text).lstrip("\n"))
    steps: dict[str, type[Step]] = {**all_steps(), "wait": Wait, "waitlate": WaitLate}
    return read_flows(source, name="flow", folder=folder, settings=settings, steps=steps)


def read_waiting(text: str, **rest: Any) -> Flow:
    """The flow of a file without errors."""
    flows, found = diagnose_waiting(text, **rest)
    assert not found, render(found)
    return flows[0]
