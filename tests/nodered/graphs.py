"""Random exports for hypothesis: every kind of node with fields that are likely or odd, wired at random."""

from typing import Any

from hypothesis import strategies as st

from tests.nodered.shapes import Node

NAMES = st.sampled_from(
    ["", "", "kitchen", "too warm?", "Küche", "日本", "a: b", "flowrunner", "true", "- x", "#1", '"', "${x}"]
)
TEXTS = st.sampled_from(
    [
        "",
        "on",
        "25",
        "-1.5",
        "1e3",
        "a\nb",
        "${HOME}",
        "{{payload}}",
        "{{{topic}}} x",
        "{{#a}}",
        "x ${y}",
        'it\'s "q"',
        "true",
        "#",
        ": ",
        "\t",
        "é°",
    ]
)
PATHS = st.sampled_from(
    [
        "payload",
        "payload.x",
        "payload.items.count",
        "topic",
        "limit",
        "payload[0]",
        'payload["a b"].c',
        "headers.x",
        "",
        "payload.",
        "parts.index",
        "error.message",
        "class",
        "payload.class",
    ]
)
TOPICS = st.sampled_from(
    ["a/b", "a/+/c", "#", "$SYS/#", "a/#/b", "", "a//b", "$share/g/x/+", "+", "über/x", "${T}", "a b"]
)
NUMBERS = st.sampled_from(["", "0", "1", "5", "-3", "0.5", "x", "1e400", 7, 0.1, None, True, "99999999999"])
KINDS = st.sampled_from(
    [
        "str",
        "num",
        "bool",
        "json",
        "msg",
        "date",
        "env",
        "flow",
        "global",
        "jsonata",
        "re",
        "bin",
        "pay",
        "payl",
        "nul",
        "val",
        "",
        3,
    ]
)
CODES = st.sampled_from([
    "return msg;", "", "msg.payload = msg.payload * 2;\nreturn msg;", "if (msg.payload > 3) return null;\nreturn msg;",
    "if (msg.payload.x) { return [msg, null]; } else { return [null, msg]; }", "msg.topic = 'x/' + msg.topic; return msg;",
    "var a = msg.payload.a || 0; a += 1; msg.payload = {a, b: `v ${a}`}; return msg;", "return {payload: 1};", "node.warn('x'); return msg;",
    "flow.set('n', (flow.get('n') || 0) + 1); return msg;", "for (;;) {}", "msg.payload = JSON.parse(msg.payload); msg.payload = msg.payload.a; return msg;",
    "if (msg.payload == 'a') { msg.payload = 1; } else if (msg.payload == 'b') { msg.payload = 2; } return msg;", "delete msg.payload.x; return msg;",
    "var m = {payload: msg.payload, topic: 'a'}; msg.payload = 1; return [m, msg];", "var m = {}; m.payload = msg.payload; m.x = 1; return m;",
    "var d = JSON.parse(msg.payload); if (d.a) { msg.payload = d.a; } return msg;", "var n = 1; msg.payload = n; n = n + 1; if (n > 1) { msg.topic = 'n'; } return {payload: n};",
    "return [[msg, msg]];", "'''", "return msg", "msg.payload = msg.payload.toFixed(2); return msg;", "var x = {a: 1}; msg.payload = x.a; return msg;",
    "msg = {payload: 1}; return msg;", "if (true) { if (msg.payload) { return msg; } } return null;", "var t = msg.payload.t; return {payload: t, topic: 'a'};",
    "context.set('last', msg.payload); msg.payload = context.get('last'); return msg;", "let qos = 3; msg.qos = qos; return msg;",
])  # fmt: skip
ODD = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, NUMBERS, st.just([]), st.just({}))

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "mqtt in": {"topic": TOPICS, "qos": NUMBERS, "datatype": st.sampled_from(["auto", "auto-detect", "utf8", "buffer", "json", "base64", "x", ""]), "broker": st.sampled_from(["b1", "b2", "no"]), "inputs": st.sampled_from([0, 0, 1])},
    "mqtt out": {"topic": TOPICS, "qos": st.sampled_from(["", "0", "1", "2", "5"]), "retain": st.sampled_from(["", "true", "false"]), "broker": st.sampled_from(["b1", "b2"])},
    "inject": {"props": st.lists(st.fixed_dictionaries({"p": PATHS, "v": TEXTS, "vt": KINDS}), max_size=3), "repeat": NUMBERS, "crontab": st.sampled_from(["", "0 7 * * 1", "x"]), "once": st.booleans(), "payload": TEXTS, "payloadType": KINDS, "topic": TOPICS},
    "debug": {"complete": PATHS | st.just("true"), "active": st.booleans(), "targetType": st.sampled_from(["msg", "full", "jsonata"])},
    "json": {"action": st.sampled_from(["", "obj", "str"]), "property": PATHS, "pretty": st.booleans()},
    "csv": {"temp": st.sampled_from(["", "a,b", "a,,b", "a,a"]), "hdrin": st.booleans(), "hdrout": st.sampled_from(["none", "all", "once"]), "sep": st.sampled_from([",", ";", "\\t", "", "ab"]), "multi": st.sampled_from(["one", "mult"]), "strings": st.booleans()},
    "switch": {"property": PATHS, "propertyType": KINDS, "checkall": st.sampled_from(["true", "false"]), "rules": st.lists(st.fixed_dictionaries({"t": st.sampled_from(["eq", "neq", "lt", "gte", "btwn", "cont", "regex", "true", "null", "nnull", "empty", "istype", "hask", "else", "head", "tail", "index", "jsonata_exp", "x"]), "v": TEXTS, "vt": KINDS, "v2": TEXTS}), max_size=4)},
    "change": {"rules": st.lists(st.fixed_dictionaries({"t": st.sampled_from(["set", "change", "delete", "move"]), "p": PATHS, "pt": st.sampled_from(["msg", "flow", "global"]), "to": TEXTS | PATHS, "tot": KINDS, "from": TEXTS, "fromt": KINDS}), max_size=4)},
    "template": {"template": TEXTS, "field": PATHS, "syntax": st.sampled_from(["mustache", "plain"]), "output": st.sampled_from(["str", "json", "yaml"]), "fieldType": st.sampled_from(["msg", "flow"])},
    "range": {"minin": NUMBERS, "maxin": NUMBERS, "minout": NUMBERS, "maxout": NUMBERS, "action": st.sampled_from(["scale", "clamp", "roll", "drop"]), "round": st.booleans(), "property": PATHS},
    "rbe": {"func": st.sampled_from(["rbe", "rbei", "deadband", "deadbandEq", "narrowband", "narrowbandEq"]), "gap": st.sampled_from(["", "1", "10%", "x"]), "start": st.sampled_from(["", "5", "x"]), "inout": st.sampled_from(["in", "out"]), "septopics": st.booleans(), "property": PATHS, "topi": PATHS},
    "delay": {"pauseType": st.sampled_from(["delay", "delayv", "random", "rate", "queue", "timed", "x"]), "timeout": NUMBERS, "timeoutUnits": st.sampled_from(["milliseconds", "days"]), "rate": NUMBERS, "nbRateUnits": NUMBERS, "rateUnits": st.sampled_from(["second", "day"]), "randomFirst": NUMBERS, "randomLast": NUMBERS, "drop": st.booleans()},
    "trigger": {"op1": TEXTS, "op2": TEXTS, "op1type": KINDS, "op2type": KINDS, "duration": NUMBERS, "units": st.sampled_from(["ms", "hr"]), "extend": st.booleans(), "bytopic": st.sampled_from(["all", "topic"]), "outputs": st.sampled_from([1, 2])},
    "split": {"splt": st.sampled_from(["\\n", ",", "", "\\r\\n"]), "spltType": st.sampled_from(["str", "len"]), "arraySplt": NUMBERS, "addname": st.sampled_from(["", "topic", "key", "payload.x"])},
    "join": {"mode": st.sampled_from(["auto", "custom", "reduce"]), "build": st.sampled_from(["array", "string", "object", "merged", "buffer"]), "count": NUMBERS, "timeout": NUMBERS, "joiner": TEXTS, "key": PATHS, "accumulate": st.booleans()},
    "batch": {"mode": st.sampled_from(["count", "interval", "concat"]), "count": NUMBERS, "overlap": NUMBERS, "interval": NUMBERS},
    "sort": {"order": st.sampled_from(["ascending", "descending"]), "as_num": st.booleans()},
    "link out": {"mode": st.sampled_from(["link", "return"]), "links": st.just([])},
    "link in": {}, "link call": {"links": st.just([]), "linkType": st.sampled_from(["static", "dynamic"])},
    "catch": {"scope": st.none() | st.lists(st.integers(0, 12).map(lambda n: f"n{n}"), max_size=3)},
    "complete": {"scope": st.lists(st.integers(0, 12).map(lambda n: f"n{n}"), max_size=3)},
    "status": {}, "comment": {"info": TEXTS}, "junction": {}, "ui_gauge": {"group": TEXTS}, "http in": {"url": TEXTS},
    "http request": {"method": st.sampled_from(["GET", "POST", "use"]), "url": st.sampled_from(["http://x.example/a", "https://x.example/{{{payload.id}}}", "", "x", "http://{{payload}}/"]), "ret": st.sampled_from(["txt", "obj", "bin"]), "headers": st.lists(st.fixed_dictionaries({"keyType": st.just("other"), "keyValue": TEXTS, "valueType": st.just("other"), "valueValue": TEXTS}), max_size=2)},
    "exec": {"command": TEXTS, "addpay": st.sampled_from(["", "payload", "topic", True]), "append": TEXTS},
    "file": {"filename": st.sampled_from(["a.jsonl", "/tmp/x.log", "", "payload"]), "filenameType": st.sampled_from(["str", "msg"]), "overwriteFile": st.sampled_from(["true", "false", "delete"])},
    "file in": {"filename": st.sampled_from(["a.txt", ""]), "format": st.sampled_from(["utf8", "lines", ""])},
    "function": {"func": CODES, "initialize": st.sampled_from(["", "x"])},
    "yaml": {"property": PATHS},
    "subflow:s1": {"env": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["T", "X"]), "type": KINDS, "value": TEXTS}), max_size=2)},
    "subflow:s2": {}, "subflow:none": {},
}  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn, number: int, size: int) -> Node:
    """A node whose wires lead to some of the others, itself not excluded."""
    type = draw(st.sampled_from(sorted(FIELDS)))
    fields = {key: draw(strategy if draw(st.integers(0, 15)) else ODD) for key, strategy in FIELDS[type].items()}
    target = st.integers(0, size - 1).map(lambda n: f"n{n}")
    wires = draw(st.lists(st.lists(target, max_size=3), max_size=3))
    if type.startswith("link"):
        fields["links"] = draw(st.lists(target, max_size=2))
    home = draw(st.sampled_from(["t1", "t1", "t1", "t2", "s1", "s2"]))
    found = {"id": f"n{number}", "type": type, "z": home, "name": draw(NAMES), "x": 1, "wires": wires, **fields}
    return (
        found
        | ({"d": True} if draw(st.integers(0, 20)) == 0 else {})
        | ({"info": "a\nnote"} if draw(st.integers(0, 9)) == 0 else {})
    )


