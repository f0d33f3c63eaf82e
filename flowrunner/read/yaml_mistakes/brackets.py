"""Turns mistakes inside `{}` and `[]` into diagnostics."""

import re
from dataclasses import replace

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.read.yaml_mistakes.advice import advice, cut, quoted, rewrite, with_holes, write
from flowrunner.read.yaml_mistakes.characters import find_foreign_comment
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.lines import end_of_item, end_of_quotes, line_at
from flowrunner.read.yaml_mistakes.values import question_mark, without_ternary
from flowrunner.text import Span

_PAIR = {"{": "}", "[": "]"}
_COMMENT = re.compile(r"(?<=[\s,\[{])#[^\r\n]*")


def inside_brackets(fault: Fault) -> Diagnostic | None:
    """For a fault between `{` and `}` or `[` and `]`; None if no bracket is open there."""
    if not fault.open_brackets:
        return None
    opening = fault.open_brackets[-1]
    for find in (
        _lone_hash,
        _foreign_comment,
        _dash,
        _choice,
        _unquoted,
        _wrong_bracket,
        _unclosed,
        _missing_comma,
        _colon,
    ):
        if found := find(fault, opening):
            return found
    return _unexpected(fault, opening)


def _lone_hash(fault: Fault, opening: int) -> Diagnostic | None:
    """`[#]`: what follows is a comment, the closing bracket too."""
    line = line_at(fault.source, opening)
    found = _COMMENT.search(line.text, opening - line.start)
    if not found or not re.match(r"#[\w/]*\s*[,\]}]", found[0]):
        return None
    word = re.match(r"#[\w/]*", found[0])
    assert word
    start = line.start + found.start()
    span = fault.source.span(start, start + word.end())
    # what follows is no comment any more once it is quoted, so the line has to be taken whole
    whole = replace(line, value=line.text[line.value_start - line.start :].rstrip())
    help = write(whole.with_part(span, quoted(word[0])))
    shown = cut(word[0])
    message = f'{"a lone `#`" if shown == "#" else "`#`"} starts a comment; write `"{shown}"`'
    return Diagnostic("lone-hash", message, span, helps=advice(help))


def _foreign_comment(fault: Fault, opening: int) -> Diagnostic | None:
    for line in (fault.line, *fault.lines_above(fault.line, most=2)):
        if line.start + len(line.text) > opening and (found := find_foreign_comment(line, anywhere=True)):
            return found if found.span.start > opening else None
    return None


def _dash(fault: Fault, opening: int) -> Diagnostic | None:
    """A list with dashes between brackets."""
    text = fault.source.text
    if not re.match(r"-[ \t]", text[fault.place : fault.place + 2]):
        return None
    pair = text[opening] + _PAIR[text[opening]]
    labels = (Label(fault.source.span(opening, opening + 1), "opened here"),)
    message = f"inside `{pair}` commas stand between the items, and no dashes"
    help = "leave out the dashes and write commas, or leave out the brackets"
    return Diagnostic("unexpected-dash", message, fault.source.span(fault.place, fault.place + 1), "", labels, (help,))


def _choice(fault: Fault, opening: int) -> Diagnostic | None:
    """`{a: payload.x ? 1 : 2}`."""
    item = _item_around(fault, opening)
    corrected = without_ternary(item.text)
    if not corrected:
        return None
    return question_mark(item, rewrite(item, quoted(corrected if "${" in corrected else f"${{{corrected}}}")))


def _unquoted(fault: Fault, opening: int) -> Diagnostic | None:
    """`{topic: alerts/${room}}`, `{if: payload["x"] > 1}`, `{if: "ON" == payload}`, `[p["x"] for p in payload]`."""
    previous = fault.previous
    if not previous or previous.start < opening or "\n" in fault.source.text[previous.end : fault.place]:
        return None
    begins_quoted = previous.text[:1] in "\"'"
    if fault.char not in ("{", "[") and not begins_quoted and previous.text[:1] not in "]}":
        return None
    if begins_quoted and (fault.char in "\"':" or _is_key(fault)):
        return None
    return _quote_item(fault, opening, _item_around(fault, opening))


def _quote_item(fault: Fault, opening: int, item: Span) -> Diagnostic | None:
    if not item.text:
        return None
    bracket = fault.source.text[opening]
    line = line_at(fault.source, opening)
    end = min(line.value_start + len(line.value), line.start + len(line.text))
    if bracket == "[" and " for " in fault.source.text[opening:end]:
        span = fault.source.span(opening, end)
        message = "an expression that begins with `[` must be quoted"
        return Diagnostic("unquoted-expression", message, span, helps=advice(rewrite(span, quoted(span.text))))
    what = "`${...}`" if "${" in item.text else f"`{fault.char}`"
    message = f"inside `{bracket}{_PAIR[bracket]}` a text with {what} must be quoted"
    code = "unquoted-in-brackets"
    if item.text[0] in "\"'":
        code, message = "text-after-quotes", "text follows the closing quote; the whole value must be quoted"
    text = quoted(with_holes(item.text) if "{{" in item.text else item.text)
    return Diagnostic(code, message, item, helps=advice(rewrite(item, text)))


