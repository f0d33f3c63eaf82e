"""Turns the beginning of a payload into text that fits a line and that a terminal shows but never obeys."""

from codecs import getincrementaldecoder
from typing import Any

from flowrunner.frame import visible

_MOST = 400
_decoder = getincrementaldecoder("utf-8")


def preview(payload: Any, *, most: int = _MOST) -> str:
    """The beginning of a payload in at most `most` characters: UTF-8 as it is, other bytes in hexadecimal."""
    if not isinstance(payload, bytes):
        return _cut(visible(payload if isinstance(payload, str) else repr(payload)), most)
    if not payload:
        return "(empty)"
    head = payload[: most * 4]
    try:
        text = _decoder().decode(head, final=len(head) == len(payload))
    except UnicodeDecodeError:
        return _cut(payload[:most].hex(" "), most - 12) + f" ({len(payload)} bytes)"
    return _cut(visible(text), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(most - 1, 1)] + "…"
