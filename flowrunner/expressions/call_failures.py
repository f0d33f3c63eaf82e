"""Turns a call of a function or method that failed into which value is to blame."""

import ast
from typing import Any

from flowrunner.expressions.describe import is_literal, short, subject, written
from flowrunner.expressions.evaluate import UNKNOWN
from flowrunner.expressions.functions import FUNCTIONS
from flowrunner.expressions.methods import METHODS
from flowrunner.expressions.model import Failure
from flowrunner.expressions.values import DECODE_FIRST, kind_word

#: What a function needs, where its first value decides.
_NEEDS = {
    **dict.fromkeys(("abs", "round", "sqrt", "floor", "ceil", "log", "exp", "isfinite", "iso"), "a number"),
    **dict.fromkeys(("len", "list", "any", "all", "zip", "enumerate", "unique"), "a text, list or map"),
    **dict.fromkeys(("sum", "mean", "median", "stdev"), "a list of numbers"),
    **dict.fromkeys(("min", "max"), "a list, or several values"),
    "sorted": "a list", "range": "whole numbers", "uniform": "numbers", "randint": "whole numbers",
    "int": "a number or a text", "float": "a number or a text", "dict": "a map or a list of pairs",
}  # fmt: skip
_WORDS_OF = {"a text": "text", "a list": "list", "a map": "map"}


def explain_function(error: BaseException, name: str, node: ast.Call, arguments: list[Any]) -> Failure | None:
    """Why a listed function failed on these values (UNKNOWN where they cannot be computed again)."""
    if name not in FUNCTIONS:
        return None
    first = arguments[0] if arguments else UNKNOWN
    if isinstance(error, TypeError):
        return _wrong_kind(name, node, arguments)
    if isinstance(error, OverflowError):
        if name in {"int", "floor", "ceil", "round"}:
            return Failure("bad-value", f"`{name}` cannot make a whole number of infinity")
        return Failure("too-large", f"the result of `{name}` is too large a number")
    if isinstance(error, ZeroDivisionError):
        return Failure("bad-value", f"`{name}` has no result for these values")
    if isinstance(error, ValueError):
        return _bad_value(name, node, first)
    return None


def _wrong_kind(name: str, node: ast.Call, arguments: list[Any]) -> Failure | None:
    needs = _NEEDS.get(name)
    if name in {"min", "max", "sorted"} and len(arguments) == 1 and isinstance(arguments[0], list):
        return _not_orderable(name, arguments[0])
    if name in {"min", "max"} and len(arguments) > 1:
        return _not_orderable(name, arguments)
    if name in {"sum", "mean", "median", "stdev"} and arguments and isinstance(arguments[0], list):
        wrong = next((item for item in arguments[0] if not isinstance(item, int | float)), UNKNOWN)
        if wrong is not UNKNOWN:
            return Failure("wrong-type", f"`{name}` needs numbers, one of the items is {kind_word(wrong)}")
    if needs is None or not arguments:
        return None
    index = _to_blame(name, arguments)
    if arguments[index] is UNKNOWN:
        return Failure("wrong-type", f"`{name}` needs {needs}")
    message = f"`{name}` needs {needs}, {_named(node.args[index], arguments[index])}"
    return Failure("wrong-type", message, _conversion(name, node.args[index], arguments[index]))


def _to_blame(name: str, arguments: list[Any]) -> int:
    """Index of the first value that is no number where all must be, else 0."""
    if name in {"round", "log", "range", "uniform", "randint", "enumerate"}:
        for index, value in enumerate(arguments):
            is_right = isinstance(value, int | float) if name != "enumerate" or index else True
            if not is_right or (isinstance(value, float) and (name == "range" or (name == "round" and index))):
                return index
    return 0


def _named(node: ast.expr, value: Any) -> str:
    if is_literal(node):
        return f"this is {kind_word(value)}"
    return f"{subject(node)} is {kind_word(value)}"


def _conversion(name: str, node: ast.expr, value: Any) -> tuple[str, ...]:
    text = written(node).strip("`")
    if isinstance(value, str) and "number" in _NEEDS[name] and name not in {"int", "float"} and text:
        return (f"use `float({text})`",)
    if isinstance(value, bytes):
        return (DECODE_FIRST,)
    return ()


