"""Turns the topic of a `publish` into filters that cover what it may become."""

from collections.abc import Sequence

from flowrunner.expressions import Template
from flowrunner.topics import Filter


def patterns_of(template: Template, heard: Sequence[Filter]) -> list[str]:
    """Filters that cover what a topic may become: an inserted value is one level, `${topic}` what the flow hears."""
    if template.single is not None and template.passage.text.strip("${} ") not in {"topic", *_rests(heard)}:
        return ["#"]
    names = {hole.expression.passage.text.strip() for hole in template.holes}
    filters: Sequence[Filter | None] = heard if heard and "topic" in names else [None]
    return list(dict.fromkeys(_pattern(template, one, _rests(heard)) for one in filters))


def _rests(heard: Sequence[Filter]) -> set[str]:
    return {name for one in heard for name, _, is_rest in one.captures if is_rest}


def _pattern(template: Template, heard: Filter | None, rests: set[str]) -> str:
    text = ""
    for part in template.parts:
        name = "" if isinstance(part, str) else part.expression.passage.text.strip()
        if isinstance(part, str):
            text += part
        elif name == "topic" and heard is not None:
            text += "/".join(heard.levels)
        else:
            text += "#" if name in rests else "+"
    levels = text.split("/")
    return "/".join(
        "#" if level == "#" and index == len(levels) - 1 else "+" if {"+", "#"} & {*level} else level
        for index, level in enumerate(levels)
    )
