"""Turns a value that YAML cuts in two into a diagnostic with the value as it must be written."""

import re

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.yaml_mistakes.advice import advice, as_yaml, cut, quoted, with_holes, write
from flowrunner.read.yaml_mistakes.characters import special_character
from flowrunner.read.yaml_mistakes.fault import Fault
from flowrunner.read.yaml_mistakes.lines import Line, end_of_brackets, end_of_quotes, line_number
from flowrunner.read.yaml_mistakes.quotes import behind_quotes
from flowrunner.text import Span

_IN_BRACES = re.compile(r"\{\{?[^{}:,]*\}?\}")
_NESTED_KEY = re.compile(r"[A-Za-z_][\w.-]*(?=:(?:\s|$))")
_TAG_NAMES = {"secret", "include", "env", "env_var", "var", "vault", "input", "lambda", "ref", "reference", "sub"}

_YAML_TYPES = {"binary", "bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str", "timestamp"}

# keys under which people write prose, so that a colon in it is one of the prose
_PROSE = {"description", "name", "log", "stop", "payload", "reason"}


def text_after_close(line: Line) -> Diagnostic | None:
    """For a value that begins with a quote or a bracket and goes on behind its end: `"ON" == payload`, `{room}/x`."""
    value = line.value
    end = end_of_quotes(value) or end_of_brackets(value)
    if not end or not value[end:].strip():
        return None
    span = line.source.span(line.value_start, line.value_start + end)
    rest = value[end:].strip()
    if value[0] in "\"'":
        return behind_quotes(line, end)
    if set(rest) <= set("]}"):
        there = line.source.span(span.end + len(value[end:]) - len(rest), line.value_start + len(value))
        return Diagnostic("unopened-bracket", f"this `{rest[0]}` closes nothing", there, helps=("delete it",))
    if value[0] == "{" and _IN_BRACES.match(value):
        message = "a value that begins with `{` must be quoted; an expression is `${...}`"
        return Diagnostic("braces", message, span, helps=advice(write(line.with_value(as_yaml(with_holes(value))))))
    message = f"text follows the closing `{value[end - 1]}`; the whole value must be quoted"
    helps = (write(line.with_value(quoted(value)), "put the whole value in quotes"),)
    return Diagnostic("text-after-brackets", message, line.value_span, helps=helps)


def colon_in_value(fault: Fault) -> Diagnostic:
    """For a value with a colon and a space in it: `it's: bad`, `set: payload.a: 1`."""
    line = fault.line
    if ternary := find_ternary(line):
        return ternary
    colon = fault.source.span(fault.place, fault.place + 1)
    helps = [write(line.with_value(quoted(line.value)), "put the whole value in quotes")]
    nested = _NESTED_KEY.match(line.value)
    if nested and nested.end() == fault.place - line.value_start and line.key and line.key not in _PROSE:
        key, inner = cut(line.key), cut(nested[0])
        is_alone = nested.end() + 1 < len(line.value) and not _has_sibling(fault)
        as_map = "" if not is_alone else write(line.with_value("{" + _for_brackets(line.value) + "}"), before="or ")
        own_line = f"put `{inner}: ...` on the next line, two spaces further in than `{key}`"
        message = f"`{inner}` must stand on a line of its own, below `{key}`"
        return Diagnostic(
            "map-on-key-line", message, fault.source.span(line.value_start, colon.end), helps=advice(own_line, as_map)
        )
    message = "a text with a colon and a space in it must be quoted"
    return Diagnostic("colon-in-text", message, colon, helps=tuple(helps))


def _has_sibling(fault: Fault) -> bool:
    """Whether the next line goes on in the column of the key: then it holds further options."""
    number = fault.line.number
    return number < len(fault.source.lines) and line_number(fault.source, number + 1).indent == (
        fault.line.key_start - fault.line.start
    )


def _for_brackets(value: str) -> str:
    key, _, rest = value.partition(":")
    return f"{key}: {as_yaml(rest.strip(), in_brackets=True)}" if _is_text(rest.strip()) else value


def _is_text(value: str) -> bool:
    return value[:1] not in ("", '"', "'", "{", "[") and not re.fullmatch(r"[-\d.eE]+|true|false|null", value)


def find_ternary(line: Line) -> Diagnostic | None:
    """For `a ? b : c`, which other languages have."""
    if not (corrected := without_ternary(line.value)):
        return None
    return question_mark(line.value_span, write(line.with_value(as_yaml(corrected))))


def without_ternary(text: str) -> str:
    """A text with Python's choice instead of `? :`; empty if there is none in it."""
    found = re.fullmatch(r"(.*\$\{)?(.+?) \? (.+?) : ([^}]+)(\}.*)?", text)
    if not found or bool(found[1]) != bool(found[5]):
        return ""
    condition, yes, no = (part.strip() for part in found.group(2, 3, 4))
    return f"{found[1] or ''}{yes} if {condition} else {no}{found[5] or ''}"


