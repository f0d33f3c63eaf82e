"""Turns the source of a YAML scalar into a passage: its text, and where each character stands in the file."""

import re
from typing import Literal

from flowrunner.text import Passage, Span

_BREAK = re.compile(r"\r\n|\r|\n")
# pieces of a scalar that is no block: what one look takes, so that a long run of blanks is looked at once
_FOLDED = r"(?P<fold>(?:\r\n|\r|\n)[ \t\r\n]*)|(?P<blanks>[ \t]+)"
_PIECES = {
    "plain": re.compile(rf"{_FOLDED}|.", re.DOTALL),
    "single": re.compile(rf"{_FOLDED}|(?P<quote>'')|.", re.DOTALL),
    "double": re.compile(
        rf"{_FOLDED}|(?P<joined>\\(?:\r\n|\r|\n)[ \t\r\n]*)"
        r"|\\(?P<code>x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|.",
        re.DOTALL,
    ),
}
_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|\r|\n|$)")
_NAMED = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_NAMED |= {"e": "\x1b", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"}


def passage_of(span: Span, text: str, style: Literal["plain", "single", "double", "literal", "folded"]) -> Passage:
    """The passage of a scalar that stands at `span`, as YAML read it: `text` in `style` (YAML 1.2 chapters 7 and 8)."""
    inner = span if style in ("plain", "literal", "folded") else Span(span.source, span.start + 1, span.end - 1)
    if inner.end - inner.start == len(text) and inner.text == text:
        return Passage.verbatim(inner)
    builder = _Builder(span.source.text, inner.start, inner.end)
    if style == "plain" or style == "single" or style == "double":  # noqa: PLR1714 (so that mypy can follow)
        builder.read_line_by_line(style)
    else:
        builder.read_block(text, is_folded=style == "folded")
    starts, ends = builder.places(text)
    return Passage(span.source, text, starts, ends, inner.start)


class _Builder:
    """Reads a scalar once more, this time with an eye on the places."""

    def __init__(self, raw: str, start: int, end: int) -> None:
        self.raw = raw
        self.start = start
        self.end = end
        self.chars: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def put(self, char: str, start: int, end: int) -> None:
        self.chars.append(char)
        self.starts.append(start)
        self.ends.append(end)

    def places(self, text: str) -> tuple[list[int], list[int]]:
        """Where the characters of `text` stand; the final line ends that YAML adds stand at the end."""
        read = "".join(self.chars)
        rest = len(text) - len(read)
        if not text.startswith(read) or text[len(read) :].strip():
            # not what YAML read: then the whole scalar is the best place that can be given
            return [self.start] * len(text), [self.end] * len(text)
        return self.starts + [self.end] * rest, self.ends + [self.end] * rest

    def read_line_by_line(self, style: Literal["plain", "single", "double"]) -> None:
        """Plain and quoted scalars: line ends are folded, quotes and escapes are read."""
        blanks: re.Match[str] | None = None  # they count unless a line end follows
        for piece in _PIECES[style].finditer(self.raw, self.start, self.end):
            if piece.lastgroup == "fold":
                self.fold(blanks.start() if blanks else piece.start(), piece.end())
                blanks = None
                continue
            self.take(blanks)
            blanks = piece if piece.lastgroup == "blanks" else None
            if blanks is None:
                self.put_piece(piece)
        self.take(blanks)

    def put_piece(self, piece: re.Match[str]) -> None:
        if piece.lastgroup == "joined":
            self.put_breaks(piece.start(), piece.end())
        elif piece.lastgroup == "code":
            code = piece["code"]
            char = chr(int(code[1:], 16)) if len(code) > 1 else _NAMED.get(code, code)
            self.put(char, piece.start(), piece.end())
        else:
            self.put(piece[0][0], piece.start(), piece.end())

    def fold(self, start: int, end: int) -> None:
        """One line end becomes a space; of several, the first goes and the others stay (YAML 1.2 section 6.5)."""
        if not self.put_breaks(start, end):
            self.put(" ", start, end)

    def put_breaks(self, start: int, end: int) -> bool:
        """Put all line ends but the first; whether there were any."""
        breaks = list(_BREAK.finditer(self.raw, start, end))[1:]
        for line_end in breaks:
            self.put("\n", line_end.start(), line_end.end())
        return bool(breaks)

    def take(self, verbatim: re.Match[str] | None) -> None:
        if verbatim:
            self.take_range(verbatim.start(), verbatim.end())

    def take_range(self, start: int, end: int) -> None:
        self.chars += self.raw[start:end]
        self.starts += range(start, end)
        self.ends += range(start + 1, end + 1)

    def read_block(self, text: str, *, is_folded: bool) -> None:
        """Block scalars (YAML 1.2 section 8.1), without the line ends behind the last character."""
        header = _HEADER.match(self.raw, self.start, self.end)
        lines = self.lines(header.end() if header else self.end)
        indent = self.indent(lines, text)
        waiting: list[tuple[int, int]] = []  # line ends since the last line that holds something
        was_indented = True  # the first line end of a block is never folded
        for start, end, line_end in lines:
            begin = min(start + indent, end)
            if begin == end:
                waiting.append((end, line_end))
                continue
            is_indented = self.raw[begin] in " \t"
            if is_folded and waiting and not was_indented and not is_indented:
                self.fold_block(waiting)
            else:
                for place in waiting:
                    self.put("\n", *place)
            self.take_range(begin, end)
            waiting, was_indented = [(end, line_end)], is_indented

    def fold_block(self, line_ends: list[tuple[int, int]]) -> None:
        if len(line_ends) == 1:
            self.put(" ", *line_ends[0])
        for place in line_ends[1:]:
            self.put("\n", *place)

    def lines(self, start: int) -> list[tuple[int, int, int]]:
        """The lines from `start` on: where each begins, where its text ends, where its line end ends."""
        found = []
        for line_end in _BREAK.finditer(self.raw, start, self.end):
            found.append((start, line_end.start(), line_end.end()))
            start = line_end.end()
        return [*found, (start, self.end, self.end)]

    def indent(self, lines: list[tuple[int, int, int]], text: str) -> int:
        """How many spaces of each line are indentation: what the first filled line has more than it was read with."""
        first_line = next((self.raw[s:e] for s, e, _ in lines if self.raw[s:e].strip()), "")
        first_read = next((line for line in text.split("\n") if line.strip()), "")
        return _leading_spaces(first_line) - _leading_spaces(first_read)


def _leading_spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
