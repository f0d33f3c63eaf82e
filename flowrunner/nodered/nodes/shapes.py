"""Turns nodes that change the shape of a payload into steps: json, csv, yaml, template, range."""

import ast
from dataclasses import replace
from typing import Any

from flowrunner.nodered.export import tidy
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.mustache import read_mustache
from flowrunner.nodered.properties import state_of, stored
from flowrunner.nodered.values import Code, Computed, Constant, Uncertain, Value, constant_tree, option, source
from flowrunner.nodered.walk import Way

NUMBER = r'match("-?[0-9]*[.]?[0-9]+([eE][-+]?[0-9]+)?", v)'


def parse_json(way: Way, known: Known) -> Steps:
    """`json`: to a value, to a text, or whichever way it is not."""
    node = way.node
    action = node.text("action")
    if node.text("property", "payload") != "payload":
        raise Uncertain(f"JSON in `msg.{node.text('property')}`")
    is_bytes = known.raw not in ("", "auto-detect", "json", "base64") or (known.raw == "" and known.kind == "bytes")
    if action != "str" and (is_bytes or (known.raw == "auto-detect" and action == "obj")):
        way.done()
        return [*way.named([Step("json")]), *way.on(0, replace(known, raw="", payload=None, kind="data"))]
    steps, known = known.settled()
    if action == "obj" and known.kind in ("data", "map", "list", "number", "bool"):
        way.done("is one already")
        return [*steps, *way.on(0, known)]
    if action == "str" or (action == "" and known.kind in ("data", "map", "list", "number", "bool")):
        return [*steps, *_to_text(way, known)]
    if known.kind == "any" and action == "":
        way.approximated("takes the payload for a text, and parses it")
    else:
        way.done()
    return [*steps, *way.named([Step("json")]), *way.on(0, known.replaced("data"))]


def _to_text(way: Way, known: Known) -> Steps:
    if known.kind == "text":
        way.done("is a text already")
        return way.on(0, known)
    if way.node.flag("pretty"):
        way.approximated("indents by two blanks, not four")
        steps = [Step("encode", {"format": "json", "indent": True})]
        return [*steps, *way.on(0, replace(known.replaced("bytes"), raw="utf8"))]
    way.done()
    return way.on(0, known.with_payload(Computed(ast.Call(ast.Name("str"), [ast.Name("payload")], []), "text")))


def csv(way: Way, known: Known) -> Steps:
    """`csv`: rows out of a text, or a text out of rows."""
    node = way.node
    separator = (node.text("sep") or ",").replace("\\t", "\t")
    columns = [word.strip().strip('"').strip() for word in node.text("temp").split(",")]
    columns = columns if any(columns) else []
    if len(separator) != 1 or separator in '"\r\n' or "" in columns or len(set(columns)) < len(columns):
        raise Uncertain("a separator or columns of this kind")
    form: dict[str, Any] = {"format": "csv"}
    if separator != ",":
        form["delimiter"] = "tab" if separator == "\t" else separator
    if known.raw in ("", "auto-detect", "base64", "json"):
        settled, known = known.settled()
    else:
        settled, known = [], replace(known, raw="", kind="bytes")
    if known.kind in ("map", "list"):
        return [*settled, *_to_csv(way, known, form, columns)]
    if known.kind in ("number", "bool"):
        raise Uncertain("rows of what is no text")
    return [*settled, *_from_csv(way, known, form, columns)]


def _from_csv(way: Way, known: Known, form: dict[str, Any], columns: list[str]) -> Steps:
    node = way.node
    if node.number("skip", 0) > 0:
        raise Uncertain("lines that are skipped")
    has_header = node.flag("hdrin")
    if not has_header:
        form["header"] = columns or False
    steps = way.named([Step("decode", form if len(form) > 1 else "csv")])
    is_one = node.text("multi", "one") == "one"
    if is_one:
        steps.append(Step("split", Code("payload")))
    row = "payload" if is_one else "row"
    is_numbered = not columns and not has_header
    pairs = f'[["col" + str(i), v] for i, v in enumerate({row}, 1)]' if is_numbered else f"{row}.items()"
    value = f"float(v) if {NUMBER} else v" if node.fields.get("strings", True) is not False else "v"
    keep = "" if node.flag("include_empty_strings") else ' if v != ""'
    made = f"{{k: {value} for k, v in {pairs}{keep}}}"
    steps.append(Step("map", Code(made if is_one else f"[{made} for row in payload]")))
    way.done()
    after = known.replaced("map" if is_one else "list")
    return [*steps, *way.on(0, replace(after, parts=("list", "") if is_one else known.parts))]


