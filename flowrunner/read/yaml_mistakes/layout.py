"""Turns mistakes in the arrangement of lines - indentation, dashes, colons - into diagnostics."""

import re

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import advice, as_written, cut, write
from flowrunner.read.yaml_mistakes.characters import (
    find_foreign_comment,
    find_invisible_space,
    find_smart_quotes,
    find_tab,
)
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.indentation import misplaced, shift, uneven
from flowrunner.read.yaml_mistakes.lines import Line, line_at, line_number
from flowrunner.text import Span

_COMMON_KEYS = {"id", "when", "on_error"}
_NO_SPACE_BEHIND_COLON = re.compile(r"([A-Za-z_]\w*):(?!//)([^\s:/].*)")
_NO_SPACE_BEHIND_DASH = re.compile(r"-([A-Za-z_{\[\"'$].*)")
_EQUALS = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*(?!=)(.*)")
_KEY_AND_VALUE = re.compile(r"([A-Za-z_]\w*)\s+(\S.*)")


def odd_line(line: Line) -> Diagnostic | None:
    """For a line that looks wrong by itself, whatever stands around it."""
    for find in (find_tab, find_invisible_space, find_foreign_comment, find_smart_quotes, no_space_behind_dash):
        if found := find(line):
            return found
    return no_space_behind_colon(line)


def no_space_behind_colon(line: Line) -> Diagnostic | None:
    """For `topic:foo`."""
    found = None if line.key else _NO_SPACE_BEHIND_COLON.fullmatch(line.value)
    if not found:
        return None
    span = line.source.span(line.value_start + found.start(1), line.value_start + found.end(1) + 1)
    corrected = f"{found[1]}: {as_written(found[2])}"
    return Diagnostic("missing-space", "a space must follow the colon", span, helps=advice(write(corrected)))


def no_space_behind_dash(line: Line) -> Diagnostic | None:
    """For `-json`."""
    text = line.text[line.key_start - line.start :]
    if not (found := _NO_SPACE_BEHIND_DASH.match(text)):
        return None
    span = line.source.span(line.key_start, line.key_start + 1)
    return Diagnostic(
        "missing-space", "a space must follow the dash", span, helps=advice(write(f"- {found[1].rstrip()}"))
    )


def missing_colon(line: Line) -> Diagnostic:
    """For `subscribe a/b` and `steps`, `topic = a/b`."""
    equals = _EQUALS.fullmatch(line.value)
    parts = equals or _KEY_AND_VALUE.fullmatch(line.value)
    word = parts[1] if parts else line.value
    span = line.source.span(line.value_start, line.value_start + len(word))
    corrected = f"{word}: {as_written(parts[2])}" if parts and parts[2] else f"{word}:"
    dash = "- " if line.dashes else ""
    message = "a key is followed by a colon, not by `=`" if equals else f"a colon must follow `{cut(word)}`"
    return Diagnostic("missing-colon", message, span, helps=advice(write(dash + corrected)))


def _below_block(fault: Fault, block: Span) -> Diagnostic:
    """For a line that is less indented than the text block above, and more than its key."""
    lines = range(block.line + 1, min(block.end_line, block.line + 50) + 1)
    first = next((line for number in lines if not (line := line_number(fault.source, number)).is_blank), fault.line)
    return misplaced(fault.line, first.indent, first)


def colon_not_allowed(fault: Fault) -> Diagnostic | None:
    """For a key on a line that YAML takes for the continuation of a text above."""
    text = fault.previous
    if not text or text.line == fault.line.number:
        return None
    if text.text[:1] in "\"'":
        return unclosed_quote(fault, text)
    first, line = line_at(fault.source, text.start), fault.line
    for number in range(first.number, min(line.number, first.number + 50)):
        between = line_at(fault.source, fault.source.line_starts[number - 1])
        if found := odd_line(between):
            return found
    if first.number < line.number - 1:
        first = line_at(fault.source, fault.source.line_starts[line.number - 2])
        return _text_goes_on(first) if line.indent <= first.indent else _too_deep(first, line)
    if first.key:
        return _below_value(first, line)
    if not first.dashes:
        return missing_colon(first)
    return _below_item(first, line)


def _text_goes_on(first: Line) -> Diagnostic:
    if _EQUALS.fullmatch(first.value) or len(first.value.split()) <= 2:
        return missing_colon(first)
    return _no_key(first)


def _no_key(line: Line) -> Diagnostic:
    help = "if it continues the text above, indent it by two more spaces; if it is a key, give it a colon"
    return Diagnostic("missing-colon", "this line must be a key with a colon and a value", line.content, helps=(help,))


