"""Turns the texts of expressions in these tests into trees, values and reports."""

import ast
from collections.abc import Callable
from typing import Any

import pytest

from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions import (
    NAMESPACE,
    Expression,
    ExpressionError,
    Kind,
    Scope,
    Template,
    check,
    lower,
    parse_expression,
    parse_template,
)
from flowrunner.text import Passage, Source

KINDS: dict[str, Kind] = {
    "payload": "data",
    "topic": "text",
    "qos": "data",
    "retain": "data",
    "properties": "any",
    "env": "data",
    "flow": "text",
    "room": "text",
    "raw": "bytes",
    "thing": "any",
}


def passage_of(text: str) -> Passage:
    source = Source("flows/test.yaml", text)
    return Passage.verbatim(source.span(0, len(text)))


def run(part: Expression | Template, scope: Scope, values: dict[str, object]) -> Any:
    tree = ast.Expression(lower(part, scope))
    names = {**NAMESPACE, "__builtins__": {}, "now": lambda: 1000.5, **values}
    return eval(compile(tree, "flows/test.yaml", "eval"), names)


@pytest.fixture
def scope() -> Scope:
    return Scope(KINDS)


@pytest.fixture
def parse() -> Callable[[str], Expression]:
    return lambda text: parse_expression(passage_of(text))


@pytest.fixture
def template() -> Callable[[str], Template]:
    return lambda text: parse_template(passage_of(text))


@pytest.fixture
def compute(scope: Scope) -> Callable[..., Any]:
    """The value of an expression that `check` finds nothing wrong with."""

    def compute(text: str, **values: object) -> Any:
        expression = parse_expression(passage_of(text))
        assert check(expression, scope) == []
        return run(expression, scope, values)

    return compute


@pytest.fixture
def insert(scope: Scope) -> Callable[..., Any]:
    """The value of a template that `check` finds nothing wrong with."""

    def insert(text: str, **values: object) -> Any:
        template = parse_template(passage_of(text))
        assert check(template, scope) == []
        return run(template, scope, values)

    return insert


@pytest.fixture
def problems(scope: Scope) -> Callable[..., list[Diagnostic]]:
    """Everything that is said about an expression, or about a template."""

    def problems(text: str, *, template: bool = False) -> list[Diagnostic]:
        try:
            part = parse_template(passage_of(text)) if template else parse_expression(passage_of(text))
        except ExpressionError as error:
            return list(error.diagnostics)
        return check(part, scope)

    return problems


@pytest.fixture
def lowered(scope: Scope) -> Callable[..., str]:
    """What is compiled of an expression or template, as Python text."""

    def lowered(text: str, *, template: bool = False, **kinds: Kind) -> str:
        part = parse_template(passage_of(text)) if template else parse_expression(passage_of(text))
        return ast.unparse(lower(part, scope.with_(**kinds)))

    return lowered
