"""Turns `filter` (also called rbe) into `changed`, or into a comparison with what `state` remembers."""

import ast
from dataclasses import replace
from typing import Any

from flowrunner.nodered.export import tidy
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.values import Code, Constant, Uncertain, call, kind_of, source, tree_of
from flowrunner.nodered.walk import Way


def key_of(known: Known, *, is_wanted: bool) -> Code | None:
    """The topic as a key, where the node keeps topics apart and there is more than one."""
    if not is_wanted or known.is_one_topic or isinstance(known.topic, Constant):
        return None
    return source(tree_of(known.topic))


def block(way: Way, known: Known) -> Steps:
    """`filter`: only what has changed, or what has not changed too much."""
    node = way.node
    function = node.text("func") or "rbe"
    path = read_path(node.text("property") or "payload")
    steps, known = known.settled() if path[0] == "payload" else ([], known)
    if node.text("topi") not in ("", "topic") and not known.is_one_topic:
        raise Uncertain("messages that are kept apart by something else than their topic")
    by = key_of(known, is_wanted=node.fields.get("septopics") is not False)
    value = known.tree(path)
    way.done()
    if function in ("rbe", "rbei"):
        found = [Step("changed", {"value": source(value.tree), "by": by} if by else source(value.tree))]
        if function == "rbei":
            found += _not_the_first(way, by)
        return [*steps, *way.named(found), *way.on(0, known)]
    tree = call("float", value.tree) if kind_of(value) == "text" else value.tree
    return [*steps, *way.named(_by_number(way, function, tree, by)), *way.on(0, replace(known))]


def _not_the_first(way: Way, by: Code | None) -> Steps:
    word = way.flow.values.take("passed")
    return [Step("state", {"increment": word, **({"key": by} if by else {})}), Step("filter", Code(f"{word} > 1"))]


def _by_number(way: Way, function: str, tree: ast.expr, by: Code | None) -> Steps:
    node = way.node
    text, code = node.text("gap").strip(), source(tree)
    is_percent = text.endswith("%")
    gap = tidy(abs(float(node_number(text.removesuffix("%")))))
    compares_input = node.text("inout") == "in"
    if function == "deadband" and not is_percent and not compares_input:
        options: dict[str, Any] = {"value": code, **({"by": by} if by else {}), "deadband": gap}
        return [Step("changed", options)]
    sign = {"deadband": ">", "deadbandEq": ">=", "narrowband": "<=", "narrowbandEq": "<"}.get(function)
    if sign is None:
        raise Uncertain(f"the mode `{function[:20]}`")
    last = way.flow.values.take("last")
    key = {"key": by} if by else {}
    get: dict[str, Any] = {"get": last, **key}
    if function.startswith("narrow") and node.text("start"):
        get["default"] = node_number(node.text("start"))
    limit = f"abs({last}) * {gap} / 100" if is_percent else str(gap)
    passes = f"{last} is null or abs({code} - {last}) {sign} {limit}"
    new = {} if code == "payload" else {"value": f"${{{code}}}"}
    remember = Step("state", {"set": last, **new, **key})
    if not compares_input:
        return [Step("state", get), Step("filter", Code(passes)), remember]
    word = way.flow.values.take("passes")
    return [Step("state", get), Step("let", {word: f"${{{passes}}}"}), remember, Step("filter", Code(word))]


def node_number(text: str) -> float:
    """A number of a field that holds nothing else."""
    try:
        found = float(text or "0")
    except ValueError:
        raise Uncertain(f"`{text[:20]}` is no number") from None
    if not abs(found) < 1e15:
        raise Uncertain(f"`{text[:20]}` is no number")
    return tidy(found)


TRANSLATORS = {"rbe": block, "filter": block}
