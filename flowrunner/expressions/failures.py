"""Turns an exception of a running expression into what went wrong, in words."""

import ast
from collections.abc import Mapping

from flowrunner.errors import StepError
from flowrunner.expressions.model import Failure


def explain_failure(error: BaseException, tree_node: ast.expr | None, values: Mapping[str, object]) -> Failure:
    """What went wrong in an expression at run time.

    `tree_node` is the part, as the user wrote it, that stands at the position of the failing instruction (`node_at`),
    `values` are the local values of the frame. Parts are computed once more to see which of them is to blame; that has
    no effects. It never raises.
    """
    if isinstance(error, StepError):
        return Failure(error.code, error.message, (error.help,) if error.help else ())
    if isinstance(error, RecursionError):
        return Failure("too-large", "this value is nested too deeply")
    if isinstance(error, MemoryError):
        return Failure("too-large", "there is not enough memory for this")
    return (tree_node and _at_node(error, tree_node, values)) or _in_general(error)


def _at_node(error: BaseException, node: ast.expr, values: Mapping[str, object]) -> Failure | None:
    from flowrunner.expressions.explaining import explain_at  # not needed before the first failure

    try:
        return explain_at(error, node, values)
    except Exception:  # noqa: BLE001 (an explanation must not be the next failure)
        return None


def _in_general(error: BaseException) -> Failure:
    match error:
        case ZeroDivisionError():
            return Failure("division-by-zero", "nothing can be divided by zero")
        case KeyError():
            return Failure("missing-field", "a field is missing")
        case IndexError():
            return Failure("missing-item", "an item is missing")
        case NameError():
            return Failure("no-value", "a name has no value here")
        case OverflowError():
            return Failure("too-large", "this number is too large")
        case TypeError() | AttributeError():
            return Failure("wrong-type", "a value is of the wrong kind for this")
        case ValueError():
            return Failure("bad-value", "a value is not possible here")
    return Failure("step-failed", "this expression cannot be computed")
