"""Turns the results of tests into lines for people: the progress, what was reached, the last line."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowrunner.cli import terminal
from flowrunner.diagnostics import Diagnostic

if TYPE_CHECKING:
    from flowrunner.trial.case import Result
    from flowrunner.trial.coverage import FileCoverage
    from flowrunner.trial.suite import FlowTest

_RED, _GREEN = "1;31", "1;32"
_WIDEST = 80


def heading(result: "Result", *, color: bool) -> str:
    """The line above a test that failed."""
    text = f"FAILED {result.case.span.source.name}:{result.case.span.line} {result.flow.name}: {result.case.title}"
    return terminal.paint(text, _RED, color=color)


def summary(results: "Sequence[Result]", mistakes: Sequence[Diagnostic], seconds: float) -> str:
    """`1 failed, 23 passed, 2 errors in 0.05s`."""
    failed = sum(not result.is_passed for result in results)
    passed = len(results) - failed
    counts = [(failed, "failed"), (passed, "passed"), (len(mistakes), f"error{'' if len(mistakes) == 1 else 's'}")]
    told = ", ".join(f"{count} {word}" for count, word in counts if count) or "no tests ran"
    return f"{told} in {seconds:.2f}s"


def ruled(line: str, *, is_good: bool, color: bool) -> str:
    """A line in the middle of a ruler, as wide as the terminal."""
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    return terminal.paint(f" {line} ".center(width, "="), _GREEN if is_good else _RED, color=color) + "\n"


def coverage_table(files: "Sequence[FileCoverage]") -> str:
    """Steps and branches that were reached, file by file, and the places of those that were not."""
    width = max([len(file.file) for file in files] + [5])
    lines = [f"\n{'file'.ljust(width)}     steps  branches  reached"]
    steps = branches = missed_steps = missed_branches = 0
    for file in files:
        lost = len(file.missed) - file.missed_steps
        lines.append(_row(file.file.ljust(width), file.steps, file.missed_steps, file.branches, lost))
        steps, branches = steps + file.steps, branches + file.branches
        missed_steps, missed_branches = missed_steps + file.missed_steps, missed_branches + lost
    if len(files) != 1:
        lines.append(_row("all".ljust(width), steps, missed_steps, branches, missed_branches))
    if missed_steps or missed_branches:
        lines.append("\nno test has reached:")
        for file in files:
            lines += [f"  {file.file}:{spot.span.line}:{spot.span.column}  {spot.text}" for spot in file.missed]
    return "\n".join([*lines, "", ""])


def _row(name: str, steps: int, missed_steps: int, branches: int, missed_branches: int) -> str:
    everything = steps + branches
    percent = 100 * (everything - missed_steps - missed_branches) // everything if everything else 100
    reached, taken = f"{steps - missed_steps}/{steps}", f"{branches - missed_branches}/{branches}"
    return f"{name}  {reached:>8}  {taken:>8}  {percent:>5} %"


@dataclass(slots=True)
class Progress:
    """Shows how far it is: a line for each file with a dot for each test, or a line for each test."""

    is_shown: bool
    is_long: bool = False
    file: str = ""

    def tell(self, test: "FlowTest", result: "Result") -> bool:
        """Show one more; true, so that it goes on."""
        if self.is_shown:
            color = terminal.wants_color(sys.stdout)
            if self.is_long:
                word = "passed" if result.is_passed else "FAILED"
                shown = terminal.paint(word, _GREEN if result.is_passed else _RED, color=color)
                sys.stdout.write(f"{shown} {test.file}:{test.case.span.line} {test.flow.name}: {test.case.title}\n")
            else:
                if test.file != self.file:
                    sys.stdout.write(f"{chr(10) if self.file else ''}{test.file} ")
                mark, style = (".", _GREEN) if result.is_passed else ("F", _RED)
                sys.stdout.write(terminal.paint(mark, style, color=color))
            self.file = test.file
            sys.stdout.flush()
        return True

    def end(self) -> None:
        """End the last line."""
        if self.is_shown and self.file and not self.is_long:
            sys.stdout.write("\n")
