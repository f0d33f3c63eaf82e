"""Turns the functions and methods of expressions, and their bounds, into a page."""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

from flowrunner.expressions import limits
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.methods import METHODS

from .markdown import code, table

_HEAD = ("call", "what it gives", "an example that is true")
_OF = {("text",): "Of texts", ("list",): "Of lists", ("map",): "Of maps", ("text", "list"): "Of texts and lists"}


def pages() -> Iterator[tuple[str, str]]:
    """The page of functions and methods."""
    functions = ([code(one.signature), one.prose, code(one.example)] for one in FUNCTIONS.values())
    parts = ["# Functions and methods\n", "What an expression may call. Nothing else can be called.\n"]
    parts += ["## Functions\n", table(_HEAD, functions), "## Methods\n"]
    parts.append(
        "Every other `.name` is a field: `payload.items` is the field `items`, `payload.items()` the method.\n"
    )
    for of, heading in _OF.items():
        rows = ([code(one.signature), one.prose, code(one.example)] for one in METHODS.values() if one.of == of)
        parts += [f"### {heading}\n", table(_HEAD, rows)]
    parts += ["## Bounds\n", "What could grow without end is bounded; beyond that the step fails.\n"]
    parts.append(table(("bound", "of"), ([f"{number:,}", prose] for _, number, prose in constants(limits))))
    yield "functions.md", "\n".join(parts)


def constants(module: ModuleType) -> Iterator[tuple[str, int, str]]:
    """The numbers of a module below which a text says what they are: name, number, text."""
    statements = ast.parse(inspect.getsource(module)).body
    for named, said in pairwise(statements):
        match named, said:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(prose))):
                yield name, getattr(module, name), prose