@st.composite
def exports(draw: st.DrawFn) -> list[Node]:
    """Two tabs, two subflows (which may hold each other), brokers, and nodes."""
    size = draw(st.integers(1, 14))
    found = [draw(nodes(number, size)) for number in range(size)]
    first = [{"id": f"n{draw(st.integers(0, size - 1))}", "port": 0}]
    subflows = [
        {
            "id": id,
            "type": "subflow",
            "name": draw(NAMES),
            "in": [{"wires": first}],
            "out": [{"wires": first}],
            "env": [{"name": "T", "type": "str", "value": "x"}],
        }
        for id in ("s1", "s2")
    ]
    tabs: list[Node] = [
        {"id": id, "type": "tab", "label": draw(NAMES), "disabled": draw(st.booleans()), "info": draw(TEXTS), "env": []}
        for id in ("t1", "t2")
    ]
    brokers = [
        {
            "id": id,
            "type": "mqtt-broker",
            "name": draw(NAMES),
            "broker": draw(st.sampled_from(["localhost", "::1", "${H}", "", "ws://x:1/mqtt", "a b"])),
            "port": draw(NUMBERS),
            "usetls": draw(st.booleans()),
            "protocolVersion": draw(st.sampled_from(["4", "5"])),
            "clientid": draw(TEXTS),
            "cleansession": draw(st.booleans()),
            "keepalive": draw(NUMBERS),
        }
        for id in ("b1", "b2")
    ]
    return [*tabs, *subflows, *brokers, *found]  # fmt: skip
