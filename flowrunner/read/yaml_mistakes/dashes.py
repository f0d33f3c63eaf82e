"""Turns dashes that are missing, or stand where no list can be, into diagnostics."""

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import cut, write
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.indentation import shift, uneven
from flowrunner.read.yaml_mistakes.lines import Line
from flowrunner.read.yaml_mistakes.odd_lines import odd_line


def missing_dash(line: Line, sibling: Line | None = None) -> Diagnostic:
    """For a step without its dash, in a list that began above with `sibling`, or begins here."""
    labels = (Label(sibling.source.span(sibling.indent_end, sibling.indent_end + 1), "as here"),) if sibling else ()
    dashed = "- " + line.source.text[line.key_start : line.value_start + len(line.value)].rstrip()
    helps = [write(dashed, "write `- ` before it")]
    distance = line.indent - sibling.indent if sibling else 0
    if distance:
        helps.append(f"its dash belongs below the dash above: {shift(-distance)}")
    message = f"`{cut(line.word.text)}` must begin with a dash, as every item of a list"
    return Diagnostic("missing-dash", message, line.word, labels=labels, helps=tuple(helps))


def dash_missing(fault: Fault) -> Diagnostic | None:
    """For what follows the items of a list in their column, or between their column and their text."""
    line, item = fault.line, fault.opened_line
    if not fault.begins_line:
        return None
    if found := odd_line(line):
        return found
    column = fault.source.column_of(fault.opened) - 1
    if line.indent == column == 0:
        span = fault.source.span(fault.opened, fault.opened + 1)
        message = f"the file begins as a list, and `{cut(line.word.text)}` is a key"
        help = f"remove the dash before `{cut(item.word.text)}`: a flow is a map of keys"
        return Diagnostic("unexpected-dash", message, span, labels=(Label(line.word, "a key"),), helps=(help,))
    if line.indent == column and not line.dashes:
        return missing_dash(line, item)
    return uneven(fault)


def unexpected_dash(fault: Fault) -> Diagnostic:
    """For a dash in the column of a map's keys."""
    line = fault.line
    above = next((above for above in fault.lines_above(line) if above.indent <= line.indent), None)
    span = fault.source.span(fault.place, fault.place + 1)
    message = "a list must stand under a key, and this dash stands among keys"
    labels = (Label(above.word, "a key"),) if above and above.key else ()
    help = "if this is a step, write `steps:` above it"
    if above and above.key and above.value:
        help = f"`{cut(above.key)}` has a value already; " + help
    return Diagnostic("unexpected-dash", message, span, labels=labels, helps=(help,))
