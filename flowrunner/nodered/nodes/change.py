"""Turns the rules of `change` into `map`, `set`, `rename`, `remove`, `let` and `state`."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowrunner.nodered.constants import constant_of
from flowrunner.nodered.export import as_text
from flowrunner.nodered.known import Known, Path, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import identifier
from flowrunner.nodered.properties import state_of, typed
from flowrunner.nodered.values import (
    Computed,
    Constant,
    Template,
    Uncertain,
    Value,
    call,
    constant_tree,
    kind_of,
    name,
    rich,
    source,
    tree_of,
)
from flowrunner.nodered.walk import Way

Rule = Mapping[str, Any]


def change(way: Way, known: Known) -> Steps:
    """All rules, one after the other."""
    rules = way.node.maps("rules") or _old_rule(way)
    steps: Steps = []
    for rule in rules:
        more, known = apply(rule, known, way)
        steps += more
    way.done()
    return [*way.named(merged(steps)), *way.on(0, known)]


def _old_rule(way: Way) -> list[Rule]:
    """The fields of the first versions of the node, which had one rule."""
    node = way.node
    action = {"replace": "set", "change": "change", "delete": "delete", "move": "move"}.get(node.text("action"))
    if not action:
        raise Uncertain("no rules")
    to = {"to": node.text("to"), "tot": "msg" if node.text("to").startswith("msg.") else "str"}
    return [{"t": action, "p": node.text("property"), "pt": "msg", "from": node.text("from"), **to}]


def apply(rule: Rule, known: Known, way: Way) -> tuple[Steps, Known]:
    """One rule."""
    kind, about = as_text(rule.get("t")), as_text(rule.get("pt"), "msg") or "msg"
    where = as_text(rule.get("p"))
    if about != "msg":
        return _apply_to_context(rule, kind, where, about, known, way)
    path = read_path(where)
    match kind:
        case "set":
            steps, known = _ready(rule, known)
            more, value = typed(rule.get("to"), as_text(rule.get("tot"), "str"), known, way)
            last, known = assign(path, value, known)
            return [*steps, *more, *last], known
        case "delete":
            return delete(path, known)
        case "move":
            if as_text(rule.get("tot"), "msg") != "msg":
                raise Uncertain("a move into the context")
            return _move(path, read_path(as_text(rule.get("to"))), known)
        case "change":
            return _search(rule, path, known, way)
    raise Uncertain(f"a rule `{kind[:20]}`")


def _ready(rule: Rule, known: Known) -> tuple[Steps, Known]:
    """The payload as Node-RED has it, where a rule reads it."""
    is_read = "payload" in as_text(rule.get("to")) and as_text(rule.get("tot")) in ("msg", "jsonata")
    return known.readable() if is_read else ([], known)


def assign(path: Path, value: Value, known: Known) -> tuple[Steps, Known]:
    """Steps that set a property."""
    first, *rest = path
    if first != "payload":
        if rest:
            return _inside_of(str(first), rest, value, known)
        return named_value(str(first), value, known)
    if not rest:
        return [], known.with_payload(value)
    field = _field(rest)
    if isinstance(known.payload, Constant) and isinstance(known.payload.value, dict) and isinstance(value, Constant):
        return [], known.with_payload(Constant(_with(known.payload.value, rest, value.value)))
    steps, known = known.settled()
    if known.kind in ("text", "number", "bool", "list", "bytes"):
        raise Uncertain(f"a field of a payload that is a {known.kind}")
    return [*steps, Step("set", {field: rich(value)})], known


def _with(before: dict[str, Any], rest: list[str | int], value: Any) -> dict[str, Any]:
    first, *others = rest
    if not others:
        return {**before, str(first): value}
    inner = before.get(str(first))
    return {**before, str(first): _with(inner if isinstance(inner, dict) else {}, others, value)}


def named_value(word: str, value: Value, known: Known) -> tuple[Steps, Known]:
    """Another property than the payload: a constant needs no step, anything else gets a name."""
    if isinstance(value, Constant) and not isinstance(value.value, dict | list):
        return [], known.named(word, value)
    if is_lasting(value):
        return [], known.named(word, value)
    steps: Steps = []
    if known.payload is not None and "payload" in ast.dump(tree_or_empty(value)):
        steps, known = known.settled()
    ours = f"new_{word}" if word in ("topic", "qos", "retain") else identifier(word)
    return [*steps, Step("let", {ours: rich(value)})], known.named(word, name(ours, kind_of(value)))


def is_lasting(value: Value) -> bool:
    """Whether a value is the same whenever it is computed, since the topic that came never changes."""
    if isinstance(value, Template):
        return all(isinstance(part, str) or is_lasting(part) for part in value.parts)
    if not isinstance(value, Computed):
        return False
    names = {node.id for node in ast.walk(value.tree) if isinstance(node, ast.Name) and not node.id.startswith('"')}
    return names <= {"topic", "str", "len"}


def tree_or_empty(value: Value) -> ast.expr:
    """The expression of a value; a text with formats as its parts."""
    try:
        return tree_of(value)
    except Uncertain:
        return ast.Name("payload")


def _inside_of(first: str, rest: list[str | int], value: Value, known: Known) -> tuple[Steps, Known]:
    """A field of another property: its map is made anew."""
    if len(rest) != 1 or not isinstance(rest[0], str):
        raise Uncertain(f"`msg.{first}` so deep inside")
    pair = ast.Dict([constant_tree(rest[0])], [tree_of(value)])
    before = known.names.get(first)
    if before is not None:
        items = ast.Call(ast.Attribute(tree_of(before), "items"), [], [])
        added = ast.List([ast.List([constant_tree(rest[0]), tree_of(value)])])
        return named_value(first, Computed(call("dict", ast.BinOp(items, ast.Add(), added)), "map"), known)
    return named_value(first, Computed(pair, "map"), known)


def _field(rest: list[str | int]) -> str:
    if not all(isinstance(part, str) and part and "." not in part for part in rest):
        raise Uncertain("a field whose name is a number or holds a dot")
    return ".".join(map(str, rest))


def delete(path: Path, known: Known) -> tuple[Steps, Known]:
    """Steps that take a property away."""
    first, *rest = path
    if first == "payload":
        if not rest:
            return [], known.with_payload(Constant(None))
        field = _field(rest)
        steps, known = known.settled()
        return [*steps, Step("remove", [field])], known
    if rest:
        raise Uncertain(f"a part of `msg.{first}` that is deleted")
    if first in ("topic", "qos", "retain"):
        return [], known.named(str(first), Constant({"topic": "", "qos": 0, "retain": False}[str(first)]))
    return [], known.without(str(first))


def _move(path: Path, to: Path, known: Known) -> tuple[Steps, Known]:
    if path == to:
        return [], known
    if path[0] == to[0] == "payload" and len(path) > 1 and len(to) > 1:
        old, new = _field(list(path[1:])), _field(list(to[1:]))
        steps, known = known.settled()
        return [*steps, Step("rename", {old: new})], known
    steps, known = known.readable() if path[0] == "payload" else ([], known)
    value = known.value(path)
    if path[0] == "payload" and len(path) == 1 and not isinstance(value, Constant):
        more, known = named_value(str(to[0]), value, known) if len(to) == 1 else assign(to, value, known)
        return [*steps, *more], known.with_payload(Constant(None))
    more, known = assign(to, value, known)
    if to == ("payload",) and path[0] == "payload":
        return [*steps, *more], known
    last, known = delete(path, known)
    return [*steps, *more, *last], known


def _search(rule: Rule, path: Path, known: Known, way: Way) -> tuple[Steps, Known]:
    """`change`: search and replace."""
    steps, known = known.readable() if path[0] == "payload" else ([], known)
    kind = as_text(rule.get("fromt"), "str") or "str"
    current, to_kind = known.value(path), as_text(rule.get("tot"), "str") or "str"
    more, to = typed(rule.get("to"), to_kind, known, way)
    old = constant_of(rule.get("from"), kind)
    if kind == "str" and to_kind == "str" and isinstance(to, Constant):
        if "$" in to.value or not old or kind_of(current) not in ("text", "any", "data"):
            raise Uncertain("a search of this kind")
        tree = tree_of(current)
        replaced = ast.Call(ast.Attribute(tree, "replace"), [constant_tree(old), constant_tree(to.value)], [])
        value = Computed(replaced, "text")
    elif kind in ("str", "num", "bool"):
        given = constant_tree(as_text(rule.get("from")) if kind_of(current) == "text" else old)
        same = ast.Compare(tree_of(current), [ast.Eq()], [given])
        if kind == "str":
            way.approximated("replaces only a value that is wholly the one that is searched for")
        value = Computed(ast.IfExp(same, tree_of(to), tree_of(current)))
    else:
        raise Uncertain("a search by regular expression")
    last, known = assign(path, value, known)
    return [*steps, *more, *last], known


def _apply_to_context(rule: Rule, kind: str, where: str, about: str, known: Known, way: Way) -> tuple[Steps, Known]:
    """A value of the context of the flow, or of all: the step `state`."""
    found = state_of(where, about, way)
    word = found.pop("name")
    if kind == "delete":
        return [Step("state", {"set": word, "value": "${null}", **found})], known
    if kind != "set":
        raise Uncertain(f"`{kind}` in the context")
    steps, known = _ready(rule, known)
    more, value = typed(rule.get("to"), as_text(rule.get("tot"), "str"), known, way)
    if not isinstance(known.payload, Constant | None):
        settled, known = known.settled()
        steps += settled
        value = Computed(ast.Name("payload"), known.kind) if where_is_payload(rule) else value
    if isinstance(value, Computed) and source(value.tree) == "payload":
        return [*steps, *more, Step("state", {"set": word, **found})], known
    return [*steps, *more, Step("state", {"set": word, "value": rich(value), **found})], known


def where_is_payload(rule: Rule) -> bool:
    """Whether a rule takes the whole payload."""
    return as_text(rule.get("tot")) == "msg" and as_text(rule.get("to")) == "payload"


def merged(steps: Steps) -> Steps:
    """One `set` of several that follow each other, where none reads what another one has set."""
    found: Steps = []
    for step in steps:
        last = found[-1] if found else None
        is_plain = not any("payload" in str(value) for value in step.value.values()) if step.key == "set" else False
        is_new = is_plain and last is not None and last.key == "set" and not set(step.value) & set(last.value)
        if is_new and last is not None and not any("." in key for key in [*step.value, *last.value]):
            found[-1] = replace(last, value={**last.value, **step.value})
        else:
            found.append(step)
    return found


TRANSLATORS = {"change": change}
