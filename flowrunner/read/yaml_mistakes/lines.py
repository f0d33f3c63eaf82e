"""Turns a line of a YAML file into its parts: indentation, dashes, key, value, comment."""

import re
from dataclasses import replace

from flowrunner.records import dataclass
from flowrunner.text import Source, Span

_LINE = re.compile(
    r"(?P<indent>\s*)"
    r"(?P<dashes>(?:-(?:[ \t]+|$))*)"
    r"(?:(?P<key>\"[^\"]*\"|'[^']*'|[^\s\"'\[\]{}#&*!|>%@`,][^#:]*?)[ \t]*:(?=[ \t]|$)[ \t]*)?"
    r"(?P<value>.*)",
    re.DOTALL,
)
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SINGLE = re.compile(r"'(?:[^']|'')*'", re.DOTALL)
_COMMENT = re.compile(r"(?:^|[ \t])#")
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_FARTHEST = 2000  # characters that are looked at: nobody reads on, and a hostile file must not take long


@dataclass(frozen=True, slots=True)
class Line:
    """A line as a person reads it; `key` and `value` are as written, the value without comment and blanks behind it.

    `start`, `indent_end`, `key_start`, `value_start` are offsets in the source. Without a key, `value` is the rest.
    """

    source: Source
    number: int
    start: int
    text: str
    indent_end: int
    dashes: str
    key: str
    key_start: int
    value: str
    value_start: int

    @property
    def indent(self) -> int:
        """How many blanks stand before the text."""
        return self.indent_end - self.start

    @property
    def is_blank(self) -> bool:
        """Whether the line holds nothing, or only a comment."""
        return not self.text.strip() or self.text.lstrip().startswith("#")

    @property
    def content(self) -> Span:
        """What stands between the dashes and the comment."""
        end = self.value_start + len(self.value) if self.value else self.key_start + len(self.key) + bool(self.key)
        return self.source.span(self.key_start, end)

    @property
    def word(self) -> Span:
        """The key, or where there is none the first word of the text."""
        word = self.key or self.value.split(maxsplit=1)[0] if self.key or self.value else ""
        return self.source.span(self.key_start, self.key_start + len(word))

    @property
    def value_span(self) -> Span:
        """The place of the value."""
        return self.source.span(self.value_start, self.value_start + len(self.value))

    def with_value(self, value: str) -> str:
        """How the line is written with another value, without its indentation."""
        if self.key:
            return f"{self.key}: {value}"
        return f"- {value}" if self.dashes else value

    def with_part(self, part: Span, text: str) -> str:
        """How the line is written with `text` instead of a part of its value; only the text if the part is no such."""
        end = self.value_start + len(self.value)
        if not self.value_start <= part.start <= part.end <= end:
            return text
        before = self.source.text[self.value_start : part.start]
        return self.with_value(before + text + self.source.text[part.end : end])


def line_at(source: Source, offset: int) -> Line:
    """The line that holds the character at `offset`."""
    return line_number(source, source.line_of(offset))


def line_number(source: Source, number: int) -> Line:
    """The line with this number, from 1."""
    text, start = source.lines[number - 1], source.line_starts[number - 1]
    return part_of_line(Line(source, number, start, text, 0, "", "", 0, "", 0), start, start + len(text))


def line_of(span: Span) -> Line:
    """The line on which something begins, read as if nothing stood before and behind it."""
    line = line_at(span.source, span.start)
    return part_of_line(line, span.start, min(span.end, line.start + len(line.text)))


def part_of_line(line: Line, start: int, end: int) -> Line:
    """The same line, read only from `start` to `end`."""
    parts = _LINE.fullmatch(line.source.text, start, min(end, start + _FARTHEST))
    assert parts  # every part of it may be empty
    return replace(
        line,
        indent_end=parts.end("indent"),
        dashes=parts["dashes"],
        key=parts["key"] or "",
        key_start=parts.end("dashes"),
        value=without_comment(parts["value"]),
        value_start=parts.start("value"),
    )


def without_comment(value: str) -> str:
    """A value without the comment behind it; in quotes and brackets a `#` is part of the text."""
    behind = end_of_quotes(value) or end_of_brackets(value) or 0
    comment = _COMMENT.search(value, behind)
    return (value[: comment.start()] if comment else value).rstrip()


def end_of_quotes(text: str, start: int = 0) -> int | None:
    """Where the quoted text that begins at `start` ends; None if none begins there, or if it never ends."""
    stop = start + _FARTHEST
    quoted = _DOUBLE.match(text, start, stop) or _SINGLE.match(text, start, stop)
    return quoted.end() if quoted else None


def end_of_brackets(text: str, start: int = 0) -> int | None:
    """Where the bracket that opens at `start` is closed; quotes are respected; None if it never is."""
    if text[start : start + 1] not in _CLOSING:
        return None
    expected: list[str] = []
    place = start
    while place < min(len(text), start + _FARTHEST):
        char = text[place]
        if char in _CLOSING:
            expected.append(_CLOSING[char])
        elif char in "]})":
            if char != expected.pop():
                return None
            if not expected:
                return place + 1
        elif char in "\"'" and (quoted := end_of_quotes(text, place)):
            place = quoted - 1
        place += 1
    return None


def end_of_item(text: str, start: int) -> int:
    """Where the value that begins at `start` inside `{}` or `[]` ends: at a comma or bracket that is not its own."""
    place = start
    while place < len(text) and text[place] not in ",]}\r\n":
        place = end_of_brackets(text, place) or end_of_quotes(text, place) or place + 1
    return start + len(text[start:place].rstrip())