def _not_orderable(name: str, items: list[Any]) -> Failure:
    kinds = sorted({kind_word(item) for item in items})
    message = f"`{name}` cannot compare {kinds[0]} with {kinds[1] if len(kinds) > 1 else kinds[0]}"
    helps = ('maps are sorted by a field: `sorted(x, key="field")`',) if kinds == ["a map"] else ()
    return Failure("wrong-type", message, helps)


def _bad_value(name: str, node: ast.Call, first: Any) -> Failure | None:
    if name in {"int", "float"} and isinstance(first, str | bytes):
        text = first if isinstance(first, str) else first.decode("utf-8", "replace")
        helps = ('a number has a point: use `float(x.replace(",", "."))`',) if "," in text else ()
        if name == "int" and "." in text and not helps:
            helps = ("use `int(float(x))`",)
        return Failure("bad-value", f"`{name}` cannot read {short(text)} as a number", helps)
    if name in {"int", "floor", "ceil", "round"}:
        return Failure("bad-value", f"`{name}` cannot make a whole number of `nan`")
    if name in {"min", "max"}:
        help = f"give a default: `{name}(x, default=0)`"
        return Failure("bad-value", f"an empty list has no `{name}`", (help,))
    if name in {"sqrt", "log"} and isinstance(first, int | float):
        wanted = "a number that is not negative" if name == "sqrt" else "a number above zero"
        return Failure("bad-value", f"`{name}` needs {wanted}, {_value(node.args[0], first)}")
    if name == "range":
        return Failure("bad-value", "the step of `range` cannot be zero")
    if name == "dict":
        return Failure("bad-value", "`dict` needs a list of pairs of name and value")
    return None


def _value(node: ast.expr, value: Any) -> str:
    return f"this is {short(value)}" if is_literal(node) else f"{subject(node)} is {short(value)}"


def explain_method(error: BaseException, function: ast.Attribute, base: Any, arguments: list[Any]) -> Failure | None:
    """Why a method failed on this value with these arguments."""
    method = METHODS.get(function.attr)
    if method is None or base is UNKNOWN:
        return None
    name, who = f"`.{method.name}()`", subject(function.value)
    owners = " and ".join(f"{owner}s" for owner in method.of)
    if _WORDS_OF.get(kind_word(base)) not in method.of:
        what = "null" if base is None else kind_word(base)
        helps = (
            (DECODE_FIRST,) if isinstance(base, bytes) else _text_first(function, base) if "text" in method.of else ()
        )
        return Failure("wrong-type", f"{name} is for {owners}, {who} is {what}", helps)
    if isinstance(error, ValueError) and method.name == "index":
        return Failure("missing-item", f"{who} does not hold {short(arguments[0]) if arguments else 'this'}")
    if isinstance(error, ValueError):
        return Failure("bad-value", f"{name} needs a text that is not empty")
    if isinstance(error, TypeError):
        return _wrong_argument(method.name, name, arguments)
    return None


def _text_first(function: ast.Attribute, base: Any) -> tuple[str, ...]:
    text = written(function.value).strip("`")
    return (f"use `str({text})`",) if isinstance(base, int | float) and text else ()


def _wrong_argument(method: str, name: str, arguments: list[Any]) -> Failure:
    if method == "join" and arguments and isinstance(arguments[0], list):
        wrong = next((item for item in arguments[0] if not isinstance(item, str)), None)
        help = 'make texts of them: `", ".join(str(p) for p in x)`'
        return Failure("wrong-type", f"`.join()` needs texts, one of the items is {kind_word(wrong)}", (help,))
    if method == "get":
        return Failure("wrong-type", "the name of a field is a text or number, this is a list or map")
    given = kind_word(arguments[0]) if arguments and arguments[0] is not UNKNOWN else "something else"
    if method in {"zfill", "ljust", "rjust", "center"}:
        return Failure("wrong-type", f"{name} needs a whole number for the width")
    return Failure("wrong-type", f"{name} needs a text, this is {given}")
