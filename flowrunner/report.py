"""Turns the mistakes found while reading into one list."""

from dataclasses import field

from flowrunner.diagnostics import Diagnostic, Label, Severity
from flowrunner.records import dataclass
from flowrunner.text import Span


class Refused(Exception):
    """A part of a file was refused; why is in the report already."""


@dataclass(slots=True)
class Report:
    """The diagnostics of one reading, in the order in which they were found."""

    diagnostics: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        """Take one diagnostic."""
        self.diagnostics.append(diagnostic)

    def extend(self, diagnostics: list[Diagnostic]) -> None:
        """Take several."""
        self.diagnostics += diagnostics

    def say(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        labels: tuple[Label, ...] = (),
        helps: tuple[str, ...] = (),
        severity: Severity = "error",
    ) -> None:
        """Report a mistake given by its parts; empty helps are left out."""
        helps = tuple(text for text in helps if text)
        self.add(Diagnostic(code, message, span, label, labels, helps, severity=severity))

    def refuse(self, diagnostic: Diagnostic) -> Refused:
        """Report a mistake and give the exception that says so: `raise report.refuse(...)`."""
        self.add(diagnostic)
        return Refused()
