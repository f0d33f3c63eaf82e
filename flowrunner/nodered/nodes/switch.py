"""Turns the rules of `switch` into `filter`, `switch` or `fork`."""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowrunner.nodered.export import as_number, as_text, tidy
from flowrunner.nodered.joins import Branch, join_branches
from flowrunner.nodered.jsonata import read_jsonata
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.operators import compared, or_nothing
from flowrunner.nodered.properties import typed
from flowrunner.nodered.values import (
    Computed,
    Constant,
    Uncertain,
    Value,
    call,
    constant_tree,
    kind_of,
    source,
    tree_of,
)
from flowrunner.nodered.walk import Way, path_reader

Rule = Mapping[str, Any]
_OPERATORS: dict[str, type[ast.cmpop]] = {
    "eq": ast.Eq, "neq": ast.NotEq, "lt": ast.Lt, "lte": ast.LtE, "gt": ast.Gt, "gte": ast.GtE,
}  # fmt: skip
_OPPOSITES = [{"lt", "gte"}, {"gt", "lte"}, {"eq", "neq"}]
_OPPOSITE_TESTS = [{"true", "false"}, {"null", "nnull"}, {"empty", "nempty"}]
_ASKS = {"null", "nnull", "empty", "nempty"}
_MOST_RULES = 60


@dataclass(frozen=True, slots=True)
class Case:
    """A rule: its condition (None for `otherwise`), and the output that it leads to."""

    rule: Rule
    condition: ast.expr | None
    port: int


def switch(way: Way, known: Known) -> Steps:
    """`switch`: which way a message goes."""
    rules = way.node.maps("rules")
    if not rules or len(rules) > _MOST_RULES:
        raise Uncertain("no rules" if not rules else "so many rules")
    path = way.node.text("property") or "payload"
    steps, known = known.settled() if "payload" in path or known.raw else ([], known)
    more, value = typed(path, way.node.text("propertyType") or "msg", known, way)
    steps += more
    cases = []
    for port, rule in enumerate(rules):
        if as_text(rule.get("t")) == "else":
            cases.append(Case(rule, None, port))
            continue
        more, condition = condition_of(rule, value, known, way)
        steps += more
        cases.append(Case(rule, condition, port))
    way.done()
    if not any(way.walk.targets(way.target, case.port) for case in cases):
        return steps
    if way.node.text("checkall", "true") != "true" or are_exclusive(rules):
        return [*steps, *_first(way, known, cases)]
    return [*steps, *_all(way, known, cases)]


def _first(way: Way, known: Known, cases: Sequence[Case]) -> Steps:
    """The first rule that holds."""
    wired = [case for case in cases if way.walk.targets(way.target, case.port)]
    if len(wired) == 1:
        case = wired[0]
        before = cases[: cases.index(case)]
        if case.condition is not None and (not before or are_exclusive([one.rule for one in cases])):
            return [*way.named([Step("filter", source(case.condition))]), *way.on(case.port, known)]
        if case.condition is None:
            return [*way.named([Step("filter", source(none_of(cases)))]), *way.on(case.port, known)]
    last = cases.index(wired[-1])
    branches = [Branch(case.condition, case.port) for case in cases[: last + 1]]
    return join_branches(way, known, branches)


def none_of(cases: Sequence[Case]) -> ast.expr:
    """That no rule holds."""
    conditions = [case.condition for case in cases if case.condition is not None]
    if not conditions:
        return constant_tree(True)
    return ast.UnaryOp(ast.Not(), ast.BoolOp(ast.Or(), conditions) if len(conditions) > 1 else conditions[0])


def _all(way: Way, known: Known, cases: Sequence[Case]) -> Steps:
    """Every rule that holds, each with a copy of the message."""
    branches: list[Steps] = []
    for case in cases:
        if not way.walk.targets(way.target, case.port):
            continue
        condition = none_of(cases) if case.condition is None else case.condition
        branches.append([Step("filter", source(condition)), *way.deeper().on(case.port, known)])
    return branches[0] if len(branches) == 1 else way.named([Step("fork", branches)])


def are_exclusive(rules: Sequence[Rule]) -> bool:
    """Whether never two rules hold at once."""
    kinds = [as_text(rule.get("t")) for rule in rules]
    tests = [rule for rule, kind in zip(rules, kinds, strict=True) if kind != "else"]
    if len(tests) <= 1:
        return True
    if len(tests) == len(rules) == 2:
        same = tests[0].get("v") == tests[1].get("v") and tests[0].get("vt") == tests[1].get("vt")
        if set(kinds) in _OPPOSITE_TESTS or (same and set(kinds) in _OPPOSITES):
            return True
    values = [(as_text(rule.get("v")), as_text(rule.get("vt"), "str")) for rule in tests]
    is_constant = all(kind in ("str", "num", "bool", "") for _, kind in values)
    is_one_kind = len({kind for _, kind in values}) == 1 and values[0][1] != "num"
    numbers = {as_number(value, float("nan")) for value, _ in values}
    is_different = len(set(values)) == len(values) and (is_one_kind or len(numbers) == len(values))
    return is_constant and is_different and all(as_text(rule.get("t")) == "eq" for rule in tests)


