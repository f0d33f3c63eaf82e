"""Turns mustache templates into texts with `${...}`."""

import re

from flowrunner.nodered.javascript import Read
from flowrunner.nodered.known import read_path
from flowrunner.nodered.operators import pieces
from flowrunner.nodered.values import Computed, Constant, Uncertain, Value, joined_text, kind_of

_TAG = re.compile(r"\{\{\{\s*([^{}]*?)\s*\}\}\}|\{\{\s*([&#^/>!=]?)\s*([^{}]*?)\s*\}\}")


def read_mustache(text: str, read: Read) -> tuple[Value, bool]:
    """The text, and whether Node-RED would escape anything in it for HTML. Raises Uncertain for sections."""
    parts: list[str | Computed] = []
    place = 0
    is_escaped = False
    for tag in _TAG.finditer(text):
        parts.append(text[place : tag.start()])
        place = tag.end()
        if tag[2] == "!":
            continue
        if tag[2] and tag[2] != "&":
            raise Uncertain(f"a section of a template, `{tag[0][:30]}`")
        word = tag[1] if tag[1] is not None else tag[3]
        if word == ".":
            raise Uncertain("`{{.}}`")
        value = read(read_path(word))
        is_escaped = is_escaped or (not tag[2] and tag[1] is None and kind_of(value) not in ("number", "bool"))
        parts += [""] if value == Constant(None) else pieces(value)
    if "{{" in text[place:]:
        raise Uncertain("a tag of a template that does not end")
    return joined_text([*parts, text[place:]]), is_escaped
