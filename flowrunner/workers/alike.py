"""Turns what workers say that they run into the versions that are shown, and says where one runs another version."""

from collections.abc import Mapping

from flowrunner.read.flow import Flow
from flowrunner.run.live import Program
from flowrunner.run.report import Report
from flowrunner.workers.crew import digest_of
from flowrunner.workers.mirror import Mirror
from flowrunner.workers.once import Once
from flowrunner.workers.orders import Running


class Alike:
    """Sees to it that a mirror shows what the workers run, and that all of them run the same."""

    def __init__(self, mirror: Mirror, report: Report) -> None:
        self._mirror = mirror
        self._report = report
        self._digests = Once(digest_of)

    def show(self, programs: Mapping[str, Program], answers: Mapping[int, Running]) -> None:
        """Show what runs now, of what was to run; a flow that could begin nowhere is the one it was."""
        before, shown = self._mirror.flows, dict(programs)
        for name, program in programs.items():
            old = before.get(name)
            found = [running[name] for running in answers.values() if name in running]
            is_old = bool(found) and self._digest(program) not in found
            if is_old and old is not None and old.program is not program:
                shown[name] = old.program
        self._mirror.show(shown.values())
        for number, running in answers.items():
            self.compare(number, running)
        self._digests.keep(one.flow for one in shown.values() if isinstance(one.flow, Flow))

    def compare(self, number: int, running: Running) -> None:
        """Say where a worker runs another version of a flow than the others."""
        for name, digest in running.items():
            live = self._mirror.flows.get(name)
            if live is not None and self._digest(live.program) not in (None, digest):
                words = f"worker {number} runs another version of `{name}` than the others"
                self._report.say("not-alike", words, level="warning", flow=name, worker=number)

    def _digest(self, program: Program) -> bytes | None:
        return self._digests.of(program.flow) if isinstance(program.flow, Flow) else None
