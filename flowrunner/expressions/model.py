"""Turns what the other modules of this room hand to each other into types."""

import ast
from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import FlowError
from flowrunner.records import dataclass
from flowrunner.text import Passage, Span

Kind = Literal["bytes", "text", "data", "any"]
"""What is known of a value: bytes, text, data (no bytes anywhere inside: what JSON gives), or nothing."""


class ExpressionError(FlowError):
    """A text is no expression or no template; `diagnostics` says why, with places in the YAML file."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    `tree` is what the user wrote. Positions of its nodes (`lineno`, `col_offset`, ...) are those of the YAML file:
    line from 1, column from 0 in UTF-8 bytes. `names` are the free names that it reads (variables, and `now`).
    `functions` are names that may be called besides the listed functions.
    """

    passage: Passage
    tree: ast.expr = field(repr=False)
    names: frozenset[str]
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hole:
    """One `${...}` of a template: its expression, the format spec behind the colon (may be empty), its whole place."""

    expression: Expression
    spec: str
    span: Span


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `${...}` in it: constant texts (never empty, never two in a row) and holes, in order."""

    passage: Passage
    parts: tuple[str | Hole, ...]

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The holes, in order."""
        return tuple(part for part in self.parts if isinstance(part, Hole))

    @property
    def is_constant(self) -> bool:
        """Whether nothing is inserted."""
        return not self.holes

    @property
    def constant(self) -> str:
        """The text of a template in which nothing is inserted; raises ValueError where something is."""
        if not self.is_constant:
            raise ValueError("the template is not constant")
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def single(self) -> Expression | None:
        """The expression of a text that is exactly one `${...}` without a format spec: its value keeps its type."""
        match self.parts:
            case (Hole(expression=expression, spec=""),):
                return expression
        return None

    @property
    def names(self) -> frozenset[str]:
        """The free names that the holes read."""
        return frozenset[str]().union(*(hole.expression.names for hole in self.holes))


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that may be used at some place, and the kinds of their values; functions are always there.

    `missing` are names that exist elsewhere but not here, with the reason (shown as help).
    """

    names: Mapping[str, Kind]
    missing: Mapping[str, str] = field(default_factory=dict)

    def with_(self, /, **kinds: Kind) -> "Scope":
        """This scope with more names, or other kinds of known ones."""
        missing = {name: why for name, why in self.missing.items() if name not in kinds}
        return Scope({**self.names, **kinds}, missing)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an expression at run time, in the words of a Diagnostic."""

    code: str
    message: str
    helps: tuple[str, ...] = ()


def fault(span: Span, message: str, *, label: str = "", help: str = "", code: str = "bad-expression") -> Diagnostic:
    """The diagnostic of a mistake in an expression."""
    return Diagnostic(code, message, span, label, helps=(help,) if help else ())


def refuse(span: Span, message: str, *, label: str = "", help: str = "") -> ExpressionError:
    """The error for a text that is no expression."""
    return ExpressionError([fault(span, message, label=label, help=help)])
