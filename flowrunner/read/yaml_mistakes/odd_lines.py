"""Turns lines that look wrong by themselves into diagnostics: no space behind a colon or dash, tabs, odd quotes."""

import re

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.yaml_mistakes.advice import advice, as_written, write
from flowrunner.read.yaml_mistakes.characters import (
    find_foreign_comment,
    find_invisible_space,
    find_smart_quotes,
    find_tab,
)
from flowrunner.read.yaml_mistakes.lines import Line

_NO_SPACE_BEHIND_COLON = re.compile(r"([A-Za-z_]\w*):(?!//)([^\s:/].*)")
_NO_SPACE_BEHIND_DASH = re.compile(r"-([A-Za-z_{\[\"'$].*)")


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
