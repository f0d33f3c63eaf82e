"""Turns what a YAML parser complains about into what stands around that place."""

import re
from bisect import bisect_left
from functools import cached_property
from typing import Any, Literal

import yaml

from flowrunner.read.yaml_mistakes.lines import Line, line_at, line_number
from flowrunner.read.yaml_parser import tokens_before
from flowrunner.text import Source, Span

Kind = Literal[
    "character", "tab", "directive", "escape", "end-of-quotes", "block-header", "dash", "question", "name", "tag",
    "colon-not-allowed",
    "colon-missing", "dash-missing", "key-missing", "comma-missing", "value-missing", "start-missing", "other",
]  # fmt: skip

# What libyaml and PyYAML say, in their own words; the first that fits counts.
_PHRASES: dict[Kind, str] = {
    "tab": r"tab character|'\\t' that cannot start",
    "directive": r"directive|incompatible YAML|%YAML|%TAG",
    "character": r"cannot start any token",
    "escape": r"escape character|hexdecimal|escape sequence of|invalid Unicode character",
    "end-of-quotes": r"while scanning a (double-|single-)?quoted",
    "block-header": r"while scanning a block scalar",
    "name": r"while scanning an (alias|anchor)",
    "tag": r"while (scanning|parsing) a tag|tag handle",
    "question": r"mapping keys are not allowed",
    "dash": r"sequence entries are not allowed",
    "colon-not-allowed": r"mapping values are not allowed",
    "colon-missing": r"could not find expected ':'",
    "comma-missing": r"expected ',' or|unexpected ':'",
    "value-missing": r"expected (the )?node content",
    "dash-missing": r"while parsing a block collection",
    "key-missing": r"while parsing a block mapping",
    "start-missing": r"document start",
}

_OPENING = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_VISIBLE = (yaml.ScalarToken, yaml.AliasToken, yaml.AnchorToken, yaml.TagToken, *_OPENING, *_CLOSING)


class Fault:
    """A place at which a text stops being YAML, and what stands around it.

    `place` is where the parser stopped, `opened` where the thing began that it could not finish (or `place`).
    """

    def __init__(self, source: Source, error: yaml.YAMLError) -> None:
        self.source = source
        self.shift = 1 if source.text.startswith("\ufeff") else 0
        self.place = self.offset(getattr(error, "problem_mark", None), 0)
        self.opened = self.offset(getattr(error, "context_mark", None), self.place)
        self.said = f"{getattr(error, 'context', '')}: {getattr(error, 'problem', '')}"
        self.kind: Kind = next((kind for kind, phrase in _PHRASES.items() if re.search(phrase, self.said)), "other")

    def offset(self, mark: Any, otherwise: int) -> int:
        """The place of a parser's mark; `otherwise` where it has none."""
        return min(mark.index + self.shift, len(self.source.text)) if mark else otherwise

    @property
    def char(self) -> str:
        """The character at the place; empty at the end of the text."""
        return self.source.text[self.place : self.place + 1]

    @cached_property
    def line(self) -> Line:
        """The line of the place."""
        return line_at(self.source, self.place)

    @cached_property
    def opened_line(self) -> Line:
        """The line on which the unfinished thing began."""
        return line_at(self.source, self.opened)

    @property
    def begins_line(self) -> bool:
        """Whether nothing but blanks stands before the place on its line."""
        return self.place <= self.line.indent_end

    @cached_property
    def tokens(self) -> list[tuple[yaml.Token, int, int]]:
        """What YAML made of the text before the place, and where each piece stands."""
        tokens = tokens_before(self.source.text[self.shift :], self.place - self.shift)
        return [(token, a + self.shift, b + self.shift) for token, a, b in tokens if isinstance(token, _VISIBLE)]

    @property
    def previous(self) -> Span | None:
        """The last piece that ends at or before the place."""
        return next(
            (self.source.span(start, end) for _, start, end in reversed(self.tokens) if end <= self.place), None
        )

    @cached_property
    def open_brackets(self) -> list[int]:
        """Where the brackets stand that are open at the place, the outermost first."""
        found: list[int] = []
        for token, start, _ in self.tokens:
            if isinstance(token, _OPENING):
                found.append(start)
            elif isinstance(token, _CLOSING) and found:
                found.pop()
        return found

    def is_inside_text(self, line: Line) -> bool:
        """Whether the line continues a text that began on a line before: such a line has no parts."""
        before = bisect_left(self.texts, (line.start, 0))
        return before > 0 and line.start < self.texts[before - 1][1]

    @cached_property
    def texts(self) -> list[tuple[int, int]]:
        """Where texts begin and end, in the order of the file."""
        return [(start, end) for token, start, end in self.tokens if isinstance(token, yaml.ScalarToken)]

    def lines_above(self, line: Line, *, most: int = 500) -> list[Line]:
        """The lines before this one that hold something of their own, the nearest first."""
        lines = (line_number(self.source, number) for number in range(line.number - 1, max(0, line.number - most), -1))
        return [above for above in lines if not above.is_blank and not self.is_inside_text(above)]
