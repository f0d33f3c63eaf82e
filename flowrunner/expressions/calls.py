"""Turns the functions and methods that an expression may call into values that checks and the reference share."""

import ast
from collections.abc import Callable
from typing import Any

from flowrunner.records import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A function that an expression may call.

    `example` is an expression that is true. `call` is what runs. It takes from `least` to `most` values (None: any
    number), and those of `keywords` as `name=value` (`*` stands for any name).
    """

    name: str
    signature: str
    prose: str
    example: str
    call: Callable[..., Any]
    least: int = 1
    most: int | None = 1
    keywords: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Method:
    """A method of texts, lists or maps that an expression may call: `x.name(...)`.

    `example` is an expression that is true. `helper` names what runs instead of Python's own method where that could
    grow without bound or would show its caller something that can change; it gets the value first.
    """

    name: str
    of: tuple[str, ...]
    signature: str
    prose: str
    example: str
    least: int = 0
    most: int = 0
    helper: str = ""
    returns_text: bool = False


def count_problem(call: Function | Method, node: ast.Call) -> str:
    """What is wrong with the number or the names of the values in a call; empty if nothing."""
    given, name = len(node.args), f"`{call.signature}`"
    if given < call.least or (call.most is not None and given > call.most):
        here = {0: "here is none", 1: "here is 1"}.get(given, f"here are {given}")
        return f"{name} takes {_amount(call.least, call.most)}, {here}"
    allowed = call.keywords if isinstance(call, Function) else frozenset[str]()
    for keyword in node.keywords:
        if keyword.arg not in allowed and "*" not in allowed:
            return f"{name} has no option `{keyword.arg}`"
    return ""


def _amount(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {_values(least)}"
    if least == most:
        return _values(least) if least else "no value"
    return f"{least} to {_values(most)}"


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
