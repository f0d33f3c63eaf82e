"""Turns quotes that end too early, too late or never into diagnostics."""

import re

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import advice, as_expression, quoted, write
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.lines import Line, line_at, line_number
from flowrunner.text import Span


def behind_quotes(line: Line, end: int) -> Diagnostic:
    """For a value whose quotes end at `end`, before the value does."""
    value, quote = line.value, line.value[0]
    if value.endswith(quote) and not value[end].isspace():
        inner = value[1:-1]
        message = f"the text ends at the second {_name(quote)}, and more follows"
        span = line.source.span(line.value_start + end - 1, line.value_start + end)
        other = quoted(inner) if quote == '"' or '"' not in inner else "'" + inner.replace("'", "''") + "'"
        helps = (write(line.with_value(other), "put the text into the other kind of quotes"),)
        return Diagnostic("quote-in-quotes", message, span, "the text ends here", helps=helps)
    message = "text follows the closing quote; the whole value must be quoted"
    corrected = line.with_value(as_expression(value))
    helps = (
        ("put the whole key in quotes",) if _ends_as_key(line) else (write(corrected, "put the whole value in quotes"),)
    )
    return Diagnostic("text-after-quotes", message, line.value_span, helps=helps)


def _ends_as_key(line: Line) -> bool:
    return not line.key and bool(re.search(r":(\s|$)", line.value))


def behind_quotes_above(fault: Fault, text: Span) -> Diagnostic:
    """For text behind quotes that began on a line above: there the closing one is missing, or here is too much."""
    lines = [
        line_number(fault.source, number) for number in range(text.line + 1, min(text.end_line, text.line + 50) + 1)
    ]
    if any(line.key or line.dashes for line in lines):
        return unclosed_quote(fault, text)
    span = fault.source.span(fault.place, fault.line.start + len(fault.line.text.rstrip()))
    labels = (Label(fault.source.span(text.end - 1, text.end), "the text ends here"),)
    message = "more text follows the closing quote; the whole value must be quoted"
    return Diagnostic("text-after-quotes", message, span, labels=labels)


def unclosed_quote(fault: Fault, text: Span) -> Diagnostic:
    """For a quote that is closed lines later, by the quote of another text, or never."""
    line = line_at(fault.source, text.start)
    quote = text.text[:1]
    rest = fault.source.text[text.start : line.start + len(line.text)].rstrip()
    span = fault.source.span(text.start, text.start + len(rest))
    other = "double" if quote == '"' else "single"
    corrected = line.with_value(rest + quote) if text.start == line.value_start else rest + quote
    helps = [write(corrected, f"write `{quote}` where the text ends")]
    if text.start == line.value_start and re.match(r"'\w+ ", rest):
        helps.append(
            f"or, if it is an apostrophe, {write(line.with_value(chr(34) + rest + chr(34)), 'use double quotes')}"
        )
    return Diagnostic("unclosed-quote", f"this {other} quote is never closed", span, helps=advice(*helps))


def _name(quote: str) -> str:
    return "double quote" if quote == '"' else "single quote"
