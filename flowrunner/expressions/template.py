"""Turns a text with `${...}` in it into constant texts and holes."""

from collections.abc import Collection

from flowrunner.diagnostics import Diagnostic
from flowrunner.expressions.formats import spec_problem
from flowrunner.expressions.model import ExpressionError, Hole, Template, fault
from flowrunner.expressions.parse import parse_expression
from flowrunner.text import Passage


def parse_template(passage: Passage, *, functions: Collection[str] = ()) -> Template:
    """Understand a text with `${...}`; raises ExpressionError with everything that is wrong in it."""
    text, at = passage.text, 0
    parts, constant = list[str | Hole](), ""
    problems = list[Diagnostic]()
    while (found := text.find("$", at)) >= 0:
        constant += text[at:found]
        if text.startswith("$${", found):
            constant, at = constant + "${", found + 3
        elif text.startswith("${", found):
            end, colon = _end_of_hole(text, found + 2)
            if end < 0:
                problems.append(fault(passage.span(found, found + 2), "this `${` is never closed with `}`"))
                at = len(text)
                break
            if constant:
                parts.append(constant)
            constant, at = "", end + 1
            try:
                parts.append(_hole(passage, found, colon, end, functions))
            except ExpressionError as error:
                problems.extend(error.diagnostics)
        else:
            constant, at = constant + "$", found + 1
    if problems:
        raise ExpressionError(problems)
    constant += text[at:]
    return Template(passage, (*parts, constant) if constant else tuple(parts))


def _hole(passage: Passage, start: int, colon: int, end: int, functions: Collection[str]) -> Hole:
    span = passage.span(start, end + 1)
    _refuse_double_braces(passage, start, end)
    stop = colon if colon >= 0 else end
    if not passage.text[start + 2 : stop].strip():
        raise ExpressionError([fault(span, "expected an expression between `${` and `}`")])
    expression = parse_expression(passage.sub(start + 2, stop), functions=functions)
    spec = passage.text[colon + 1 : end] if colon >= 0 else ""
    if colon >= 0 and (problem := spec_problem(spec)):
        place = passage.span(colon, end)
        raise ExpressionError([fault(place, problem[0], help=problem[1], code="bad-format")])
    return Hole(expression, spec, span)


def _refuse_double_braces(passage: Passage, start: int, end: int) -> None:
    inner = passage.text[start + 2 : end].strip()
    if inner.startswith("{") and inner.endswith("}") and ":" not in inner:
        help = f"write `${{{inner[1:-1].strip()}}}`"
        raise ExpressionError([fault(passage.span(start, end + 1), "one brace on each side is enough", help=help)])


def _end_of_hole(text: str, at: int) -> tuple[int, int]:
    """Index of the `}` that closes a hole (-1: none), and of the colon before its format spec (-1: none)."""
    depth, quote, colon, start = 0, "", -1, at
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif text.startswith(quote, at):
                at, quote = at + len(quote) - 1, ""
        elif colon >= 0 and char != "}":
            pass  # a format spec holds no brackets and no quotes
        elif char in "\"'":
            quote = char * 3 if text.startswith(char * 3, at) else char
            at += len(quote) - 1
        elif char in "([{":
            depth += 1
        elif char in ")]" or (char == "}" and depth):
            depth -= 1
        elif char == "}":
            return at, colon
        elif char == ":" and not depth and "?" not in text[start:at]:  # the `:` of `x ? a : b` is no spec
            colon = at
        at += 1
    return -1, -1
