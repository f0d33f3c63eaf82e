"""Turns the expressions and `${}` templates of a flow into checked trees that Python compiles."""

from flowrunner.expressions.calls import Function, Method
from flowrunner.expressions.check import check
from flowrunner.expressions.failures import explain_failure
from flowrunner.expressions.functions import FUNCTIONS, RESERVED
from flowrunner.expressions.kinds import kind_of
from flowrunner.expressions.lower import lower
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import Expression, ExpressionError, Failure, Hole, Kind, Scope, Template
from flowrunner.expressions.namespace import NAMESPACE
from flowrunner.expressions.parse import parse_expression
from flowrunner.expressions.places import node_at
from flowrunner.expressions.template import parse_template

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "NAMESPACE",
    "RESERVED",
    "Expression",
    "ExpressionError",
    "Failure",
    "Function",
    "Hole",
    "Kind",
    "Method",
    "Scope",
    "Template",
    "check",
    "explain_failure",
    "kind_of",
    "lower",
    "node_at",
    "parse_expression",
    "parse_template",
]
