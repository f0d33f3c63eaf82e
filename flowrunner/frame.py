"""Turns a diagnostic into a frame: the message, the lines of the file, and marks under the places."""

import unicodedata

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.records import dataclass
from flowrunner.text import Source, Span

_WIDEST = 160  # characters of a source line that are shown; the rest is cut around the mark
_COLORS = {"error": "1;31", "warning": "1;33", "gutter": "1;34", "help": "1;36", "bold": "1"}


def draw(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """The frame as text that ends with a line end, with ANSI colours where `color` is true."""
    return "\n".join(_Frame(diagnostic, color).lines()) + "\n"


@dataclass(frozen=True, slots=True)
class _Frame:
    diagnostic: Diagnostic
    color: bool

    def lines(self) -> list[str]:
        d = self.diagnostic
        head = self.paint(f"{d.severity}[{d.code}]", d.severity) + self.paint(f": {visible(d.message)}", "bold")
        place = f"{d.span.source.name}:{d.span.line}:{d.span.column}"
        width = len(str(max(label.span.line for label in self.marks())))
        body = [head, " " * width + self.paint("--> ", "gutter") + place]
        body.append(" " * (width + 1) + self.paint("|", "gutter"))
        body += self.source_lines(width)
        body += [self.paint("help", "help") + f": {visible(text)}" for text in d.helps]
        body += [self.paint("note", "bold") + f": {visible(text)}" for text in d.notes]
        return body

    def marks(self) -> list[Label]:
        own = Label(self.diagnostic.span, self.diagnostic.label)
        source = own.span.source
        return [own, *(label for label in self.diagnostic.labels if label.span.source is source)]

    def source_lines(self, width: int) -> list[str]:
        drawn: list[str] = []
        by_line: dict[int, list[Label]] = {}
        for mark in self.marks():
            by_line.setdefault(mark.span.line, []).append(mark)
        previous = 0
        for number in sorted(by_line):
            if previous and number > previous + 1:
                drawn.append(self.paint("...", "gutter"))
            previous = number
            drawn += self.one_line(number, by_line[number], width)
        return drawn

    def one_line(self, number: int, marks: list[Label], width: int) -> list[str]:
        line = _Line.around(self.diagnostic.span.source, number, marks[0].span)
        gutter = self.paint(f"{number:>{width}} |", "gutter")
        drawn = [f"{gutter} {line.shown}".rstrip()]
        empty = self.paint(" " * width + " |", "gutter")
        for mark in marks:
            is_own = mark is marks[0] and mark.span == self.diagnostic.span
            indent, length = line.cells(mark.span)
            under = ("^" if is_own else "-") * length
            text = f"{under} {visible(mark.text)}".rstrip()
            drawn.append(f"{empty} {' ' * indent}{self.paint(text, self.diagnostic.severity if is_own else 'gutter')}")
        return drawn

    def paint(self, text: str, role: str) -> str:
        return f"\x1b[{_COLORS[role]}m{text}\x1b[0m" if self.color and text else text


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as it is shown: cut around a mark where it is very long, with nothing in it that a terminal obeys."""

    start: int  # offset in the source of the first character that is shown
    raw: str
    cut: str  # what stands before `raw` where the line was cut

    @classmethod
    def around(cls, source: Source, number: int, span: Span) -> "_Line":
        raw, start = source.lines[number - 1], source.line_starts[number - 1]
        if len(raw) <= _WIDEST:
            return cls(start, raw, "")
        begin = max(0, min(span.start - start - _WIDEST // 3, len(raw) - _WIDEST))
        return cls(start + begin, raw[begin : begin + _WIDEST], "…" if begin else "")

    @property
    def shown(self) -> str:
        return self.cut + visible(self.raw)

    def cells(self, span: Span) -> tuple[int, int]:
        """Where the mark begins and how long it is, in cells of the terminal."""
        begin = max(0, span.start - self.start)
        end = max(begin, min(span.end - self.start, len(self.raw)))
        indent = len(self.cut) + width_of(visible(self.raw[:begin]))
        return indent, max(1, width_of(visible(self.raw[begin:end])))


def visible(text: str) -> str:
    """The text with tabs as arrows and every control character escaped, so that a terminal shows and never obeys it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "→   " if char == "\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    # joiners and variation selectors are part of what people write (emoji); separators are spaces of some width
    if unicodedata.category(char) == "Zs" or char in "\u200c\u200d\ufe0e\ufe0f":
        return char
    return repr(char)[1:-1]


def width_of(text: str) -> int:
    """Cells that a text takes in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
