"""Turns a text of the settings with `${env.NAME}` and `${file("...")}` into the text that it stands for."""

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from flowrunner.diagnostics import Diagnostic, suggest
from flowrunner.read.yaml_mistakes.advice import advice
from flowrunner.records import dataclass
from flowrunner.text import Passage

LARGEST_FILE = 65_536
"""Bytes of a file that `file("...")` may read: it holds one secret."""

_BEGINNING = re.compile(r"\$?\$\{")
_HOLE = re.compile(
    r"""\$\{\s*(?:(?P<variable>env\.(?P<name>[A-Za-z_][A-Za-z0-9_]*))"""
    r"""|file\(\s*(?P<quote>["'])(?P<path>.*?)(?P=quote)\s*\))\s*\}""",
    re.DOTALL,
)
_ALMOST_ENV = re.compile(r"(?:(?i:env)\s*(?:[.:]|\[\s*[\"']?|\.get\(\s*[\"'])\s*)?([A-Za-z_][A-Za-z0-9_]*)[\"'\])]*")
_ALMOST_FILE = re.compile(r"(?i:file)\s*[(: ]\s*[\"']?([^\"'()]+)[\"']?\)?")


class BadHole(Exception):
    """Something in `${...}` cannot be inserted; `diagnostics` says what, at its place, and never shows a value."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with everything inserted; every inserted character stands where its `${...}` stands.

    Where it is not `is_constant`, a part of it came from elsewhere and must not be shown.
    """

    passage: Passage
    is_constant: bool

    @property
    def text(self) -> str:
        """The text itself."""
        return self.passage.text


def fill(passage: Passage, *, environment: Mapping[str, str], folder: Path, files: list[Path] | None = None) -> Filled:
    """Insert what `${env.NAME}` and `${file("...")}` stand for; `$${` is a literal `${`. Raises BadHole.

    A file is read as UTF-8, relative to `folder`, without one line end at its end; its path is added to `files`.
    """
    filling = _Filling(passage, environment, folder, [] if files is None else files)
    filling.run()
    if filling.diagnostics:
        raise BadHole(filling.diagnostics)
    return filling.result()


@dataclass(slots=True)
class _Filling:
    passage: Passage
    environment: Mapping[str, str]
    folder: Path
    files: list[Path]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    holes: int = 0

    def run(self) -> None:
        text, place = self.passage.text, 0
        for found in _BEGINNING.finditer(text):
            if found.start() < place:
                continue
            self.copy(place, found.start())
            place = self.literal(found) if found[0].startswith("$$") else self.hole(found.start())
        self.copy(place, len(text))

    def result(self) -> Filled:
        passage = Passage(self.passage.source, "".join(self.pieces), self.starts, self.ends, self.passage.origin)
        return Filled(passage if self.holes else self.passage_of_constant(passage), not self.holes)

    def passage_of_constant(self, read: Passage) -> Passage:
        return self.passage if read.text == self.passage.text else read

    def copy(self, start: int, end: int) -> None:
        self.pieces.append(self.passage.text[start:end])
        self.starts += self.passage.starts[start:end]
        self.ends += self.passage.ends[start:end]

    def literal(self, found: re.Match[str]) -> int:
        self.copy(found.start() + 1, found.end())
        return found.end()

    def hole(self, start: int) -> int:
        """Insert the value of one `${...}`; where the text goes on behind it."""
        found = _HOLE.match(self.passage.text, start)
        if not found:
            return self.explain(start)
        self.holes += 1
        value = self.variable(found) if found["name"] else self.file(found)
        span = self.passage.span(found.start(), found.end())
        self.pieces.append(value)
        self.starts += [span.start] * len(value)
        self.ends += [span.end] * len(value)
        return found.end()

    def variable(self, found: re.Match[str]) -> str:
        name = found["name"]
        if name in self.environment:
            return self.environment[name]
        near = suggest(name, self.environment)
        helps = advice(f"did you mean `{near}`?" * bool(near), f"set it before flowrunner starts: `export {name}=...`")
        span = self.passage.span(*found.span("variable"))
        message = f"the environment has no variable `{name if len(name) <= 40 else name[:39] + '…'}`"
        self.diagnostics.append(Diagnostic("unset-variable", message, span, helps=helps))
        return ""

    def file(self, found: re.Match[str]) -> str:
        self.files.append(self.folder / found["path"])
        try:
            return read_secret(self.files[-1])
        except (OSError, ValueError) as error:
            reason = (error.strerror or "it is not there").lower() if isinstance(error, OSError) else str(error)
            helps = () if found["path"].startswith("/") else ("a relative path begins at the folder of this file",)
            span = self.passage.span(*found.span("path"))
            self.diagnostics.append(
                Diagnostic("unreadable-file", f"the file cannot be read: {reason}", span, helps=helps)
            )
            return ""

    def explain(self, start: int) -> int:
        """Report what is no `env.NAME` and no `file("...")`."""
        text = self.passage.text
        end = text.find("}", start)
        if end < 0:
            span = self.passage.span(start, start + 2)
            helps = ("close it by `}`; for a literal `${` write `$${`",)
            self.diagnostics.append(Diagnostic("bad-expression", "this `${` is never closed", span, helps=helps))
            return len(text)
        inner = text[start + 2 : end].strip()
        message = 'in settings only `env.NAME` or `file("...")` may stand in `${}`'
        span = self.passage.span(start + 2, end) if inner else self.passage.span(start, end + 1)
        self.diagnostics.append(Diagnostic("bad-expression", message, span, helps=_proposal(inner)))
        return end + 1


def _proposal(inner: str) -> tuple[str, ...]:
    if len(inner) > 60:
        return ()
    if found := _ALMOST_FILE.fullmatch(inner):
        return (f'write `${{file("{found[1].strip()}")}}`',)
    if found := _ALMOST_ENV.fullmatch(inner):
        return (f"write `${{env.{found[1]}}}`",)
    if re.match(r"(?:env\.)?\w+\s*(?::?[-=?]|or\b|:)", inner):
        return ("there are no defaults here: set the variable before flowrunner starts",)
    return ()


def read_secret(path: Path) -> str:
    """The text of a small file, without the line end at its end. Raises OSError, or ValueError in our words."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError("it holds more than 64 KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