def _wrong_bracket(fault: Fault, opening: int) -> Diagnostic | None:
    bracket = fault.source.text[opening]
    if fault.char not in ("}", "]") or fault.char == _PAIR[bracket]:
        return None
    labels = (Label(fault.source.span(opening, opening + 1), "opened here"),)
    message = f"`{bracket}` must be closed by `{_PAIR[bracket]}`, not by `{fault.char}`"
    span = fault.source.span(fault.place, fault.place + 1)
    return Diagnostic("wrong-bracket", message, span, labels=labels, helps=(f"write `{_PAIR[bracket]}`",))


def _unclosed(fault: Fault, opening: int) -> Diagnostic | None:
    """A bracket whose line ends, and what follows is no part of it."""
    line = line_at(fault.source, opening)
    column = line.key_start - line.start
    if fault.char and (fault.line.number == line.number or (fault.line.indent > column and not fault.line.dashes)):
        return None
    rest = fault.source.text[opening : line.value_start + len(line.value)]
    if len(rest) <= 1 and fault.char and fault.line.indent >= column:
        return None  # a bracket that ends its line was meant to stay open
    outermost = fault.source.span(opening, opening + 1)
    missing = "".join(_PAIR[fault.source.text[place]] for place in reversed(fault.open_brackets) if place >= line.start)
    message = f"this `{outermost.text}` is never closed"
    whole = fault.source.span(opening, opening + len(rest))
    help = rewrite(whole, rest.rstrip(", ") + missing) if len(rest) > 1 else f"write `{missing}` behind the last entry"
    helps = advice(help)
    return Diagnostic("unclosed-bracket", message, outermost, helps=helps)


def _missing_comma(fault: Fault, opening: int) -> Diagnostic | None:
    previous = fault.previous
    if not previous or previous.start < opening or fault.char in ("", ",", "]", "}"):
        return None
    end = previous.end
    if fault.char == ":":  # the next key was taken for a part of the value: `{a: 1 b: 2}`
        found = re.search(r"\s+[\w.\"'-]+$", previous.text)
        if not found:
            return None
        end = previous.start + found.start()
    elif not _is_key(fault) and fault.source.text[opening] == "{":
        return None
    message = "a comma is missing between two entries"
    line = line_at(fault.source, end - 1)
    stop = line.value_start + len(line.value)
    span = fault.source.span(end - 1, end)
    help = rewrite(span, f"{span.text},") if stop > end else write(fault.source.text[line.indent_end : end] + ",")
    return Diagnostic("missing-comma", message, span, "a comma behind this", helps=advice(help))


def _colon(fault: Fault, opening: int) -> Diagnostic | None:
    item = _item_around(fault, opening)
    if fault.char != ":" or not item.text:
        return None
    span = fault.source.span(fault.place, fault.place + 1)
    helps = advice(rewrite(item, quoted(item.text), "put the text in quotes"))
    return Diagnostic("colon-in-text", "a text with a colon and a space in it must be quoted", span, helps=helps)


def _unexpected(fault: Fault, opening: int) -> Diagnostic:
    bracket = fault.source.text[opening]
    labels = (Label(fault.source.span(opening, opening + 1), "opened here"),)
    span = fault.source.span(fault.place, fault.place + 1)
    if fault.char == ",":
        message = "a value is missing before the comma"
        return Diagnostic(
            "missing-value", message, span, helps=('delete the comma, or write `null` or `""` before it',)
        )
    message = f"a `,` or `{_PAIR[bracket]}` must stand here"
    help = "inside `{}` and `[]` put the text in quotes, or write the entries on lines of their own"
    return Diagnostic("unexpected-in-brackets", message, span, labels=labels, helps=(help,))


def _item_around(fault: Fault, opening: int) -> Span:
    """The value before the place, and what follows up to a comma or bracket that is not its own."""
    start, depth = opening + 1, 0
    for _, begin, end in reversed(fault.tokens):
        if end > fault.place or begin <= opening:
            continue
        depth += (fault.source.text[begin] in "]}") - (fault.source.text[begin] in "[{")
        if depth <= 0:
            start = begin
            break
    return fault.source.span(start, end_of_item(fault.source.text, start))


def _is_key(fault: Fault) -> bool:
    """Whether a key and its colon stand at the place."""
    text = fault.source.text[fault.place : fault.place + 100]
    quotes = end_of_quotes(text)
    return bool(re.match(r"\s*:", text[quotes:]) if quotes else re.match(r"[A-Za-z_][\w.-]*:(\s|$)", text))
