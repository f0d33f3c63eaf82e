"""Turns what can go wrong into the exceptions that callers of the Python API catch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowrunner.diagnostics import Diagnostic
    from flowrunner.text import Span


class FlowrunnerError(Exception):
    """Whatever flowrunner raises on purpose."""


class FlowError(FlowrunnerError):
    """Flows of a user hold mistakes; `diagnostics` says which, sorted by place."""

    def __init__(self, diagnostics: "Sequence[Diagnostic]") -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(d.message for d in self.diagnostics))


class StepError(FlowrunnerError):
    """A step failed on a message. `code` is kebab-case and names the page behind it; `help` is the next keystroke.

    `place` is where in another file it happened, such as the line of a user's Python function.
    """

    def __init__(self, message: str, *, code: str = "step-failed", help: str = "", place: "Span | None" = None) -> None:
        self.message = message
        self.code = code
        self.help = help
        self.place = place
        super().__init__(message)


class ConnectionFailed(FlowrunnerError):
    """A broker could not be reached, or refused; the text says who said what, and what to do."""


class PluginError(FlowrunnerError):
    """An installed plug-in cannot be used as a step; the text names it (`plugin`) and says why (`reason`)."""

    def __init__(self, message: str, *, plugin: str = "", reason: str = "") -> None:
        self.plugin = plugin
        self.reason = reason
        super().__init__(message)
