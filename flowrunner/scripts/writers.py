"""Holds the writers of steps by their keys, each of which writes lines of a script."""

from collections.abc import Callable
from typing import Any

from flowrunner.expressions import Scope
from flowrunner.scripts.body import Lines, Way
from flowrunner.scripts.parts import Parts

#: Writes a step: the script, the step, what is known before it, and how the message ends.
Writer = Callable[[Parts, Any, Scope, Way], Lines]

WRITERS: dict[str, Writer] = {}


def writes(key: str) -> Callable[[Writer], Writer]:
    """Say which step a function writes."""

    def note(function: Writer) -> Writer:
        WRITERS[key] = function
        return function

    return note
