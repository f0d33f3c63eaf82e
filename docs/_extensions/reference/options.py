"""Turns declared options into tables."""

from collections.abc import Iterable
from typing import Any

from flowrunner.options import Option

from .markdown import code, sentence, table, value

_HEAD = ("key", "what it is for", "value", "default")


def options_table(options: Iterable[Option]) -> str:
    """A row for each option, in the order of their declaration."""
    return table(_HEAD, ([code(one.name), sentence(one.help), one.kind.phrase, default_of(one)] for one in options))


def default_of(option: Option) -> str:
    """What holds where the option is left out."""
    if option.is_required:
        return "(required)"
    written = None if option.default in (None, ()) else option.kind.write(option.default)
    if written is not None:
        return value(written)
    given: Any = option.default
    return value(given) if isinstance(given, bool | int | float | str) and given != "" else ""
