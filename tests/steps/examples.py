"""Turns the examples of a step into options that fit it, for tests of what every step has in common."""

from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from typing import Any

from flowrunner.read.document import plain, read_document
from flowrunner.step import Step
from flowrunner.text import Source


@cache
def shown_values(step: type[Step]) -> list[Any]:
    """What stands behind the step's key in its examples; None where nothing does."""
    found: list[Any] = []
    for text in step.EXAMPLES:
        node, _ = read_document(Source(step.KEY, cleandoc(text)))
        for inner in nested(plain(node) if node else None):
            if isinstance(inner, dict) and step.KEY in inner and "subscribe" not in inner:
                found.append(inner[step.KEY])
            elif isinstance(inner, list) and step.KEY in inner:
                found.append(None)
    return found


def shown_options(step: type[Step]) -> dict[str, Any]:
    """Options of a step as its examples have them."""
    found: dict[str, Any] = {}
    main = next((option.name for option in step.options() if option.is_main), "")
    for value in shown_values(step):
        found |= {main: value} if main and not isinstance(value, dict) else value or {}
    return found


def nested(value: Any) -> Iterator[Any]:
    """A value and all that is inside of it."""
    yield value
    inside = value if isinstance(value, list) else ()
    if isinstance(value, dict):
        inside = [inner for key, inner in value.items() if key != "tests"]
    for inner in inside:
        yield from nested(inner)
