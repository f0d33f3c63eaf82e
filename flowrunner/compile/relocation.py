"""Turns a flow that runs into the same flow at the places where its file has it now: nothing of it starts anew."""

import inspect
from types import FunctionType
from typing import Any

from flowrunner.compile.failure import describe_failure
from flowrunner.compile.program import Handler, Program


def relocate(handler: Handler, old: Program, new: Program) -> bool:
    """Give the functions behind a handler the places of a new version that does the same.

    `handler` is what `old.bind` gave, perhaps wrapped (see `functools.wraps`). A comment more, and every line below it
    has another number: from now on errors point there. State, timers and messages that wait know nothing of it.
    Returns False, and changes nothing, if the two are not built alike; equal fingerprints say that they are.
    """
    namespace: dict[str, Any] = getattr(inspect.unwrap(handler), "__globals__", {})
    functions = _functions(new)
    if not _are_alike(old, new) or not all(isinstance(namespace.get(name), FunctionType) for name in functions):
        return False
    for name, function in functions.items():
        namespace[name].__code__ = function.__code__
    namespace["_describe"] = lambda error: describe_failure(new.flow, new.code, error)
    return True


def _functions(program: Program) -> dict[str, FunctionType]:
    namespace: dict[str, Any] = {}
    exec(program.code, namespace)  # noqa: S102 - it only defines the functions, as in `Program.bind`
    return {name: value for name, value in namespace.items() if isinstance(value, FunctionType)}


def _are_alike(old: Program, new: Program) -> bool:
    """Whether both ask for the same things under the same names."""
    return (
        old.name == new.name
        and old.shared.keys() == new.shared.keys()
        and old.bound.keys() == new.bound.keys()
        and (old.resumes, old.waits) == (new.resumes, new.waits)
    )
