"""Turns `split`, `join`, `batch` and `sort` into `split`, `window` and `state`."""

import ast
from dataclasses import replace

from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.nodes.timing import duration
from flowrunner.nodered.values import Code, Uncertain, constant_tree, name, source
from flowrunner.nodered.walk import Way

BATCH = "batch"


def split(way: Way, known: Known) -> Steps:
    """`split`: a message for each item, line or field."""
    node = way.node
    path = read_path(node.text("property") or "payload")
    if path != ("payload",):
        raise Uncertain("another property that is split")
    steps, known = known.settled()
    if node.flag("stream"):
        raise Uncertain("a stream that is split")
    after = known.replaced("any")
    if known.kind in ("number", "bool", "bytes"):
        raise Uncertain(f"a {known.kind} that is split")
    if known.kind == "text":
        mark = _mark(way)
        code = source(ast.Call(ast.Attribute(ast.Name("payload"), "split"), [constant_tree(mark)], []))
        way.done()
        after = replace(after, kind="text", parts=("text", mark))
        return [*steps, *way.named([Step("split", code)]), *way.on(0, after)]
    length = int(node.number("arraySplt", 1))
    key = node.text("addname")
    if known.kind == "map" or (key and known.kind in ("data", "any")):
        return [*steps, *_fields(way, after, key)]
    if known.kind in ("data", "any"):
        way.approximated("takes the payload for a list or a map")
    else:
        way.done()
    items = f"[payload[i:i + {length}] for i in range(0, len(payload), {length})]" if length > 1 else "payload"
    after = replace(after, kind="list" if length > 1 else "data", parts=("list", ""))
    return [*steps, *way.named([Step("split", Code(items))]), *way.on(0, after)]


def _mark(way: Way) -> str:
    """What stands between the parts of a text."""
    node = way.node
    if node.text("spltType", "str") != "str":
        raise Uncertain("a text that is split by length or bytes")
    mark = node.text("splt", "\\n").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    if not mark or any(ord(letter) < 32 and letter not in "\n\t\r" for letter in mark):
        raise Uncertain("a text that is split into letters")
    return mark


def _fields(way: Way, after: Known, key: str) -> Steps:
    """A message for each field of a map, whose name goes into a property."""
    way.done()
    after = replace(after, parts=("map", key))
    if not key:
        return [*way.named([Step("split", Code("payload"))]), *way.on(0, after)]
    path = read_path(key)
    if len(path) != 1 or path[0] == "payload":
        raise Uncertain("a name of fields that goes into the payload")
    word = way.flow.values.take("key")
    pairs = Step("split", Code("zip(payload.keys(), payload.values())"))
    steps = [pairs, Step("let", {word: "${payload[0]}"}), Step("map", Code("payload[1]"))]
    return [*way.named(steps), *way.on(0, after.named(str(path[0]), name(word, "text")))]


def join(way: Way, known: Known) -> Steps:
    """`join`: one message out of several."""
    node = way.node
    mode = node.text("mode") or "auto"
    if mode == "auto":
        return _join_again(way, known)
    if mode != "custom":
        raise Uncertain("a sequence that is reduced by an expression")
    if node.text("propertyType", "msg") != "msg" or (node.text("property") or "payload") != "payload":
        raise Uncertain("another property that is joined")
    build = node.text("build")
    count, seconds = int(node.number("count", 0)), node.number("timeout", 0)
    steps, known = known.settled()
    if build in ("object", "merged"):
        return [*steps, *_join_map(way, known, build, count)]
    if build not in ("array", "string"):
        raise Uncertain(f"a sequence that becomes a {build[:20]}")
    if node.flag("accumulate") or (count <= 0 and seconds <= 0):
        raise Uncertain("a sequence that is joined when `msg.complete` says so")
    if count > 0:
        window = {"count": count}
        way.approximated("waits for all, however long it takes") if seconds > 0 else way.done()
        found = [Step("window", window)]
    else:
        way.approximated(f"the time is that of the clock, each full {duration(seconds)}")
        found = [Step("window", {"every": duration(seconds)})]
    if build == "string":
        known, more = _joined_text(way, known)
        found += more
    else:
        known = known.replaced("list")
    return [*steps, *way.named(found), *way.on(0, replace(known, parts=None))]


def _joined_text(way: Way, known: Known) -> tuple[Known, Steps]:
    joiner = way.node.text("joiner", "\\n").replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    if way.node.text("joinerType", "str") != "str":
        raise Uncertain("bytes between the parts of a text")
    parts = "payload" if known.kind == "text" else "str(part) for part in payload"
    return known.replaced("text"), [Step("map", Code(f"{source(constant_tree(joiner))}.join({parts})"))]