def question_mark(span: Span, help: str) -> Diagnostic:
    """For a `?` of another language in the text at `span`."""
    start = span.text.find(" ? ") + 1
    message = "there is no `? :`; a choice is written `a if condition else b`"
    return Diagnostic("question-mark", message, span.sub(start, start + 1), helps=advice(help))


def list_on_key_line(fault: Fault) -> Diagnostic:
    """For `subscribe: - a`."""
    line = fault.line
    item = line.value.removeprefix("-").strip()
    helps = ["begin the list on the next line, indented by two spaces"]
    if item:
        helps.append(write(line.with_value(f"[{as_yaml(item, in_brackets=True)}]"), before="or "))
    message = (
        f"a list must not begin on the line of its key `{cut(line.key)}`" if line.key else "a dash must begin its line"
    )
    return Diagnostic(
        "list-on-key-line", message, fault.source.span(fault.place, fault.place + 1), helps=advice(*helps)
    )


def block_header(fault: Fault) -> Diagnostic:
    """For `filter: > 30` and `log: | hello`."""
    return text_block(fault.opened_line, fault.opened)


def text_block(line: Line, start: int) -> Diagnostic:
    """For a `>` or `|` at `start` that was not meant as the beginning of a text block."""
    sign = line.source.text[start]
    rest = line.source.text[start : line.value_start + len(line.value)]
    operator = re.match(r">=?", rest)
    helps: tuple[str, ...]
    if operator and line.key not in _PROSE and rest[operator.end() :].strip():
        meaning = "greater than" if operator[0] == ">" else "at least"
        limit = rest[operator.end() :].strip()
        asked = f"what must be {meaning} {cut(limit)}? "
        corrected = line.with_value(as_yaml(f"payload {operator[0]} {limit}"))
        helps = (write(corrected, asked.strip(), before=asked),)
    else:
        helps = ("the text of a block begins on the next line, indented by two spaces",)
        if text := rest[1:].strip():
            helps = ("write " + f"`{line.with_value(quoted(text))}`", *helps) if len(text) < 60 else helps
    message = f"`{sign}` at the beginning of a value starts a text block in YAML"
    return Diagnostic("text-block", message, line.source.span(start, start + 1), helps=helps)


def exclamation(span: Span, line: Line) -> Diagnostic:
    """For a value that begins with `!`: a tag in YAML, `not` in other languages; `span` covers the tag."""
    name = span.text.lstrip("!")
    value = line.source.text[span.start : max(line.value_start + len(line.value), span.end)]
    if value.startswith("!="):
        limit = value[2:].strip()
        asked = f"what must not be {cut(limit)}? " if limit else ""
        corrected = line.with_value(as_yaml(f"payload != {limit}".strip()))
        helps = (write(corrected, asked or "write what must differ before it", before=asked),)
        return Diagnostic("exclamation-mark", "an expression must begin with a value, not with `!=`", span, helps=helps)
    if span.text.startswith("!!") and ("/" in name or name in _YAML_TYPES):
        rest = value[len(span.text) :].strip()
        helps = (
            write(line.with_value(quoted(rest)), "put it in quotes") if name == "str" and rest else "leave it out",
        )
        return Diagnostic("yaml-tag", f"tags such as `{cut(span.text)}` are not used here", span, helps=helps)
    if name.lower() in _TAG_NAMES:
        help = '`${env.NAME}` reads the environment; `${file("...")}` a secret, in `flowrunner.yaml`'
        return Diagnostic("yaml-tag", f"there is no `{cut(span.text)}` here", span, helps=(help,))
    negated = line.with_value(as_yaml(f"not {value.lstrip('! ')}"))
    helps = (write(negated, "write `not` before the value"),)
    return Diagnostic("exclamation-mark", "`!` is a sign of YAML's; to negate, write `not`", span, helps=helps)


def bad_start(fault: Fault) -> Diagnostic | None:
    """For a value that begins with a sign of YAML's: a tag, an alias, a closing bracket, `@`, a backtick."""
    is_opened = fault.kind in ("name", "tag", "directive")
    line, start = (fault.opened_line, fault.opened) if is_opened else (fault.line, fault.place)
    char = fault.source.text[start : start + 1]
    if fault.kind == "tag":
        end = line.value_start + len(line.value)
        return exclamation(fault.source.span(start, end if end > start else start + 1), line)
    if char in ("]", "}"):
        span = fault.source.span(start, start + 1)
        helps = ("delete it, or put the text in quotes",)
        return Diagnostic("unopened-bracket", f"this `{char}` closes nothing", span, helps=helps)
    return special_character(fault, start, line) if char else None