def _below_value(first: Line, line: Line) -> Diagnostic:
    """`- publish: a` with `qos: 1` below it, deeper; or two keys of which the second is too deep."""
    if not first.dashes or line.dashes or line.indent <= first.key_start - first.start:
        return _too_deep(first, line)
    key, name = cut(first.key), cut(line.word.text)
    option = "topic" if first.key in ("publish", "subscribe") else ""
    moved = f"begin with `{first.key}:`, and below it, in line with `{name}`, "
    moved += f"write `{option}: {cut(first.value, 40)}`" if option else "give its value as an option too"
    message = f"`{key}` has a value already, so `{name}` cannot be an option of it"
    labels = (Label(first.value_span, "this is its value"),)
    return Diagnostic("options-beside-value", message, line.word, labels=labels, helps=(moved,))


def _too_deep(first: Line, line: Line) -> Diagnostic:
    return misplaced(line, first.indent if line.dashes else first.key_start - first.start, first)


def _below_item(first: Line, line: Line) -> Diagnostic:
    """`- json` with something below it that has a colon."""
    word = cut(first.value)
    column = first.key_start - first.start
    if line.dashes or line.indent < column:
        return _too_deep(first, line)
    if line.indent > column or line.key in _COMMON_KEYS:
        colon = first.source.span(first.value_start, first.value_start + len(first.value))
        parts = _KEY_AND_VALUE.fullmatch(first.value)
        labels = (Label(line.word, "this is below it"),)
        help = write(f"- {parts[1]}: {as_written(parts[2])}" if parts else f"- {first.value}:")
        return Diagnostic("missing-colon", f"a colon must follow `{word}`", colon, labels=labels, helps=advice(help))
    return missing_dash(line, first)


def missing_dash(line: Line, sibling: Line) -> Diagnostic:
    """For a step without its dash in a list that began above."""
    labels = (Label(sibling.source.span(sibling.indent_end, sibling.indent_end + 1), "as here"),)
    dashed = "- " + line.source.text[line.key_start : line.value_start + len(line.value)].rstrip()
    helps = [write(dashed, "write `- ` before it")]
    distance = line.indent - sibling.indent
    if distance:
        helps.append(f"its dash belongs below the dash above: {shift(-distance)}")
    message = f"`{cut(line.word.text)}` must begin with a dash, as every item of a list"
    return Diagnostic("missing-dash", message, line.word, labels=labels, helps=tuple(helps))


def colon_missing(fault: Fault) -> Diagnostic:
    """For a line among keys or items that is neither."""
    line = fault.opened_line
    if found := odd_line(line):
        return found
    above = next((above for above in fault.lines_above(line) if above.indent <= line.indent), None)
    if above and above.dashes and above.indent == line.indent:
        return missing_dash(line, above)
    if above and above.value and not _EQUALS.fullmatch(line.value) and len(line.value.split()) > 2:
        return _no_key(line)
    return missing_colon(line)


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


def key_missing(fault: Fault) -> Diagnostic | None:
    """For what follows the entries of a map and is none."""
    line = fault.line
    if fault.previous and fault.previous.line < fault.previous.end_line and fault.previous.end_line == line.number:
        is_block = fault.previous.text[:1] in "|>"
        return (_below_block if is_block else _behind_quotes)(fault, fault.previous)
    if not fault.begins_line:
        return None
    if found := odd_line(line):
        return found
    if fault.char == ":":
        span = fault.source.span(fault.place, fault.place + 1)
        return Diagnostic("missing-key", "a key must stand before the colon", span)
    above = line_number(fault.source, max(1, line.number - 1))
    if above.is_blank and above.text.strip() and not line.key and not line.dashes and line.indent >= above.indent > 0:
        span = fault.source.span(above.indent_end, above.start + len(above.text))
        help = "move the comment above the whole text"
        return Diagnostic(
            "comment-in-text", "a comment must not stand between the lines of a text", span, helps=(help,)
        )
    column = fault.source.column_of(fault.opened) - 1
    if line.indent == column and line.dashes:
        return _unexpected_dash(fault)
    return uneven(fault)


def _unexpected_dash(fault: Fault) -> Diagnostic:
    line = fault.line
    above = next((above for above in fault.lines_above(line) if above.indent <= line.indent), None)
    span = fault.source.span(fault.place, fault.place + 1)
    message = "a list must stand under a key, and this dash stands among keys"
    labels = (Label(above.word, "a key"),) if above and above.key else ()
    help = "if this is a step, write `steps:` above it"
    if above and above.key and above.value:
        help = f"`{cut(above.key)}` has a value already; " + help
    return Diagnostic("unexpected-dash", message, span, labels=labels, helps=(help,))


def _behind_quotes(fault: Fault, text: Span) -> Diagnostic:
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
    helps = [write(line.with_value(rest + quote) if text.start == line.value_start else rest + quote)]
    if text.start == line.value_start and re.match(r"'\w+ ", rest):
        helps.append(
            f"or, if it is an apostrophe, {write(line.with_value(chr(34) + rest + chr(34)), 'use double quotes')}"
        )
    return Diagnostic("unclosed-quote", f"this {other} quote is never closed", span, helps=advice(*helps))
