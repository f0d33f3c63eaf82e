"""Turns the public names of the package into pages: what they are called with, and their docstrings."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import flowrunner.errors
from flowrunner import broker, code, options, pytest_plugin, step, testing

from .markdown import fenced, table

_PARTS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    (
        "flowrunner.testing",
        "Test flows in Python, without a broker.",
        tuple(getattr(testing, name) for name in testing.__all__),
    ),
    ("flowrunner.pytest_plugin", "Comes with flowrunner; pytest finds it by itself.", (pytest_plugin.mqtt_broker,)),
    (
        "flowrunner.broker",
        "The embedded broker, for tests and programs of your own.",
        tuple(getattr(broker, name) for name in broker.__all__),
    ),
    ("flowrunner.step", "What a step of your own is made of.", (step.Step, code.Block, options.option)),
    (
        "flowrunner.errors",
        "What can be raised.",
        tuple(
            one
            for _, one in inspect.getmembers(flowrunner.errors, inspect.isclass)
            if issubclass(one, flowrunner.errors.FlowrunnerError)
        ),
    ),
)


def pages() -> Iterator[tuple[str, str]]:
    """The page of the Python API."""
    parts = ["# Python API\n", "What stands here stays; everything else may change from one version to the next.\n"]
    for module, words, names in _PARTS:
        parts += [f"## {module}\n", f"{words}\n"]
        for one in names:
            parts += _described(one)
    yield "python.md", "\n".join(parts)


def _described(one: Any) -> Iterator[str]:
    plain = inspect.unwrap(getattr(one, "__wrapped__", one)) if not inspect.isclass(one) else one
    name = getattr(one, "__name__", None) or plain.__name__
    yield f"### {name}\n"
    if not is_dataclass(plain):
        yield fenced(_shown(name, plain), "python")
    yield inspect.cleandoc(plain.__doc__ or "") + "\n"
    if not inspect.isclass(plain):
        return
    if is_dataclass(plain) and (rows := list(_attributes(plain))):
        yield table(("attribute", "default", "what it is"), rows)
    for method, function in vars(plain).items():
        if not method.startswith("_") and (isinstance(function, property) or inspect.isfunction(function)):
            yield from _member(method, function)


def _attributes(owner: Any) -> Iterator[tuple[str, str, str]]:
    said = _said(owner)
    for field in fields(owner):
        if not field.name.startswith("_"):
            known = isinstance(field.default, bool | int | float | str | bytes)
            yield f"`{field.name}`", f"`{field.default!r}`" if known else "", said.get(field.name, "")


def _said(owner: type) -> dict[str, str]:
    """Attributes of a class below which a text says what they are."""
    (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(owner))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for named, words in pairwise(body):
        match named, words:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(prose))):
                found[name] = prose
    return found


def _member(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property):
        yield f"`{name}`\n: {inspect.cleandoc(member.__doc__ or '')}\n"
    else:
        words = inspect.cleandoc(member.__doc__ or "").replace("\n", "\n  ")
        yield f"`{_shown(name, member).removeprefix('async ')}`\n: {words}\n"


class _Default:
    """A default that is shown as it is called, not as all that is in it; `...` where its value says nothing."""

    def __init__(self, value: object) -> None:
        self.shown = "..." if type(value) is object else f"{type(value).__name__}()"

    def __repr__(self) -> str:
        return self.shown


def _default(value: Any) -> Any:
    return _Default(value) if is_dataclass(value) or type(value) is object else value


def _shown(name: str, one: Any) -> str:
    """How it is called, without types: those stand in the code, and an editor shows them."""
    try:
        signature = inspect.signature(one)
    except (TypeError, ValueError):
        return name
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty, default=_default(parameter.default))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return f"{name}{text}"
