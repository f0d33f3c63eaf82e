"""Turns a correction into the advice to type it."""

import re

import yaml

from flowrunner.read.scalars import resolve
from flowrunner.read.yaml_mistakes.lines import line_at
from flowrunner.read.yaml_parser import events
from flowrunner.text import Span

_LONGEST = 90
_SINGLE_QUOTED = re.compile(r"""'([^'"\\]*)'""")
_HOLE = re.compile(r"(?<!\$)\{\{?\s*([^{}]*?)\s*\}?\}|\$\{\{\s*([^{}]*?)\s*\}\}")


def quoted(text: str) -> str:
    """The text in quotes: double ones, or single ones where the text itself holds double ones."""
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


def as_yaml(text: str, *, in_brackets: bool = False) -> str:
    """The text as it must be written for a value: quoted only where YAML would make something else of it."""
    document = f"[{text}]" if in_brackets else f"- {text}"
    try:
        scalars = [event for event in events(document) if isinstance(event, yaml.NodeEvent)]
    except (yaml.YAMLError, UnicodeError):
        return quoted(text)
    is_same = len(scalars) == 2 and getattr(scalars[1], "value", None) == text and not scalars[1].anchor
    return text if is_same and isinstance(resolve(text), str) else quoted(text)


def as_written(value: str) -> str:
    """A value that was typed in the wrong place, as it must be written in the right one."""
    try:
        kinds = [type(event) for event in events(f"- {value}")]
    except (yaml.YAMLError, UnicodeError):
        return quoted(value)
    return value if len(kinds) > 6 or kinds[3] is yaml.ScalarEvent else quoted(value)


def as_expression(text: str) -> str:
    """An expression in quotes, its own texts all in double ones where they can be: no quote has to be written twice."""
    return quoted(_SINGLE_QUOTED.sub(r'"\1"', text) if '"' in text else text)


def with_holes(text: str) -> str:
    """A text in which `{x}`, `{{ x }}` and `${{ x }}` are written as here: `${x}`."""
    return _HOLE.sub(lambda hole: f"${{{hole[1] or hole[2] or ''}}}", text)


def write(corrected: str, otherwise: str = "", *, before: str = "") -> str:
    """The advice to type this, with some words before it; where it would be too long to read, the other one."""
    is_short = len(corrected) <= _LONGEST and corrected.isprintable()
    return f"{before}write `{corrected}`" if is_short else otherwise


def rewrite(part: Span, text: str, otherwise: str = "") -> str:
    """The advice to type `text` instead of a part of a line, with the rest of its line where that is short."""
    return write(line_at(part.source, part.start).with_part(part, text), write(text, otherwise))


def cut(text: str, most: int = 20) -> str:
    """A piece of the user's text, short enough for a message."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def advice(*helps: str) -> tuple[str, ...]:
    """The helps that say something."""
    return tuple(help for help in helps if help)
