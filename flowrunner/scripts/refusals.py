"""Turns what a short script cannot do as a flow does it into the mistake that says so."""

from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import FlowError
from flowrunner.text import Span

#: Steps that no script has, and why.
REFUSED = {
    "debounce": "it needs a timer for every key, beside the network loop",
    "delay": "it needs a timer for every message, beside the network loop",
    "window": "it needs timers and a bounded memory, beside the network loop",
    "timeout": "it needs a timer that rings when nothing comes",
    "http": "it waits for a server, and paho's network loop must not wait: use httpx in a thread of its own",
    "sqlite": "it gathers rows in transactions of a thread of its own: begin with Python's `sqlite3`",
    "python": "it is Python already: call your function where the message arrives",
}


class CannotEject(FlowError):
    """A flow does something that a script would not do alike; `diagnostics` says which step, and why."""


def cannot_eject(what: str, why: str, span: Span) -> CannotEject:
    """The error for a part of a flow."""
    message = f"no short script does the same as {what}"
    return CannotEject([Diagnostic("not-ejectable", message, span.first_line(), helps=(why,))])