def condition_of(rule: Rule, value: Value, known: Known, way: Way) -> tuple[Steps, ast.expr]:
    """The condition of a rule, and the steps that must come before."""
    kind, given_kind = as_text(rule.get("t")), as_text(rule.get("vt"), "str") or "str"
    if kind in ("true", "false"):
        return [], ast.Compare(tree_of(value), [ast.Is()], [constant_tree(kind == "true")])
    if kind in _ASKS:
        return [], _asked(kind, value)
    if kind in ("head", "tail", "index"):
        return [], _placed(kind, rule, known)
    if kind == "jsonata_exp":
        return [], tree_of(read_jsonata(as_text(rule.get("v")), path_reader(known)))
    if kind == "istype":
        return [], _typed(as_text(rule.get("v")), value)
    steps, wanted = typed(rule.get("v"), given_kind, known, way)
    if kind in _OPERATORS:
        return steps, compare(value, _OPERATORS[kind], wanted)
    if kind == "btwn":
        more, other = typed(rule.get("v2"), as_text(rule.get("v2t"), "str") or "str", known, way)
        return [*steps, *more], _between(value, wanted, other)
    if kind == "cont":
        return steps, ast.Compare(tree_of(_as_text(wanted)), [ast.In()], [tree_of(_as_text(value))])
    if kind == "regex" and isinstance(wanted, Constant):
        return steps, _matched(value, str(wanted.value), is_loose=rule.get("case") is True)
    if kind == "hask":
        return steps, ast.Compare(tree_of(wanted), [ast.In()], [tree_of(value)])
    raise Uncertain(f"the rule `{kind[:20]}`")


def compare(value: Value, operator: type[ast.cmpop], wanted: Value) -> ast.expr:
    """A comparison as JavaScript makes it between a text and a number."""
    if isinstance(wanted, Constant) and isinstance(wanted.value, str) and _is_numeric(wanted.value):
        number = tidy(float(wanted.value))
        if kind_of(value) == "number" or (operator not in (ast.Eq, ast.NotEq) and kind_of(value) != "text"):
            wanted = Constant(number)
        elif kind_of(value) in ("data", "any") and str(number) == wanted.value:
            value = Computed(call("str", tree_of(value)), "text")
    is_same = operator in (ast.Eq, ast.NotEq) and kind_of(value) == "text" and kind_of(wanted) == "number"
    if is_same and isinstance(wanted, Constant):
        wanted = Constant(as_text(wanted.value))
    if isinstance(wanted, Constant) and isinstance(wanted.value, list | dict):
        raise Uncertain("a comparison with a list or map")
    return tree_of(compared(value, operator, wanted))


def _is_numeric(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", text) is not None


def _between(value: Value, low: Value, high: Value) -> ast.expr:
    bounds = []
    for bound in (low, high):
        if not isinstance(bound, Constant):
            raise Uncertain("a range that is computed")
        number = as_number(bound.value, float("nan"))
        if number != number:  # noqa: PLR0124 - nan
            raise Uncertain("a range of texts")
        bounds.append(number)
    tree = call("float", tree_of(value)) if kind_of(value) == "text" else tree_of(value)
    order: list[ast.cmpop] = [ast.LtE(), ast.LtE()]
    return ast.Compare(constant_tree(min(bounds)), order, [tree, constant_tree(max(bounds))])


def _asked(kind: str, value: Value) -> ast.expr:
    """Whether there is something; a field that is missing is asked for."""
    tree = or_nothing(value)
    if kind in ("null", "nnull"):
        operator = ast.Is() if kind == "null" else ast.IsNot()
        return ast.Compare(tree, [operator], [constant_tree(None)])
    if kind_of(value) not in ("text", "list", "map", "bytes"):
        raise Uncertain("whether a value of an unknown kind is empty")
    return ast.Compare(call("len", tree), [ast.Eq() if kind == "empty" else ast.Gt()], [ast.Constant(0)])


def _typed(wanted: str, value: Value) -> ast.expr:
    ours = {"string": "text", "number": "number", "boolean": "bool", "array": "list", "object": "map"}
    if kind_of(value) in ("data", "any") or wanted not in ours:
        raise Uncertain(f"whether a value is of the type {wanted[:20]}")
    return constant_tree(ours[wanted] == kind_of(value))


def _placed(kind: str, rule: Rule, known: Known) -> ast.expr:
    """Where a message stands among those of a `split`."""
    if not known.parts:
        raise Uncertain("the place in a sequence that is not known")
    first, last = (int(as_number(rule.get(key), 0)) for key in ("v", "v2"))
    if kind == "head":
        return ast.Compare(ast.Name("index"), [ast.Lt()], [constant_tree(first)])
    if kind == "tail":
        start = ast.BinOp(ast.Name("count"), ast.Sub(), constant_tree(first))
        return ast.Compare(start, [ast.LtE()], [ast.Name("index")])
    return ast.Compare(constant_tree(first), [ast.LtE(), ast.LtE()], [ast.Name("index"), constant_tree(last)])


def _as_text(value: Value) -> Value:
    if kind_of(value) == "text":
        return value
    if isinstance(value, Constant):
        return Constant(as_text(value.value))
    return Computed(call("str", tree_of(value)), "text")


def _matched(value: Value, pattern: str, *, is_loose: bool) -> ast.expr:
    """A regular expression that is searched for anywhere in the text."""
    from flowrunner.expressions.texts import matches

    if re.search(r"\\[^\w]?[uxcBbk]|\(\?[^:]|\\\d", pattern) or len(pattern) > 1000:
        raise Uncertain("a regular expression that RE2 reads in another way")
    start = "" if pattern.startswith("^") and "|" not in pattern else ".*"
    end = "" if pattern.endswith("$") and not pattern.endswith("\\$") and "|" not in pattern else ".*"
    inner = pattern[1 if not start else 0 : -1 if not end else None]
    inner = f"(?:{inner})" if "|" in inner else inner
    whole = f"(?{'i' if is_loose else ''}s){start}{inner}{end}" if start or end or is_loose else inner
    try:
        matches(whole, "")
    except Exception:  # noqa: BLE001 - whatever RE2 says against it
        raise Uncertain("a regular expression that RE2 does not know") from None
    return call("match", constant_tree(whole), tree_of(_as_text(value)))


TRANSLATORS = {"switch": switch}
