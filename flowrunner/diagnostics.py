"""Turns a mistake and its places into what a person, an editor or a CI job reads."""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from flowrunner.records import dataclass
from flowrunner.text import Span

Severity = Literal["error", "warning"]
Format = Literal["full", "concise", "json", "github"]


@dataclass(frozen=True, slots=True)
class Label:
    """A further place that explains a mistake, and what to say beside it (may be empty)."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: where it is, what must be, and the next keystroke.

    `code` is kebab-case and names the page that `flowrunner explain CODE` prints. `message` is lower case, without
    a full stop, and under 80 characters. `label` stands beside the underlined span. `helps` (at most two) say what to
    type; `notes` add facts, such as the topic and the payload of a message on which a step failed.
    """

    code: str
    message: str
    span: Span
    label: str = ""
    labels: tuple[Label, ...] = ()
    helps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    severity: Severity = "error"

    @property
    def sort_key(self) -> tuple[str, int, int, str]:
        """Order of a report: by file, then by place."""
        return (self.span.source.name, self.span.start, self.span.end, self.code)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether any of the diagnostics is an error (warnings do not change an exit code)."""
    return any(d.severity == "error" for d in diagnostics)


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty text."""
    folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), folded, n=1, cutoff=0.65)
    if not near and len(word) >= 3:  # `temp` for `temperature`, `integer` for `int`
        near = [
            name
            for name in folded
            if len(name) >= 3 and (name.startswith(word.lower()) or word.lower().startswith(name))
        ]
    return folded[near[0]] if near else ""


def name_list(names: Sequence[str], *, most: int = 12) -> str:
    """Names in backticks, separated by commas, the list cut where it would drown the message."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def render(diagnostics: Iterable[Diagnostic], format: Format = "full", *, color: bool = False) -> str:
    """All diagnostics, sorted, in one of the formats of `flowrunner check`; ends with a line end unless empty."""
    found = sorted(set(diagnostics), key=lambda d: d.sort_key)
    if format == "json":
        return json.dumps([as_json(d) for d in found], ensure_ascii=False, indent=2) + "\n"
    if format == "full":
        from flowrunner.frame import draw

        return "\n".join(draw(d, color=color) for d in found)
    line = concise if format == "concise" else github
    return "".join(line(d) + "\n" for d in found)


def concise(diagnostic: Diagnostic) -> str:
    """One line, as compilers print it: `file:line:column: error[code] message`."""
    span = diagnostic.span
    place = f"{span.source.name}:{span.line}:{span.column}"
    return f"{place}: {diagnostic.severity}[{diagnostic.code}] {diagnostic.message}"


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A JSON object with `file line column end_line end_column severity code message help`, labels and notes."""
    span = diagnostic.span
    return {
        "file": span.source.name,
        **_places(span),
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "help": "\n".join(diagnostic.helps) or None,
        "label": diagnostic.label or None,
        "labels": [{**_places(label.span), "text": label.text} for label in diagnostic.labels],
        "notes": list(diagnostic.notes),
    }


def _places(span: Span) -> dict[str, int]:
    return {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


def github(diagnostic: Diagnostic) -> str:
    """A workflow command of GitHub Actions, shown beside the line of a pull request."""
    span = diagnostic.span
    properties = {"file": span.source.name, "line": span.line, "endLine": span.end_line}
    if span.line == span.end_line:  # GitHub ignores columns of a span over several lines
        properties |= {"col": span.column, "endColumn": span.end_column}
    properties["title"] = f"flowrunner {diagnostic.code}"
    shown = ",".join(f"{key}={_escape(str(value), ':,')}" for key, value in properties.items())
    text = "\n".join([diagnostic.message, *(f"help: {text}" for text in diagnostic.helps)])
    return f"::{diagnostic.severity} {shown}::{_escape(text)}"


def _escape(text: str, more: str = "") -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
