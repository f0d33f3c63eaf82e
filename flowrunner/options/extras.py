"""Turns a package that is not installed into the words that say how to get it."""

from importlib.util import find_spec

from flowrunner.diagnostics import Diagnostic
from flowrunner.options.kind import Place
from flowrunner.text import Span


def need(module: str, extra: str, subject: str, span: Span, place: Place) -> None:
    """Report that `subject` needs a module that is not there, and which extra brings it. Raises Refused."""
    if find_spec(module) is None:
        message = f"{subject} needs a package that is not installed"
        helps = (f"install it: `pip install 'flowrunner[{extra}]'`",)
        raise place.report.refuse(Diagnostic("missing-extra", message, span, helps=helps))
