"""Turns values that YAML read as something else than was meant into diagnostics."""

import re

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.nodes import List, Map, Scalar
from flowrunner.read.yaml_mistakes.advice import advice, as_yaml, cut, quoted, rewrite, write
from flowrunner.read.yaml_mistakes.characters import STRAIGHT_QUOTES
from flowrunner.read.yaml_mistakes.layout import missing_colon
from flowrunner.read.yaml_mistakes.lines import line_at, line_of
from flowrunner.read.yaml_mistakes.odd_lines import no_space_behind_colon, no_space_behind_dash
from flowrunner.read.yaml_mistakes.values import text_block
from flowrunner.text import Span

_COMMENT = re.compile(r"[ \t]*(#[^\s,\]}]*)[ \t]*(.*)")
_ANCHOR = re.compile(r"&[\w-]+$")
_NAME = re.compile(r"[A-Za-z_]\w*")


def explain_null(span: Span) -> Diagnostic | None:
    """For an empty value at `span` behind which a comment begins: `subscribe: #`, `- #rest`, `topic: &name`."""
    if span.text:
        return None
    line = line_at(span.source, span.start)
    place = span.end - line.start
    if anchor := _ANCHOR.search(line.text[:place]):
        there = span.source.span(line.start + anchor.start(), span.end)
        message = f"`{cut(anchor[0])}` names a value (an anchor) and is none itself"
        return Diagnostic("special-character", message, there, helps=advice(write(line.with_value(quoted(anchor[0])))))
    found = _COMMENT.fullmatch(line.text, place)
    if not found:
        return None
    word, words = found[1], found[2]
    there = span.source.span(line.start + found.start(1), line.start + found.end(1))
    helps = (write(quoted(word) if line.value else line.with_value(quoted(word)), "put it in quotes"),)
    if word != "#":
        return Diagnostic(
            "lone-hash", f"`{cut(word)}` starts a comment here, so the value is missing", there, helps=helps
        )
    if words:
        is_filter = line.key in ("subscribe", "topic", "")
        helps = (
            f"for the topic filter that matches every topic, {helps[0]}" if is_filter else "write it before the `#`",
        )
        return Diagnostic("lone-hash", "a value is missing; what follows `#` is a comment", there, helps=helps)
    return Diagnostic("lone-hash", 'a lone `#` starts a comment; write `"#"`', there, helps=helps)


def explain_map_for_text(map: Map) -> Diagnostic | None:
    """For braces around a name: `publish: {room}`."""
    raw = map.span.text
    found = re.fullmatch(r"\{\s*([^{}:,]+?)\s*\}", raw)
    if not found or len(map.entries) != 1:
        return None
    message = "`{...}` is a map in YAML; an expression is inserted by `${...}`"
    line = line_at(map.span.source, map.span.start)
    corrected = f"${{{found[1]}}}"
    corrected = as_yaml(corrected) if map.span.start == line.value_start else quoted(corrected)
    return Diagnostic("braces", message, map.span.first_line(), helps=advice(rewrite(map.span, corrected)))


def explain_list_for_text(list: List) -> Diagnostic | None:
    """For an expression in brackets: `map: [p.x for p in payload]`."""
    raw = list.span.text
    if not raw.startswith("[") or not re.search(r"\bfor\b.*\bin\b", raw):
        return None
    message = "`[...]` is a list in YAML; an expression that begins with `[` must be quoted"
    help = rewrite(list.span, quoted(raw), "put the whole expression in quotes")
    return Diagnostic("unquoted-expression", message, list.span.first_line(), helps=(help,))


def explain_block_for_expression(scalar: Scalar) -> Diagnostic | None:
    """For a text block with nothing in it: `filter: >5`, `filter: >`."""
    if scalar.style not in ("literal", "folded") or scalar.text.strip():
        return None
    return text_block(line_at(scalar.span.source, scalar.span.start), scalar.span.start)


def explain_text_for_map(scalar: Scalar) -> Diagnostic | None:
    """For a key whose colon is missing or has no space behind it: `topic:foo`, `filter payload > 3`, `topic = foo`."""
    if scalar.style != "plain":
        return None
    line = line_of(scalar.span)
    if found := no_space_behind_colon(line):
        return found
    return missing_colon(line) if re.match(r"[A-Za-z_]\w*(\s+\S|\s*=[^=])", line.value) else None


def explain_text_for_list(scalar: Scalar) -> Diagnostic | None:
    """For a dash that has no space behind it: `-json`."""
    return no_space_behind_dash(line_of(scalar.span)) if scalar.style == "plain" else None


def explain_smart_quotes(scalar: Scalar) -> Diagnostic | None:
    """For a text in the quotes of a word processor, which YAML takes for letters: `subscribe: “a/b”`."""
    straight = scalar.text.translate(STRAIGHT_QUOTES)
    if scalar.style != "plain" or straight == scalar.text or len(straight) < 2 or straight[0] not in "\"'":
        return None
    message = f"`{scalar.text[0]}` is a letter for YAML; its quotes are `\"` and `'`"
    return Diagnostic("smart-quotes", message, scalar.span.first_line(), helps=advice(write(straight)))
