"""Turns diagnostics about a file with passwords into ones that do not show them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.text import Source, Span

_KEY = re.compile(r"(?:password|passwd|passphrase|secret|token|api_?key)[\w-]*[\"']?[ \t]*:(?=[ \t]|$)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:(?P<scheme>://)|(?<![^\s\"']))[^\s/:@\"']*:(?!//)(?:(?P<at>\S*)@|(?P<rest>[^\s/@\"',}]*))")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_SHOWN = re.compile(r"\$\{[^}\r\n]*\}|[\s\"']")
_FARTHEST = 2000  # characters of a line that are looked at; no frame shows more


def without_secrets(diagnostics: Sequence[Diagnostic], source: Source) -> tuple[Source, list[Diagnostic]]:
    """A source of the same shape in which what looks like a password is stars, and the diagnostics moved to it.

    What stands in `${...}` stays, because it only says where a secret is. A help that repeats a secret is left out.
    """
    places = list(_places(source))
    if not places:
        return source, list(diagnostics)
    text = list(source.text)
    for start, end in places:
        text[start:end] = _stars(source.text[start:end])
    masked = Source(source.name, "".join(text))
    secrets = [source.text[start:end].strip("\"' \t") for start, end in places]
    return masked, [_moved(diagnostic, masked, secrets) for diagnostic in diagnostics]


def _places(source: Source) -> Iterator[tuple[int, int]]:
    """Where secrets stand: behind keys that say so, with the lines that belong to them, and in addresses."""
    owner: int | None = None  # the indentation of a key whose value goes on below it
    for start, line in zip(source.line_starts, source.lines, strict=True):
        indent = len(line) - len(line.lstrip())
        if owner is not None and (indent > owner or not line.strip()):
            yield start, start + len(line)
            continue
        owner = None
        if found := _KEY.search(line, 0, _FARTHEST):
            value = line[found.end() :].strip()
            yield start + found.end(), start + _end_of_value(line, found)
            is_open = value[:1] in ("", "|", ">") or (value[:1] in "\"'" and not _QUOTED.match(value))
            owner = indent if is_open or "{" not in line[: found.start()] else None
        else:
            yield from ((start + begin, start + end) for begin, end in _in_addresses(line))


def _end_of_value(line: str, key: re.Match[str]) -> int:
    """Where the value behind a key ends: inside braces at the comma, else with the line."""
    if "{" not in line[: key.start()]:
        return len(line)
    start = len(line) - len(line[key.end() :].lstrip())
    quoted = _QUOTED.match(line, start)
    end = re.compile(r"[,}]").search(line, quoted.end() if quoted else start)
    return end.start() if end else len(line)


def _in_addresses(line: str) -> Iterator[tuple[int, int]]:
    for found in _ADDRESS.finditer(line, 0, _FARTHEST):
        if found["at"] is not None:
            yield found.span("at")
        elif found["scheme"] and not found["rest"].isdigit():
            yield found.span("rest")


def _stars(text: str) -> str:
    stars, place = [], 0
    for shown in _SHOWN.finditer(text):
        stars += ["*" * (shown.start() - place), shown[0]]
        place = shown.end()
    return "".join([*stars, "*" * (len(text) - place)])


def _moved(diagnostic: Diagnostic, source: Source, secrets: Sequence[str]) -> Diagnostic:
    def move(span: Span) -> Span:
        return source.span(span.start, span.end)

    return replace(
        diagnostic,
        span=move(diagnostic.span),
        labels=tuple(Label(move(label.span), _clean(label.text, secrets)) for label in diagnostic.labels),
        message=_clean(diagnostic.message, secrets) or "there is a mistake in a line with a secret",
        label=_clean(diagnostic.label, secrets),
        helps=tuple(clean for help in diagnostic.helps if (clean := _clean(help, secrets))),
        notes=tuple(clean for note in diagnostic.notes if (clean := _clean(note, secrets))),
    )


def _clean(text: str, secrets: Sequence[str]) -> str:
    """The text with stars for secrets; empty if something of a secret would remain."""
    for secret in secrets:
        if len(secret) > 2:
            text = text.replace(secret, _stars(secret))
    quoted = text[text.find("`") : text.rfind("`") + 1]  # only there words of the user are repeated
    return "" if any(_repeats(quoted, secret) for secret in secrets) else text


def _repeats(text: str, secret: str) -> bool:
    """Whether three characters in a row are those of the secret, where they do not stand in `${...}`."""
    bare = re.sub(r"\$\{[^}]*\}", "\n", secret)
    if len(bare) < 3:
        return len(bare) > 0 and f"`{bare}`" in text
    return any(bare[place : place + 3] in text for place in range(len(bare) - 2) if "\n" not in bare[place : place + 3])
