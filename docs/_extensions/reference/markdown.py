"""Turns words, values and rows into Markdown."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any


def code(text: str) -> str:
    """The text as code in a line."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars inside of cells are taken for what they are."""
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).replace("|", "\\|")


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def sentence(text: str) -> str:
    """A help text as a sentence."""
    text = text.strip()
    start = text[:1].upper() if text[:1] != "`" else text[:1]
    return f"{start}{text[1:]}{'' if text.endswith(('.', '?', ':')) else '.'}"


def value(given: Any) -> str:
    """A value as it is written in YAML."""
    return code(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))


def tree(names: Iterable[str], *, caption: str = "", is_hidden: bool = False) -> str:
    """The list of pages below this one."""
    options = [":maxdepth: 1", *([f":caption: {caption}"] if caption else []), *([":hidden:"] if is_hidden else [])]
    return "\n".join(["```{toctree}", *options, "", *names, "```", ""])
