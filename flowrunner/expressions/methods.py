"""Turns the harmless methods of texts, lists and maps into a list that checks, compiler and reference share."""

from collections.abc import Mapping
from typing import Any

from flowrunner.expressions import bounds
from flowrunner.expressions.calls import Method

_TEXT, _LIST, _MAP = ("text",), ("list",), ("map",)


def _text(
    name: str, signature: str, prose: str, example: str, least: int = 0, most: int = 0, helper: str = "", *,
    gives: bool = True,
) -> Method:  # fmt: skip
    return Method(name, _TEXT, f"x.{name}({signature})", prose, example, least, most, helper, gives)


_METHODS = (
    _text("upper", "", "In capitals.", '"on".upper() == "ON"'),
    _text("lower", "", "In small letters.", '"ON".lower() == "on"'),
    _text("title", "", "Every word with a capital.", '"living room".title() == "Living Room"'),
    _text("capitalize", "", "The first letter a capital, the others small.", '"ON".capitalize() == "On"'),
    _text("casefold", "", "For comparing without regard to capitals.", '"ON".casefold() == "on".casefold()'),
    _text("strip", "chars", "Without blanks, or those characters, at both ends.", '" on ".strip() == "on"',
          0, 1, "_strip"),
    _text("lstrip", "chars", "Without blanks, or those characters, at the start.", '"007".lstrip("0") == "7"',
          0, 1, "_lstrip"),
    _text("rstrip", "chars", "Without blanks, or those characters, at the end.", '"on\\n".rstrip() == "on"',
          0, 1, "_rstrip"),
    _text("removeprefix", "prefix", "Without that start, if it is there.", '"dev-7".removeprefix("dev-") == "7"', 1, 1),
    _text("removesuffix", "suffix", "Without that end, if it is there.", '"7 °C".removesuffix(" °C") == "7"', 1, 1),
    _text("split", "separator, most", "The list of parts between separators, or between blanks.",
          '"a,b".split(",") == ["a", "b"]', 0, 2, gives=False),
    _text("rsplit", "separator, most", "As `split`, the parts being counted from the end.",
          '"a/b/c".rsplit("/", 1) == ["a/b", "c"]', 0, 2, "_rsplit", gives=False),
    _text("splitlines", "", "The list of lines.", '"a\\nb".splitlines() == ["a", "b"]', gives=False),
    _text("partition", "separator", "The list of what is before it, the separator, and what is behind.",
          '"a=1".partition("=") == ["a", "=", "1"]', 1, 1, "_partition", gives=False),
    _text("rpartition", "separator", "As `partition`, at the last separator.",
          '"a/b/c".rpartition("/") == ["a/b", "/", "c"]', 1, 1, "_rpartition", gives=False),
    _text("startswith", "prefix", "Whether it starts so.", '"dev-7".startswith("dev")', 1, 1, gives=False),
    _text("endswith", "suffix", "Whether it ends so.", '"a.csv".endswith(".csv")', 1, 1, gives=False),
    _text("find", "part, start, stop", "Where the part begins (from 0), -1 if it is not there.",
          '"abc".find("c") == 2', 1, 3, gives=False),
    _text("rfind", "part, start, stop", "Where the part begins for the last time, -1 if it is not there.",
          '"abcb".rfind("b") == 3', 1, 3, "_rfind", gives=False),
    _text("replace", "old, new, most", "With every `old` replaced, or as many as said.",
          '"1,5".replace(",", ".") == "1.5"', 2, 3, "_replace"),
    _text("join", "texts", "The texts of a list with this one between them.", '", ".join(["a", "b"]) == "a, b"',
          1, 1, "_join"),
    _text("isdigit", "", "Whether all are digits.", '"42".isdigit()', gives=False),
    _text("isalpha", "", "Whether all are letters.", '"abc".isalpha()', gives=False),
    _text("isalnum", "", "Whether all are letters or digits.", '"a1".isalnum()', gives=False),
    _text("isnumeric", "", "Whether all are signs of numbers.", '"½".isnumeric()', gives=False),
    _text("isspace", "", "Whether all are blanks.", '" ".isspace()', gives=False),
    _text("islower", "", "Whether all letters are small.", '"on".islower()', gives=False),
    _text("isupper", "", "Whether all letters are capitals.", '"ON".isupper()', gives=False),
    _text("isascii", "", "Whether all are ASCII.", 'not "°C".isascii()', gives=False),
    _text("zfill", "width", "With zeros before it up to a width.", '"7".zfill(3) == "007"', 1, 1, "_zfill"),
    _text("ljust", "width, fill", "With blanks, or `fill`, behind it up to a width.", '"a".ljust(3, ".") == "a.."',
          1, 2, "_ljust"),
    _text("rjust", "width, fill", "With blanks, or `fill`, before it up to a width.", '"a".rjust(3) == "  a"',
          1, 2, "_rjust"),
    _text("center", "width, fill", "With blanks, or `fill`, on both sides up to a width.",
          '"a".center(3, "-") == "-a-"', 1, 2, "_center"),
    Method("count", ("text", "list"), "x.count(part)", "How often it is in the text or list.",
           "[1, 2, 1].count(1) == 2", 1, 1),
    Method("index", ("text", "list"), "x.index(part)", "Where it is (from 0); an error if it is not there.",
           '["a", "b"].index("b") == 1', 1, 1),
    Method("get", _MAP, "x.get(key, default)", "The field, or the default (null) where it is missing.",
           '{"a": 1}.get("b", 0) == 0', 1, 2),
    Method("keys", _MAP, "x.keys()", "The list of the names of the fields.", '{"a": 1}.keys() == ["a"]',
           helper="_keys"),
    Method("values", _MAP, "x.values()", "The list of the values of the fields.", '{"a": 1}.values() == [1]',
           helper="_values"),
    Method("items", _MAP, "x.items()", "The list of pairs of name and value.", '{"a": 1}.items() == [["a", 1]]',
           helper="_items"),
)  # fmt: skip

METHODS: Mapping[str, Method] = {method.name: method for method in _METHODS}
"""The methods that an expression may call; every other `.name` is a field."""


def keys(value: Any, /) -> list[Any]:
    """`value.keys()` as a list."""
    return list(value.keys())


def values(value: Any, /) -> list[Any]:
    """`value.values()` as a list."""
    return list(value.values())


def items(value: Any, /) -> list[list[Any]]:
    """`value.items()` as a list of lists, as JSON has them."""
    return [list(item) for item in value.items()]


def partition(value: Any, separator: Any, /) -> list[Any]:
    """`value.partition(separator)` as a list."""
    return list(value.partition(separator))


def rpartition(value: Any, separator: Any, /) -> list[Any]:
    """`value.rpartition(separator)` as a list."""
    bounds.check_backward(value, separator)
    return list(value.rpartition(separator))


HELPERS: Mapping[str, Any] = {
    "_keys": keys,
    "_values": values,
    "_items": items,
    "_partition": partition,
    "_rpartition": rpartition,
    "_strip": bounds.strip,
    "_lstrip": bounds.lstrip,
    "_rstrip": bounds.rstrip,
    "_rsplit": bounds.rsplit,
    "_rfind": bounds.rfind,
    "_replace": bounds.replace,
    "_join": bounds.join,
    "_zfill": bounds.zfill,
    "_ljust": bounds.ljust,
    "_rjust": bounds.rjust,
    "_center": bounds.center,
}
"""What runs in place of the methods that have a helper, by the name it has in compiled code."""
