"""Turns offsets in a text into the lines and columns that people see in their editor."""

import dataclasses
import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from flowrunner.records import dataclass

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A text and the name under which it is shown.

    `name` is the path as the user would write it (relative where that is shorter). Lines end at LF, CRLF or CR
    as in editors; the further line ends of Unicode (NEL, LS, PS) do not count.
    """

    name: str
    text: str

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets (in characters) at which the lines begin; never empty."""
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    @cached_property
    def lines(self) -> list[str]:
        """The lines without their ends; never empty."""
        return _LINE_END.split(self.text)

    def line_of(self, offset: int) -> int:
        """Number (from 1) of the line that holds the character at `offset`."""
        return bisect_right(self.line_starts, offset)

    def column_of(self, offset: int) -> int:
        """Column (from 1, in characters) of the character at `offset`."""
        return offset - self.line_starts[self.line_of(offset) - 1] + 1

    def offset_of(self, *, line: int, column: int) -> int:
        """Offset of a place given as line and column, both from 1, cut to the text."""
        line = min(max(line, 1), len(self.line_starts))
        return min(self.line_starts[line - 1] + max(column, 1) - 1, len(self.text))

    def byte_column_of(self, offset: int) -> int:
        """Column (from 0, in UTF-8 bytes) as Python's `ast` counts it."""
        start = self.line_starts[self.line_of(offset) - 1]
        return len(self.text[start:offset].encode("utf-8", "surrogatepass"))

    def offset_of_bytes(self, *, line: int, byte_column: int) -> int:
        """Offset of a place as Python's positions give it: line from 1, column from 0 in UTF-8 bytes."""
        if not 1 <= line <= len(self.lines):
            return len(self.text)
        head = self.lines[line - 1].encode("utf-8", "surrogatepass")[:byte_column]
        return self.line_starts[line - 1] + len(head.decode("utf-8", "ignore"))

    def span(self, start: int, end: int) -> "Span":
        """The part from `start` to `end` (excluded), cut to the text."""
        start = min(max(start, 0), len(self.text))
        return Span(self, start, min(max(end, start), len(self.text)))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a source: the characters from `start` to `end` (excluded). It may be empty: a place between two."""

    source: Source = dataclasses.field(repr=False)
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters of the span."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """Line (from 1) of the first character."""
        return self.source.line_of(self.start)

    @property
    def column(self) -> int:
        """Column (from 1) of the first character."""
        return self.source.column_of(self.start)

    @property
    def end_line(self) -> int:
        """Line (from 1) of the place behind the last character."""
        return self.source.line_of(self.end)

    @property
    def end_column(self) -> int:
        """Column (from 1) of the place behind the last character."""
        return self.source.column_of(self.end)

    def sub(self, start: int, end: int) -> "Span":
        """The part of this span from `start` to `end`, both counted from its beginning."""
        return self.source.span(self.start + start, self.start + end)

    def first_line(self) -> "Span":
        """This span, cut at the end of its first line: what a frame can underline."""
        line = self.line
        line_end = self.source.line_starts[line - 1] + len(self.source.lines[line - 1])
        return Span(self.source, self.start, max(self.start, min(self.end, line_end)))

    def holds(self, other: "Span") -> bool:
        """Whether `other` lies inside this span."""
        return self.source is other.source and self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class Passage:
    """A text as it was meant, and where each of its characters stands in the source.

    A YAML scalar is more than what stands between its quotes: escapes, folds and indentation take part. The character
    `text[i]` stands in the source from `starts[i]` to `ends[i]` (excluded); `origin` is the place of an empty text.
    """

    source: Source = dataclasses.field(repr=False)
    text: str
    starts: Sequence[int] = dataclasses.field(repr=False)
    ends: Sequence[int] = dataclasses.field(repr=False)
    origin: int = 0

    @classmethod
    def verbatim(cls, span: Span) -> "Passage":
        """The passage whose text stands in the source exactly as it was meant."""
        starts, ends = range(span.start, span.end), range(span.start + 1, span.end + 1)
        return cls(span.source, span.text, starts, ends, span.start)

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """The place in the source of `text[start:end]`; of an empty part, the place between two characters."""
        end = len(self.text) if end is None else min(end, len(self.text))
        if start < end:
            return self.source.span(self.starts[start], self.ends[end - 1])
        place = self.starts[end] if end < len(self.text) else self.ends[-1] if self.text else self.origin
        return self.source.span(place, place)

    def sub(self, start: int, end: int) -> "Passage":
        """The passage from `start` to `end` (excluded)."""
        origin = self.span(start, start).start
        return Passage(self.source, self.text[start:end], self.starts[start:end], self.ends[start:end], origin)
