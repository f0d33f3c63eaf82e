"""Turns a format spec, as in `${x:.1f}`, into what is wrong with it."""

import re

from flowrunner.expressions.limits import MAX_WIDTH

_SPEC = re.compile(
    r"(?P<fill>.(?=[<>=^]))?(?P<align>[<>=^])?(?P<sign>[-+ ])?z?(?P<alternate>#)?(?P<zero>0)?(?P<width>[0-9]+)?"
    r"(?P<grouping>[,_])?(?:\.(?P<precision>[0-9]+))?(?P<type>[a-zA-Z%])?",
    re.DOTALL,
)
_INTEGER, _FLOAT = "bcdoxX", "eEfFgG%"
_EXAMPLES = "`.1f` one digit, `d` a whole number, `05d` with zeros, `.0%` per cent, `,` groups, `>8` to the right"


def spec_problem(spec: str) -> tuple[str, str] | None:
    """Message and help if a format spec cannot work; None if it can (for a number or for a text)."""
    found = _SPEC.fullmatch(spec)
    if not spec:
        return "expected a format after `:`", _EXAMPLES
    if found is None:
        return f"`{_short(spec)}` is not a format", _why_not(spec)
    kind = found["type"] or ""
    if kind and kind not in _INTEGER + _FLOAT + "s":
        return f"there is no format type `{kind}`", _EXAMPLES
    if int((found["width"] or "0")[:9]) > MAX_WIDTH or int((found["precision"] or "0")[:9]) > MAX_WIDTH:
        return f"width and precision are at most {MAX_WIDTH}", ""
    if kind in tuple(_INTEGER) and found["precision"]:
        return f"a whole number (`{kind}`) has no digits after the point", f"use `.{found['precision']}f`"
    return (f"`{_short(spec)}` is not a format", _EXAMPLES) if not _works(spec) else None


def _works(spec: str) -> bool:
    for sample in (1.5, 1, "a"):
        try:
            format(sample, spec)
        except (ValueError, OverflowError):
            continue
        return True
    return False


def _why_not(spec: str) -> str:
    if "%H" in spec or "%Y" in spec or "%d" in spec:
        return "a time is written with `iso(now())`"
    if "{" in spec or "$" in spec:
        return "a format holds no expression"
    if spec.strip() != spec and _SPEC.fullmatch(spec.strip()):
        return f"without blanks: `:{spec.strip()}`"
    return _EXAMPLES


def _short(spec: str) -> str:
    return spec if len(spec) <= 20 else f"{spec[:19]}…"