def _to_csv(way: Way, known: Known, form: dict[str, Any], columns: list[str]) -> Steps:
    node = way.node
    header = node.text("hdrout") or "none"
    if header == "once":
        raise Uncertain("a header that is sent once")
    steps: Steps = []
    if header in ("none", "false"):
        form["header"] = False
        if columns:
            rows = "[payload]" if known.kind == "map" else "payload"
            cells = ", ".join(f'row.get({source(constant_tree(column))}, "")' for column in columns)
            steps.append(Step("map", Code(f"[[{cells}] for row in {rows}]")))
    elif columns:
        form["header"] = columns
    way.done()
    steps += way.named([Step("encode", form if len(form) > 1 else "csv")])
    return [*steps, *way.on(0, replace(known.replaced("bytes"), raw="utf8"))]


def yaml(way: Way, known: Known) -> Steps:
    """`yaml`: to a value or to a text."""
    if way.node.text("property", "payload") != "payload":
        raise Uncertain("YAML in another property")
    steps, known = known.settled()
    way.done()
    if known.kind in ("map", "list", "data"):
        after = replace(known.replaced("bytes"), raw="utf8")
        return [*steps, *way.named([Step("encode", "yaml")]), *way.on(0, after)]
    return [*steps, *way.named([Step("decode", "yaml")]), *way.on(0, known.replaced("data"))]


def template(way: Way, known: Known) -> Steps:
    """`template`: mustache, or a plain text."""
    node = way.node
    text, form, field = node.text("template"), node.text("output") or "str", node.text("field") or "payload"
    steps: Steps = []
    if "payload" in text:
        steps, known = known.readable()

    def read(path: tuple[str | int, ...]) -> Value:
        if path[0] in ("flow", "global") and len(path) == 2:
            more, value = stored(str(path[1]), str(path[0]), way)
            steps.extend(more)
            return value
        if path[0] == "env" and len(path) == 2:
            from flowrunner.nodered.properties import variable

            return variable(str(path[1]), way)
        return known.value(path)

    is_escaped = False
    value: Value = Constant(text)
    if node.text("syntax", "mustache") == "mustache":
        value, is_escaped = read_mustache(text, read)
    if is_escaped:
        way.approximated("`{{...}}` does not escape `&`, `<`, `>` and quotes for HTML")
    else:
        way.done()
    if node.text("fieldType", "msg") != "msg":
        about = state_of(field, node.text("fieldType"), way)
        named = {"set": about.pop("name"), "value": option(value), **about}
        return [*steps, *way.named([Step("state", named)]), *way.on(0, known)]
    path = read_path(field)
    if path == ("payload",):
        known = known.with_payload(value)
        if form != "str":
            more, known = known.settled()
            steps += [*more, Step("json") if form == "json" else Step("decode", "yaml")]
            known = known.replaced("data")
        return [*steps, *way.on(0, known)]
    if form != "str" or len(path) != 1:
        raise Uncertain("a template for such a property")
    from flowrunner.nodered.nodes.change import named_value

    more, known = named_value(str(path[0]), value, known)
    return [*steps, *more, *way.on(0, known)]


def scale(way: Way, known: Known) -> Steps:
    """`range`: from one range to another."""
    node = way.node
    low, high = node.number("minin", 0), node.number("maxin", 0)
    to = [node.number("minout", 0), node.number("maxout", 0)]
    if low == high or to[0] == to[1]:
        raise Uncertain("a range without a length")
    path = read_path(node.text("property") or "payload")
    if path[0] != "payload" or not all(isinstance(part, str) and "." not in part and part for part in path):
        raise Uncertain("a range of another property")
    steps, known = known.settled()
    value = known.tree(path)
    if value.kind == "text" and len(path) == 1:
        steps.append(Step("map", Code("float(payload)")))
    options: dict[str, Any] = {"field": ".".join(map(str, path[1:]))} if len(path) > 1 else {}
    code, action = source(value.tree), node.text("action")
    if action == "drop":
        steps.append(Step("filter", Code(f"{min(low, high)} <= {code} <= {max(low, high)}")))
    if action == "roll":
        bottom, length = min(low, high), tidy(abs(high - low))
        rolled = f"({code} - {bottom}) % {length} + {bottom}" if bottom else f"{code} % {length}"
        steps.append(Step("set", {options["field"]: f"${{{rolled}}}"}) if options else Step("map", Code(rolled)))
    options |= {"from": [low, high], "to": to}
    if action == "clamp":
        options["clamp"] = True
    if node.flag("round"):
        options["round"] = 0
    way.done()
    after = known if len(path) > 1 else known.replaced("number")
    return [*steps, *way.named([Step("scale", options)]), *way.on(0, after)]


TRANSLATORS = {"json": parse_json, "csv": csv, "yaml": yaml, "template": template, "range": scale}
