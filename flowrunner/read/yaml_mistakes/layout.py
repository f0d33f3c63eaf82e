"""Turns lines that are no entries of their map into diagnostics: colons that are missing, keys below a value."""

import re

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import advice, as_written, cut, write
from flowrunner.read.yaml_mistakes.dashes import missing_dash, unexpected_dash
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.indentation import misplaced, uneven
from flowrunner.read.yaml_mistakes.lines import Line, line_at, line_number
from flowrunner.read.yaml_mistakes.odd_lines import odd_line
from flowrunner.read.yaml_mistakes.quotes import behind_quotes_above, unclosed_quote
from flowrunner.text import Span

# what the short form of a step or source fills: words of the language, which never change
MAIN_OPTIONS = {
    "subscribe": "topic",
    "every": "interval",
    "cron": "schedule",
    "decode": "format",
    "encode": "format",
    "filter": "if",
    "changed": "value",
    "dedupe": "key",
    "throttle": "rate",
    "debounce": "for",
    "delay": "for",
    "sample": "every",
    "split": "value",
    "log": "text",
    "publish": "topic",
    "http": "url",
    "write": "file",
    "python": "function",
    "call": "flow",
    "stop": "reason",
}
_COMMON_KEYS = {"id", "when", "on_error"}
_EQUALS = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*(?!=)(.*)")
_KEY_AND_VALUE = re.compile(r"([A-Za-z_]\w*)\s+(\S.*)")


def missing_colon(line: Line) -> Diagnostic:
    """For `subscribe a/b` and `steps`, `topic = a/b`; below `steps:` it is the dash that is missing."""
    if _is_below_steps(line_number(line.source, line.number)):
        return missing_dash(line)
    equals = _EQUALS.fullmatch(line.value)
    parts = equals or _KEY_AND_VALUE.fullmatch(line.value)
    word = parts[1] if parts else line.value
    span = line.source.span(line.value_start, line.value_start + len(word))
    corrected = f"{word}: {as_written(parts[2])}" if parts and parts[2] else f"{word}:"
    dash = "- " if line.dashes else ""
    message = "a key is followed by a colon, not by `=`" if equals else f"a colon must follow `{cut(word)}`"
    return Diagnostic("missing-colon", message, span, helps=advice(write(dash + corrected)))


def _is_below_steps(line: Line) -> bool:
    """Whether a line without a dash stands right below `steps:`, and further in."""
    above = (line_number(line.source, number) for number in range(line.number - 1, 0, -1))
    first = next((one for one in above if not one.is_blank), None)
    is_key = first is not None and first.key == "steps" and not first.value
    return first is not None and is_key and first.indent < line.indent and not line.dashes


def _below_block(fault: Fault, block: Span) -> Diagnostic:
    """For a line that is less indented than the text block above, and more than its key."""
    lines = range(block.line + 1, min(block.end_line, block.line + 50) + 1)
    first = next((line for number in lines if not (line := line_number(fault.source, number)).is_blank), fault.line)
    return misplaced(fault.line, first.indent, first)


def missing_key(fault: Fault) -> Diagnostic | None:
    """For a colon at the beginning of its line."""
    if fault.char != ":" or fault.place > fault.line.key_start:
        return None
    span = fault.source.span(fault.place, fault.place + 1)
    help = "delete the colon, or write a key before it"
    return Diagnostic("missing-key", "a key must stand before the colon", span, helps=(help,))


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
    option = MAIN_OPTIONS.get(first.key, "")
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


def root_is_text(fault: Fault) -> Diagnostic | None:
    """For a first line without a colon that a comment ends, so that YAML takes it for the whole document."""
    text = fault.previous
    if not text or not fault.begins_line or not re.match(r"\w", text.text) or text.line == fault.line.number:
        return None
    return missing_colon(line_at(fault.source, text.start))


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


def key_missing(fault: Fault) -> Diagnostic | None:
    """For what follows the entries of a map and is none."""
    line = fault.line
    if fault.previous and fault.previous.line < fault.previous.end_line and fault.previous.end_line == line.number:
        is_block = fault.previous.text[:1] in "|>"
        return (_below_block if is_block else behind_quotes_above)(fault, fault.previous)
    if not fault.begins_line:
        return None
    if found := odd_line(line):
        return found
    if found := _comment_in_text(fault):
        return found
    column = fault.source.column_of(fault.opened) - 1
    if line.indent == column and line.dashes:
        return unexpected_dash(fault)
    return uneven(fault)


def _comment_in_text(fault: Fault) -> Diagnostic | None:
    """For a text that goes on below a comment."""
    line = fault.line
    above = line_number(fault.source, max(1, line.number - 1))
    is_comment = above.is_blank and above.text.strip() and line.indent >= above.indent > 0
    if not is_comment or line.key or line.dashes:
        return None
    span = fault.source.span(above.indent_end, above.start + len(above.text))
    message = "a comment must not stand between the lines of a text"
    return Diagnostic("comment-in-text", message, span, helps=("move the comment above the whole text",))
