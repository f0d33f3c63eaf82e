"""Turns a name that a flow calls into what it does: the listed functions, with what the reference says of them."""

import math
import time
from collections.abc import Mapping

from flowrunner.expressions import listed, texts
from flowrunner.expressions.calls import Function
from flowrunner.expressions.values import as_text

_FUNCTIONS = (
    Function("abs", "abs(x)", "The number without its sign.", "abs(-3) == 3", abs),
    Function(
        "min", "min(values, default=x)",
        "The smallest of a list, or of several values. `default` is for an empty list.",
        "min([3, 1, 2]) == 1", min, 1, None, frozenset({"default"}),
    ),
    Function(
        "max", "max(values, default=x)",
        "The largest of a list, or of several values. `default` is for an empty list.",
        "max(3, 1, 2) == 3", max, 1, None, frozenset({"default"}),
    ),
    Function("sum", "sum(values)", "All numbers of a list added up.", "sum([1, 2, 3.5]) == 6.5", sum),
    Function("len", "len(x)", "How many characters, bytes, items or fields there are.", 'len("abc") == 3', len),
    Function(
        "round", "round(x, digits)",
        "The nearest number with that many digits after the point, without `digits` a whole number. "
        "A half goes to the even neighbour.", "round(21.456, 1) == 21.5", listed.rounded, 1, 2,
    ),
    Function(
        "sorted", "sorted(values, reverse=false, key=field)",
        "The items as a new list in ascending order. `key` is the name of a field: maps are sorted by it.",
        "sorted([3, 1, 2], reverse=true) == [3, 2, 1]",
        listed.in_order, 1, 1, frozenset({"reverse", "key"}),
    ),
    Function("any", "any(values)", "Whether at least one is true.", "any(x > 2 for x in [1, 2, 3])", any),
    Function("all", "all(values)", "Whether every one is true (also if there is none).", "all([])", all),
    Function(
        "int", "int(x, base)",
        "A whole number from a number (cut, not rounded), text or bytes; `base` is that of the text.",
        'int("ff", 16) == 255', listed.whole, 1, 2,
    ),
    Function(
        "float", "float(x)", "A number from a number, text or bytes; `nan` and `inf` are understood.",
        'float("21.5") == 21.5', listed.number,
    ),
    Function(
        "str", "str(x)",
        "The text of a value, as `${x}` inserts it: bytes as UTF-8; bools, null, maps and lists as JSON.",
        'str(21.0) == "21.0" and str(true) == "true"', as_text,
    ),
    Function(
        "bool", "bool(x)", 'False for `false`, `null`, 0 and what is empty, else true (also for the text "false").',
        'bool([]) == false and bool("false")', bool,
    ),
    Function("list", "list(x)", "The items of a list, the keys of a map, or the characters of a text.",
             'list("ab") == ["a", "b"]', list),
    Function(
        "dict", "dict(pairs, name=value)", "A map from a list of pairs or another map; named values are set in it.",
        'dict({"a": 1}, b=2) == {"a": 1, "b": 2}', listed.mapping, 0, 1, frozenset({"*"}),
    ),
    Function(
        "range", "range(start, stop, step)",
        "The list of whole numbers from `start` (0 if left out) up to `stop`, which is not in it.",
        "range(3) == [0, 1, 2]", listed.counted, 1, 3,
    ),
    Function(
        "zip", "zip(a, b)", "The list of pairs of the items that stand at the same place; the shortest list counts.",
        'zip([1, 2], ["a", "b"]) == [[1, "a"], [2, "b"]]', listed.zipped, 1, None,
    ),
    Function(
        "enumerate", "enumerate(values, start)", "The list of pairs of number (from 0, or from `start`) and item.",
        'enumerate(["a", "b"]) == [[0, "a"], [1, "b"]]', listed.numbered, 1, 2,
    ),
    Function("unique", "unique(values)", "The items without those that were there before.",
             "unique([2, 1, 2]) == [2, 1]", listed.unique),
    Function("mean", "mean(values)", "The average.", "mean([1, 2, 6]) == 3", listed.mean),
    Function("median", "median(values)", "The value in the middle; between the two middle ones of an even number.",
             "median([1, 2, 6, 9]) == 4", listed.median),
    Function("stdev", "stdev(values)", "The standard deviation of a sample (at least two values).",
             "stdev([1, 3]) == sqrt(2)", listed.stdev),
    Function("sqrt", "sqrt(x)", "The square root.", "sqrt(9) == 3", math.sqrt),
    Function("floor", "floor(x)", "The next whole number below or equal.", "floor(-1.5) == -2", math.floor),
    Function("ceil", "ceil(x)", "The next whole number above or equal.", "ceil(1.2) == 2", math.ceil),
    Function("log", "log(x, base)", "The natural logarithm, or the one to a base.", "log(8, 2) == 3", math.log, 1, 2),
    Function("exp", "exp(x)", "e to the power of x.", "exp(0) == 1", math.exp),
    Function("isfinite", "isfinite(x)", "Whether a number is neither `nan` nor infinite.",
             'isfinite(float("nan")) == false', math.isfinite),
    Function("uniform", "uniform(a, b)", "A random number between a and b.", "0 <= uniform(0, 1) <= 1",
             listed.random_number, 2, 2),
    Function("randint", "randint(a, b)", "A random whole number from a to b, both included.",
             "randint(1, 6) in range(1, 7)", listed.random_whole, 2, 2),
    Function("choice", "choice(values)", "A random item of a list.", 'choice(["a", "b"]) in "ab"', listed.pick),
    Function("now", "now()", "Seconds since 1970, with fractions.", "now() > 0", time.time, 0, 0),
    Function("iso", "iso(seconds)", "Seconds since 1970 as text in UTC; milliseconds only where there are any.",
             'iso(946684800) == "2000-01-01T00:00:00Z"', listed.iso),
    Function(
        "match", "match(regex, text)",
        "Whether the whole text matches a regular expression of RE2's syntax. `.*` before and behind finds a part; "
        "`\\w` and `\\d` are ASCII, `\\pL` is any letter.",
        'match("[a-z]+-[0-9]+", "room-12") and not match("[a-z]+", "room-12")', texts.matches, 2, 2,
    ),
    Function("hash", "hash(x)", "A short text that is always the same for the same value.",
             'hash("a") == hash("a") and len(hash([1, 2])) == 16', listed.digest),
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _FUNCTIONS}
"""The functions that every expression may call."""

RESERVED: frozenset[str] = frozenset(FUNCTIONS) | {
    "payload", "topic", "qos", "retain", "properties", "env", "flow", "error", "true", "false", "null",
}  # fmt: skip
"""Names that cannot be given to a captured level, a `let`, a `var` or the item of a comprehension."""