def _join_again(way: Way, known: Known) -> Steps:
    """The messages of a `split` or `batch` put together again."""
    if known.parts == (BATCH, ""):
        way.done()
        return way.on(0, replace(known, parts=None))
    if known.parts is None or known.parts[0] == "map":
        raise Uncertain("the messages of a sequence that is not known here")
    kind, mark = known.parts
    steps, known = known.settled()
    word = way.flow.values.take("parts")
    note = "puts the parts together again; one that is dropped on its way is missing, and the last one must not be"
    found = [
        Step("state", {"get": word, "default": "${[]}"}, notes=[]),
        Step("let", {f"{word}_here": f"${{({word} if index > 0 else []) + [payload]}}"}),
        Step("state", {"set": word, "value": f"${{{word}_here}}"}),
        Step("filter", Code("index == count - 1")),
    ]
    if kind == "text":
        found.append(Step("map", Code(f"{source(constant_tree(mark))}.join({word}_here)")))
    else:
        found.append(Step("map", Code(f"{word}_here")))
    way.approximated(note)
    after = replace(known.replaced("text" if kind == "text" else "list"), parts=None)
    return [*steps, *way.named(found), *way.on(0, after)]


def _join_map(way: Way, known: Known, build: str, count: int) -> Steps:
    """A map of the latest payload of each key, or of the fields of all."""
    node = way.node
    if count <= 0:
        raise Uncertain("a map that is joined when `msg.complete` says so")
    if node.number("timeout", 0) > 0:
        way.approximated("waits for all, however long it takes")
    else:
        way.done()
    word = way.flow.values.take("joined")
    if build == "object":
        key = source(known.tree(read_path(node.text("key") or "topic")).tree)
        made, is_full = f"dict({word}.items() + [[{key}, payload]])", f"len({word}_now) >= {count}"
    else:
        made, is_full = f"dict({word}.items() + payload.items())", f"len({word}_now) >= {count}"
    found = [
        Step("state", {"get": word, "default": "${({})}"}),
        Step("let", {f"{word}_now": f"${{{made}}}"}),
        Step("state", {"set": word, "value": f"${{{word}_now}}"}),
        Step("filter", Code(is_full)),
    ]
    if not node.flag("accumulate"):
        found.append(Step("state", {"set": word, "value": "${({})}"}))
    found.append(Step("map", Code(f"{word}_now")))
    return [*way.named(found), *way.on(0, replace(known.replaced("map"), parts=None))]


def batch(way: Way, known: Known) -> Steps:
    """`batch`: messages in groups; the `join` behind it makes a list of each."""
    node = way.node
    mode = node.text("mode") or "count"
    if mode == "count" and node.number("overlap", 0) <= 0 and node.number("count", 0) >= 1:
        window = Step("window", {"count": int(node.number("count", 1))})
        way.done()
    elif mode == "interval" and node.number("interval", 0) > 0 and not node.flag("allowEmptySequence"):
        seconds = duration(node.number("interval", 1))
        window = Step("window", {"every": seconds})
        way.approximated(f"the time is that of the clock, each full {seconds}")
    else:
        raise Uncertain("groups that overlap, are empty or belong to topics")
    steps, known = known.settled()
    targets = way.walk.targets(way.target, 0)
    if len(targets) == 1 and targets[0].node.type == "join" and targets[0].node.text("mode") in ("auto", ""):
        return [*steps, *way.named([window]), *way.on(0, replace(known.replaced("list"), parts=(BATCH, "")))]
    kind = known.kind
    after = replace(known.replaced(kind), parts=("list", ""))
    return [*steps, *way.named([window]), Step("split", Code("payload")), *way.on(0, after)]


def sort(way: Way, known: Known) -> Steps:
    """`sort` of a list in the payload."""
    node = way.node
    if node.text("targetType", "msg") != "msg" or node.text("target", "payload") != "payload":
        raise Uncertain("the messages of a sequence that are sorted")
    if node.text("msgKeyType", "elem") != "elem":
        raise Uncertain("a list that is sorted by an expression")
    steps, known = known.settled()
    order = ", reverse=true" if node.text("order") == "descending" else ""
    if not node.flag("as_num"):
        way.approximated("numbers are sorted as numbers, not as texts")
    else:
        way.done()
    return [*steps, *way.named([Step("map", Code(f"sorted(payload{order})"))]), *way.on(0, known.replaced("list"))]


TRANSLATORS = {"split": split, "join": join, "batch": batch, "sort": sort}
