"""Turns typed inputs that need no message (`str`, `num`, `bool`, `json`) into constants."""

import json
import math
import re
from typing import Any

from flowrunner.nodered.export import as_number, as_text, tidy
from flowrunner.nodered.values import Uncertain


def constant_of(given: Any, kind: str) -> Any:
    """The value of a typed input that needs no message. Raises Uncertain for the others."""
    match kind:
        case "str" | "string" | "none" | "" | "cred":
            return as_text(given)
        case "num":
            found = as_number(given, math.nan)
            if math.isnan(found):
                raise Uncertain(f"`{as_text(given)[:30]}` is no number")
            return tidy(found)
        case "bool":
            return given in (True, "true")
        case "null" | "nul":
            return None
        case "json":
            return _json(as_text(given))
    raise Uncertain(f"a value of the kind `{kind[:20]}`")


def _json(text: str) -> Any:
    try:
        found = json.loads(text, parse_constant=_refuse)
        is_fine = len(text) < 10_000 and "\\u" not in text and _depth(found) < 10
    except (ValueError, RecursionError):
        raise Uncertain("JSON that is none") from None
    if not is_fine or re.search(r"\d{16}|[eE]\d{2}", text):
        raise Uncertain("JSON that is large or odd")
    return found


def _depth(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def _refuse(word: str) -> Any:
    raise ValueError(word)
