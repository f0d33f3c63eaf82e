"""Exports of the shapes that flows of Node-RED commonly have, each with messages to send, written for these tests.

Topics begin with `P/NAME/`; what flows publish goes to `P/NAME/out...`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PAUSE = "pause"
"""Among the messages: wait until what was sent so far has had its time."""

Node = dict[str, Any]


@dataclass(frozen=True)
class Given:
    topic: str
    payload: str | bytes
    qos: int = 0


@dataclass(frozen=True)
class Shape:
    """Nodes (ids are local to the shape), messages, how many come out, and whether their order is defined.

    `pause` is how many seconds PAUSE takes; `kept` are retained before the flows start.
    """

    name: str
    nodes: Sequence[Node]
    given: Sequence[Given | str]
    count: int
    is_ordered: bool = True
    pause: float = 0.6
    everywhere: Sequence[Node] = field(default=())
    kept: Sequence[Given] = ()

    def export(self, prefix: str) -> list[Node]:
        """The nodes of a tab, with ids and topics of their own."""
        tab = {"id": f"{self.name}_tab", "type": "tab", "label": self.name, "disabled": False, "info": ""}
        own = [{"z": tab["id"], "x": 0, "y": 0, **node} for node in self.nodes]
        text = json.dumps([tab, *own, *self.everywhere])
        text = text.replace("P/", f"{prefix}/{self.name}/")
        text = text.replace('"@', f'"{self.name}_').replace(":@", f":{self.name}_")
        found: list[Node] = json.loads(text)
        return found


def broker(port: int) -> Node:
    return {"id": "broker", "type": "mqtt-broker", "name": "the broker", "broker": "127.0.0.1", "port": str(port),
            "clientid": "", "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60",
            "cleansession": True, "birthTopic": "", "closeTopic": "", "willTopic": ""}  # fmt: skip


def heard(
    topic: str, to: str | list[str], *, datatype: str = "auto-detect", qos: str = "0", id: str = "in", **more: Any
) -> Node:
    return {"id": f"@{id}", "type": "mqtt in", "topic": topic, "qos": qos, "datatype": datatype, "broker": "broker",
            "nl": False, "rap": True, "rh": 0, "inputs": 0, "wires": [wires(to)], **more}  # fmt: skip


def sent(topic: str = "P/out", *, id: str = "out", qos: str = "", retain: str = "", **more: Any) -> Node:
    return {"id": f"@{id}", "type": "mqtt out", "topic": topic, "qos": qos, "retain": retain, "broker": "broker",
            "respTopic": "", "contentType": "", "userProps": "", "correl": "", "expiry": "", "wires": [], **more}  # fmt: skip


def node(type: str, id: str, *to: str | list[str], **fields: Any) -> Node:
    return {"id": f"@{id}", "type": type, "name": "", "wires": [wires(one) for one in to], **fields}


def wires(to: str | list[str]) -> list[str]:
    return [f"@{one}" for one in ([to] if isinstance(to, str) else to)]


def setting(path: str, to: Any, kind: str = "str") -> dict[str, Any]:
    return {"t": "set", "p": path, "pt": "msg", "to": to, "tot": kind}


def change(id: str, to: str | list[str], *rules: dict[str, Any], **more: Any) -> Node:
    return node("change", id, to, rules=list(rules), **more)


def function(id: str, code: str, *to: str | list[str], **more: Any) -> Node:
    return node("function", id, *to, func=code, outputs=len(to), noerr=0, initialize="", finalize="", libs=[], **more)


def rule(kind: str, value: Any = "", type: str = "str", **more: Any) -> dict[str, Any]:
    return {"t": kind, "v": value, "vt": type, **more}


def switch(id: str, rules: list[dict[str, Any]], *to: str | list[str], path: str = "payload", **more: Any) -> Node:
    fields = {"property": path, "propertyType": "msg", "checkall": "true", "repair": False, "outputs": len(rules)}
    return node("switch", id, *to, rules=rules, **{**fields, **more})


def says(*payloads: str | bytes, topic: str = "P/in") -> list[Given | str]:
    return [Given(topic, payload) for payload in payloads]


def rbe(id: str, to: str, func: str = "rbe", **more: Any) -> Node:
    fields = {"gap": "", "start": "", "inout": "out", "septopics": True, "property": "payload", "topi": "topic"}
    return node("rbe", id, to, func=func, **{**fields, **more})


def delay(id: str, to: str, mode: str = "delay", **more: Any) -> Node:
    fields = {"pauseType": mode, "timeout": "1", "timeoutUnits": "seconds", "rate": "1", "nbRateUnits": "1",
              "rateUnits": "second", "randomFirst": "1", "randomLast": "5", "randomUnits": "seconds", "drop": False,
              "allowrate": False, "outputs": 1}  # fmt: skip
    return node("delay", id, to, **{**fields, **more})


def trigger(id: str, *to: str, **more: Any) -> Node:
    fields = {"op1": "1", "op2": "0", "op1type": "str", "op2type": "str", "duration": "400", "extend": False,
              "overrideDelay": False, "units": "ms", "reset": "", "bytopic": "all", "topic": "topic", "outputs": len(to)}  # fmt: skip
    return node("trigger", id, *to, **{**fields, **more})


def join(id: str, to: str, **more: Any) -> Node:
    fields = {"mode": "custom", "build": "array", "property": "payload", "propertyType": "msg", "key": "topic",
              "joiner": "\\n", "joinerType": "str", "accumulate": False, "timeout": "", "count": "", "reduceRight": False}  # fmt: skip
    return node("join", id, to, **{**fields, **more})


def split(id: str, to: str, **more: Any) -> Node:
    fields = {"splt": "\\n", "spltType": "str", "arraySplt": 1, "arraySpltType": "len", "stream": False, "addname": ""}
    return node("split", id, to, **{**fields, **more})


def inject(id: str, to: str | list[str], **more: Any) -> Node:
    fields = {"props": [{"p": "payload"}, {"p": "topic", "vt": "str"}], "repeat": "", "crontab": "", "once": False,
              "onceDelay": 0.1, "topic": "", "payload": "", "payloadType": "date"}  # fmt: skip
    return node("inject", id, to, **{**fields, **more})


def template(id: str, to: str, text: str, **more: Any) -> Node:
    fields = {"field": "payload", "fieldType": "msg", "format": "handlebars", "syntax": "mustache", "output": "str"}
    return node("template", id, to, template=text, **{**fields, **more})


ROOMS = '[{"name": "attic", "t": 20}, {"name": "cellar", "t": 8}]'

SHAPES = [
    Shape(
        "threshold",
        [
            heard("P/in/+", "sw", name="climate"),
            switch("sw", [rule("gt", "25", "num"), rule("else")], "hot", "cool", path="payload.temperature"),
            change("hot", "out", setting("payload.level", "hot")),
            change("cool", "out", setting("payload.level", "fine")),
            sent("P/out/level"),
        ],
        [Given("P/in/a", '{"temperature": 26}'), Given("P/in/b", '{"temperature": 20, "x": [1]}')],
        2,
    ),
    Shape(
        "fahrenheit",
        [
            heard("P/in", "js", datatype="utf8"),
            node("json", "js", "f", property="payload", action="obj", pretty=False),
            function("f", "msg.payload = msg.payload.celsius * 9 / 5 + 32;\nreturn msg;", "out"),
            sent(qos="1"),
        ],
        says('{"celsius": 100}', '{"celsius": -40}', "not json"),
        2,
    ),
    Shape(
        "on-and-off",
        [
            heard("P/in/+", "sw"),
            switch("sw", [rule("eq", "ON"), rule("eq", "OFF"), rule("else")], "on", "off", "what"),
            change("on", "out", setting("payload", "true", "bool")),
            change("off", "out", setting("payload", "0", "num")),
            change("what", "out", setting("payload", '{"error": "unknown"}', "json")),
            sent("P/out", retain="true"),
        ],
        [Given("P/in/a", "ON"), Given("P/in/a", "OFF"), Given("P/in/b", "maybe")],
        3,
    ),
    Shape(
        "changes",
        [heard("P/in/+", "rbe"), rbe("rbe", "out"), sent()],
        [
            Given("P/in/a", "1"),
            Given("P/in/b", "1"),
            Given("P/in/a", "1"),
            Given("P/in/a", "2"),
            Given("P/in/a", '{"x":1}'),
            Given("P/in/a", '{"x":1}'),
        ],
        4,
    ),
    Shape(
        "deadband",
        [heard("P/in", "rbe"), rbe("rbe", "out", "deadband", gap="1"), sent()],
        says("20", "20.5", "21", "21.5", "20", "25"),
        4,
    ),
    Shape(
        "deadband-or-equal",
        [heard("P/in", "rbe"), rbe("rbe", "out", "deadbandEq", gap="1"), sent()],
        says("20", "20.5", "21", "21.5", "20", "25"),
        4,
    ),
    Shape(
        "narrowband",
        [heard("P/in", "rbe", datatype="utf8"), rbe("rbe", "out", "narrowband", gap="5", inout="in"), sent()],
        says("20", "21", "40", "41", "20", "22"),
        4,
    ),
    Shape(
        "ignore-the-first",
        [heard("P/in/+", "rbe"), rbe("rbe", "out", "rbei"), sent()],
        [
            Given("P/in/a", "1"),
            Given("P/in/a", "2"),
            Given("P/in/b", "5"),
            Given("P/in/b", "5"),
            Given("P/in/a", "2"),
            Given("P/in/a", "1"),
        ],
        2,
    ),
    Shape(
        "sentence",
        [
            heard("P/in/+", "tpl"),
            template("tpl", "out", "It is {{{payload.t}}} °C in {{payload.room}} ({{{topic}}})."),
            sent(),
        ],
        [Given("P/in/a", '{"t": 21.5, "room": "attic"}')],
        1,
    ),
    Shape(
        "made-json",
        [
            heard("P/in", "tpl", datatype="utf8"),
            template("tpl", "ch", '{"value": {{payload}}, "unit": "C"}', output="json"),
            change("ch", "out", setting("payload.seen", "payload.value", "msg")),
            sent(),
        ],
        says("21", "-3.5"),
        2,
    ),
    Shape(
        "percent",
        [
            heard("P/in", "range", datatype="utf8"),
            node(
                "range",
                "range",
                "out",
                minin="0",
                maxin="1023",
                minout="0",
                maxout="100",
                action="clamp",
                round=True,
                property="payload",
            ),
            sent(),
        ],
        says("0", "1023", "2000", "-5", "300"),
        5,
    ),
    Shape(
        "rolled",
        [
            heard("P/in", "range"),
            node(
                "range",
                "range",
                "out",
                minin="0",
                maxin="360",
                minout="0",
                maxout="36",
                action="roll",
                round=False,
                property="payload.angle",
            ),
            sent(),
        ],
        says('{"angle": 90}', '{"angle": 450}', '{"angle": -90}'),
        3,
    ),
    Shape(
        "table",
        [
            heard("P/in", "csv", datatype="utf8"),
            node(
                "csv",
                "csv",
                "out",
                sep=",",
                hdrin=True,
                hdrout="none",
                multi="one",
                ret="\\n",
                temp="",
                skip="0",
                strings=True,
                include_empty_strings="",
                include_null_values="",
            ),
            sent(),
        ],
        says('room,t,note\nattic,20.5,"a, b"\ncellar,8,'),
        2,
    ),
    Shape(
        "columns",
        [
            heard("P/in", "csv", datatype="utf8"),
            node(
                "csv",
                "csv",
                "out",
                sep=";",
                hdrin=False,
                hdrout="none",
                multi="mult",
                ret="\\n",
                temp="room,t",
                skip="0",
                strings=True,
                include_empty_strings="",
                include_null_values="",
            ),
            sent(),
        ],
        says("attic;20\ncellar;8"),
        1,
    ),
    Shape(
        "items",
        [
            heard("P/in", "split"),
            split("split", "ch"),
            change("ch", "out", setting("payload.place", "parts.index", "msg"), setting("topic", "P/out/item")),
            sent(""),
        ],
        says(ROOMS),
        2,
    ),
    Shape(
        "fields",
        [
            heard("P/in", "js", datatype="utf8"),
            node("json", "js", "split", property="payload", action="", pretty=False),
            split("split", "tpl", addname="topic"),
            template("tpl", "out", "{{topic}} is {{payload}}"),
            sent(),
        ],
        says('{"a": 1, "b": 2}'),
        2,
    ),
    Shape(
        "taken-apart",
        [
            heard("P/in", "split"),
            split("split", "f"),
            function("f", "msg.payload = msg.payload * 2;\nreturn msg;", "join"),
            join("join", "out", mode="auto"),
            sent(),
        ],
        says("[1, 2, 3]", "[10]"),
        2,
    ),
    Shape(
        "lines",
        [
            heard("P/in", "split", datatype="utf8"),
            split("split", "f"),
            function("f", "msg.payload = msg.payload.trim().toUpperCase();\nreturn msg;", "join"),
            join("join", "out", mode="auto"),
            sent(),
        ],
        says("a\n b\nc"),
        1,
    ),
    Shape(
        "by-three",
        [heard("P/in", "join"), join("join", "out", count="3"), sent()],
        says("1", "2", "3", "4", "5", "6", "7"),
        2,
    ),
    Shape(
        "sentence-of-words",
        [heard("P/in", "join", datatype="utf8"), join("join", "out", build="string", joiner=", ", count="2"), sent()],
        says("tea", "milk", "sugar", "salt"),
        2,
    ),
    Shape(
        "merged",
        [heard("P/in/+", "join"), join("join", "out", build="merged", count="2"), sent()],
        [
            Given("P/in/a", '{"t": 20}'),
            Given("P/in/b", '{"h": 40}'),
            Given("P/in/a", '{"t": 21}'),
            Given("P/in/a", '{"t": 22}'),
            Given("P/in/b", '{"h": 41}'),
        ],
        2,
    ),
    Shape(
        "batches",
        [
            heard("P/in", "batch"),
            node(
                "batch",
                "batch",
                "join",
                mode="count",
                count="2",
                overlap="0",
                interval="10",
                allowEmptySequence=False,
                topics=[],
            ),
            join("join", "out", mode="auto"),
            sent(),
        ],
        says("1", "2", "3", "4", "5"),
        2,
    ),
    Shape(
        "settled",
        [heard("P/in", "tr"), trigger("tr", "out", op1type="nul", op2="", op2type="payl", extend=True), sent()],
        [*says("1", "2", "3"), PAUSE, *says("4")],
        2,
    ),
    Shape(
        "light",
        [heard("P/in", "tr"), trigger("tr", "out", op1="on", op2="off", extend=True), sent()],
        [*says("x", "y"), PAUSE, *says("z")],
        4,
    ),
    Shape(
        "pulse",
        [
            heard("P/in", "tr"),
            trigger("tr", "a", "b", op1="true", op1type="bool", op2="false", op2type="bool"),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
        ],
        [*says("x", "y"), PAUSE, *says("z")],
        4,
        is_ordered=False,
    ),
    Shape(
        "first-only",
        [heard("P/in/+", "tr"), trigger("tr", "out", op1type="pay", op2type="nul", bytopic="topic"), sent()],
        [Given("P/in/a", "1"), Given("P/in/a", "2"), Given("P/in/b", "3"), PAUSE, Given("P/in/a", "4")],
        3,
    ),
    Shape(
        "later",
        [heard("P/in", "delay", qos="1"), delay("delay", "out", timeout="300", timeoutUnits="milliseconds"), sent()],
        [Given("P/in", "1", 1), Given("P/in", "2", 0)],
        2,
    ),
    Shape(
        "in-turn",
        [heard("P/in", "delay"), delay("delay", "out", "rate", rate="10", rateUnits="second"), sent()],
        says("1", "2", "3", "4"),
        4,
    ),
    Shape(
        "not-so-fast",
        [heard("P/in", "delay"), delay("delay", "out", "rate", rate="2", rateUnits="second", drop=True), sent()],
        [*says("1", "2", "3"), PAUSE, *says("4")],
        2,
    ),
    Shape(
        "links",
        [
            heard("P/in", "lo"),
            node("link out", "lo", mode="link", links=["@li"]),
            node("link in", "li", "tpl", links=["@lo"]),
            template("tpl", "out", "linked {{payload}}"),
            sent(),
        ],
        says("one"),
        1,
    ),
    Shape(
        "called-back",
        [
            heard("P/in", "call"),
            node("link call", "call", "out", links=["@li"], linkType="static", timeout="5"),
            node("link in", "li", "f", links=[]),
            function("f", "msg.payload = msg.payload * 3;\nreturn msg;", "ret"),
            node("link out", "ret", mode="return", links=[]),
            sent(),
        ],
        says("2", "5"),
        2,
    ),
    Shape(
        "subflow",
        [
            heard("P/in", ["one", "two"]),
            node("subflow:@sub", "one", "out", env=[{"name": "WORD", "type": "str", "value": "first"}]),
            node("subflow:@sub", "two", "out"),
            sent(),
        ],
        says("7"),
        2,
        is_ordered=False,
        everywhere=[
            {
                "id": "@sub",
                "type": "subflow",
                "name": "Labelled",
                "info": "",
                "category": "",
                "in": [{"x": 0, "y": 0, "wires": [{"id": "@inner"}]}],
                "out": [{"x": 0, "y": 0, "wires": [{"id": "@inner", "port": 0}]}],
                "env": [{"name": "WORD", "type": "str", "value": "other"}],
                "color": "#DDAA99",
            },
            {
                "id": "@inner",
                "type": "change",
                "z": "@sub",
                "name": "",
                "rules": [
                    setting("payload", '{"label": "", "value": 0}', "json"),
                    setting("payload.label", "WORD", "env"),
                ],
                "x": 0,
                "y": 0,
                "wires": [[]],
            },
        ],
    ),
    Shape(
        "all-rules",
        [
            heard("P/in", "sw"),
            switch(
                "sw",
                [rule("gt", "1", "num"), rule("gt", "2", "num"), rule("btwn", "0", "num", v2="2", v2t="num")],
                "a",
                "b",
                "c",
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
        ],
        says("0", "2", "3"),
        5,
        is_ordered=False,
    ),
    Shape(
        "words",
        [
            heard("P/in", "sw", datatype="utf8"),
            switch(
                "sw",
                [rule("regex", "^dev-[0-9]+$", "str", case=False), rule("cont", "error"), rule("empty"), rule("else")],
                "a",
                "b",
                "c",
                "d",
                checkall="false",
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
            sent("P/out/d", id="d"),
        ],
        says("dev-12", "an error here", "", "other", "xdev-1"),
        5,
    ),
    Shape(
        "two-outputs",
        [
            heard("P/in", "f"),
            function(
                "f",
                "if (msg.payload.on === true) {\n  return [msg, null];\n} else {\n  return [null, {payload: 'off'}];\n}",
                "a",
                "b",
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
        ],
        says('{"on": true}', '{"on": false}'),
        2,
    ),
    Shape(
        "graded",
        [
            heard("P/in", "f", datatype="utf8"),
            function(
                "f",
                "var t = Number(msg.payload);\nif (t > 30) {\n  msg.payload = 'hot';\n} else if (t > 20) {\n  msg.payload = 'warm';\n} else {\n  msg.payload = 'cold';\n}\nmsg.topic = 'P/out/' + t.toFixed(1);\nreturn msg;",
                "out",
            ),
            sent(""),
        ],
        says("31", "25", "-5"),
        3,
    ),
    Shape(
        "counter",
        [
            heard("P/in", "f"),
            function(
                "f",
                "var n = flow.get('n') || 0;\nn++;\nflow.set('n', n);\nmsg.payload = {count: n, text: `no ${n}`};\nreturn msg;",
                "out",
                name="count up",
            ),
            sent(),
        ],
        says("x", "y", "z"),
        3,
    ),
    Shape(
        "rebuilt",
        [
            heard("P/in", "ch"),
            change(
                "ch",
                "out",
                {"t": "move", "p": "payload.temp", "pt": "msg", "to": "payload.temperature", "tot": "msg"},
                {"t": "delete", "p": "payload.debug", "pt": "msg"},
                setting("payload.unit", "C"),
                setting("payload.room.name", "payload.id", "msg"),
                setting("topic", "topic", "msg"),
            ),
            sent(),
        ],
        says('{"temp": 20, "debug": 1, "id": "d17"}'),
        1,
    ),
    Shape(
        "searched",
        [
            heard("P/in", "ch", datatype="utf8"),
            change(
                "ch",
                "out",
                {"t": "change", "p": "payload", "pt": "msg", "from": ",", "fromt": "str", "to": ".", "tot": "str"},
            ),
            sent(),
        ],
        says("21,5", "1,2,3", "7"),
        3,
    ),
    Shape(
        "caught",
        [
            heard("P/in", "js", datatype="utf8"),
            node("json", "js", "out", property="payload", action="obj", pretty=False),
            sent(),
            node("catch", "catch", "note", scope=None, uncaught=False),
            change("note", "err", setting("payload", "broken")),
            sent("P/out/error", id="err"),
        ],
        says("{", "[1]"),
        2,
        is_ordered=False,
    ),
    Shape(
        "doors-and-windows",
        [
            heard("P/in/door", "rbe", id="door"),
            heard("P/in/window", "rbe", id="window"),
            rbe("rbe", "out", septopics=False),
            sent(),
        ],
        [
            Given("P/in/door", "open"),
            Given("P/in/window", "open"),
            Given("P/in/window", "closed"),
            Given("P/in/door", "closed"),
        ],
        2,
    ),
    Shape(
        "started",
        [
            inject(
                "inj",
                "out",
                once=True,
                onceDelay="1.5",
                payload='{"state": "up"}',
                payloadType="json",
                topic="P/out/state",
            ),
            sent("", qos="1", retain="true"),
        ],
        [],
        1,
    ),
    Shape(
        "ticking",
        [
            inject("inj", "f", repeat="0.3", payload="tick", payloadType="str"),
            function(
                "f",
                "var n = flow.get('n') || 0;\nif (n >= 3) { return null; }\nflow.set('n', n + 1);\nmsg.payload = msg.payload + ' ' + n;\nreturn msg;",
                "out",
            ),
            sent(qos="1"),  # which Node-RED keeps until it is connected
        ],
        [PAUSE],
        3,
        pause=1.5,
    ),
    Shape(
        "bytes",
        [
            heard("P/in", "b", datatype="base64", id="in"),
            heard("P/in", "c", datatype="buffer", id="in2"),
            sent("P/out/base64", id="b"),
            sent("P/out/raw", id="c"),
        ],
        says(b"\x00\xff", "text"),
        4,
        is_ordered=False,
    ),
    Shape(
        "handed-on",
        [heard("P/in", "out", qos="2"), sent()],
        [Given("P/in", '{"a": 1}', 1), Given("P/in", "text", 2), Given("P/in", "5", 0)],
        3,
        is_ordered=False,
    ),
    Shape(
        "program",
        [
            heard("P/in", "exec", datatype="utf8"),
            node(
                "exec",
                "exec",
                "out",
                [],
                [],
                command="echo got",
                addpay="payload",
                append="",
                useSpawn="false",
                timer="",
                winHide=False,
                oldrc=False,
            ),
            sent(),
        ],
        says("7"),
        1,
    ),
    Shape(
        "completed",
        [
            heard("P/in", "ch"),
            change("ch", "out", setting("payload", "done")),
            sent("P/out/a"),
            node("complete", "complete", "note", scope=["@out"], uncaught=False),
            sent("P/out/after", id="note"),
        ],
        says("x"),
        2,
    ),
    Shape(
        "query",
        [
            heard("P/in", "ch"),
            change(
                "ch",
                "sw",
                setting("payload.total", "payload.a + payload.b * 2", "jsonata"),
                setting("limit", "10", "num"),
            ),
            switch("sw", [rule("gte", "limit", "msg")], "out", path="payload.total"),
            sent(),
        ],
        says('{"a": 1, "b": 2}', '{"a": 4, "b": 3}'),
        1,
    ),
    Shape(
        "kept",
        [heard("P/in/+", "out"), sent(qos="1")],
        [Given("P/in/new", "2")],
        2,
        is_ordered=False,
        kept=[Given("P/in/old", "1")],
    ),
    Shape(
        "rows",
        [
            heard("P/in", "f"),
            function("f", "msg.payload = [{room: msg.payload.room, t: msg.payload.t}];\nreturn msg;", "csv"),
            node(
                "csv",
                "csv",
                "out",
                sep=";",
                hdrin=False,
                hdrout="all",
                multi="one",
                ret="\\n",
                temp="room,t",
                skip="0",
                strings=True,
            ),
            sent(),
        ],
        says('{"room": "attic", "t": 20, "x": 1}'),
        1,
    ),
    Shape(
        "by-topic",
        [
            heard("P/in/#", "sw", datatype="utf8"),
            switch(
                "sw",
                [rule("cont", "/door/"), rule("regex", "window$", "str", case=True)],
                "a",
                "b",
                path="topic",
                checkall="false",
            ),
            change("a", "out", setting("payload", "door")),
            change("b", "out", setting("payload", "window")),
            sent(),
        ],
        [Given("P/in/door/1", "x"), Given("P/in/WINDOW", "x"), Given("P/in/roof", "x")],
        2,
    ),
    Shape(
        "text-or-number",
        [
            heard("P/in", "sw", datatype="utf8"),
            switch(
                "sw", [rule("lt", "10", "num"), rule("eq", "42", "num"), rule("else")], "a", "b", "c", checkall="false"
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
        ],
        says("9.5", "42", "100"),
        3,
    ),
    Shape(
        "if-there",
        [
            heard("P/in", "sw"),
            switch("sw", [rule("nnull"), rule("null")], "a", "b", path="payload.x"),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
        ],
        says('{"x": 0}', '{"y": 1}', '{"x": null}'),
        3,
    ),
    Shape(
        "in-order",
        [
            heard("P/in", "sort"),
            node(
                "sort",
                "sort",
                "out",
                order="descending",
                as_num=True,
                target="payload",
                targetType="msg",
                msgKey="payload",
                msgKeyType="elem",
                seqKey="payload",
                seqKeyType="msg",
            ),
            sent(),
        ],
        says("[3, 20, 1]"),
        1,
    ),
    Shape(
        "nested",
        [
            heard("P/in", "f"),
            function(
                "f",
                "var t = msg.payload.temperature;\nif (t > 30) {\n    msg.payload.state = 'hot';\n    node.warn('hot!');\n}\nmsg.payload.f = Math.round(t * 18 + 320) / 10;\ndelete msg.payload.temperature;\nreturn msg;",
                "out",
            ),
            sent(),
        ],
        says('{"temperature": 31.5, "id": 1}', '{"temperature": 20}'),
        2,
    ),
    Shape(
        "dimmed",
        [
            heard("P/in", "range", datatype="utf8"),
            node(
                "range",
                "range",
                "tpl",
                minin="0",
                maxin="100",
                minout="0",
                maxout="255",
                action="drop",
                round=True,
                property="payload",
            ),
            template("tpl", "out", '{"brightness": {{payload}}, "transition": 2}', output="str"),
            sent(),
        ],
        says("40", "120", "100"),
        2,
    ),
    Shape(
        "watchdog",
        [
            heard("P/in", "tr"),
            trigger("tr", "out", op1type="nul", op2='{"state": "silent"}', op2type="json", extend=True),
            sent(),
        ],
        [*says("1", "2"), PAUSE, *says("3")],
        2,
    ),
    Shape(
        "latest-in-a-while",
        [heard("P/in", "tr"), trigger("tr", "out", op1type="nul", op2="", op2type="payl", extend=False), sent()],
        says("1", "2", "3"),
        1,
    ),
    Shape(
        "three-deep",
        [
            heard("P/in", ["a", "b"], datatype="utf8"),
            function("a", "msg.payload = parseFloat(msg.payload) * 2;\nreturn msg;", ["c", "d"]),
            change("b", "out", setting("topic", "P/out/b")),
            change("c", "out", setting("topic", "P/out/c")),
            change("d", "out", setting("payload", "x"), setting("topic", "P/out/d")),
            sent("", qos="2"),
        ],
        says("4"),
        3,
        is_ordered=False,
    ),
    Shape(
        "by-percent",
        [heard("P/in", "rbe"), rbe("rbe", "out", "deadband", gap="10%"), sent()],
        says("100", "105", "111", "120", "123", "-10"),
        4,
    ),
    Shape(
        "places",
        [
            heard("P/in", "split", datatype="json"),
            split("split", "sw"),
            switch(
                "sw",
                [rule("head", "1", "num"), rule("index", "1", "num", v2="2", v2t="num"), rule("tail", "1", "num")],
                "a",
                "b",
                "c",
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
        ],
        says('["w", "x", "y", "z"]'),
        4,
        is_ordered=False,
    ),
    Shape(
        "numbered",
        [
            heard("P/in", "csv", datatype="utf8"),
            node(
                "csv",
                "csv",
                "out",
                sep=",",
                hdrin=False,
                hdrout="none",
                multi="one",
                ret="\\n",
                temp="",
                skip="0",
                strings=True,
            ),
            sent(),
        ],
        says("a,2\nb,-3.5"),
        2,
    ),
    Shape(
        "properties",
        [
            heard("P/in/+", "ch"),
            change(
                "ch",
                "tpl",
                setting("unit", "C"),
                setting("was", "payload.t", "msg"),
                setting("payload", "0", "num"),
                setting("place", "topic", "msg"),
            ),
            template("tpl", "ch2", "{{{was}}} {{{unit}}} {{{payload}}} {{{place}}}"),
            change(
                "ch2",
                "out",
                {"t": "move", "p": "payload", "pt": "msg", "to": "text", "tot": "msg"},
                setting("payload", '{"made": 1}', "json"),
                setting("payload.text", "text", "msg"),
            ),
            sent(),
        ],
        [Given("P/in/a", '{"t": 21.5}')],
        1,
    ),
    Shape(
        "as-text",
        [
            heard("P/in", "js"),
            node("json", "js", "f", property="payload", action="str", pretty=False),
            function("f", "msg.payload = 'len ' + msg.payload.length;\nreturn msg;", "out"),
            sent(),
        ],
        says('{"a":1}', "[1,2]"),
        2,
    ),
    Shape(
        "caught-one",
        [
            heard("P/in", "js", datatype="utf8"),
            node("json", "js", "out", property="payload", action="obj", pretty=False),
            sent(),
            node("catch", "catch", "note", scope=["@js"], uncaught=False),
            change("note", "err", setting("payload", "broken")),
            sent("P/out/error", id="err"),
        ],
        says("{", "[1]"),
        2,
        is_ordered=False,
    ),
    Shape(
        "remembered",
        [
            heard("P/in/set", "keep", id="set"),
            change("keep", [], {"t": "set", "p": "mode", "pt": "flow", "to": "payload", "tot": "msg"}),
            heard("P/in/ask", "get", id="ask"),
            change("get", "out", setting("payload", "mode", "flow")),
            sent(),
        ],
        [Given("P/in/set", "night"), Given("P/in/ask", "?"), Given("P/in/set", '{"a": 1}'), Given("P/in/ask", "?")],
        2,
    ),
    Shape(
        "held-by-message",
        [
            heard("P/in", "ch"),
            change("ch", "delay", setting("delay", "payload.wait", "msg")),
            delay("delay", "out", "delayv", timeout="1"),
            sent(),
        ],
        says('{"wait": 400, "n": 1}', '{"wait": 50, "n": 2}'),
        2,
    ),
    Shape(
        "junctions",
        [
            heard("P/in", "j1"),
            node("junction", "j1", ["j2", "ch"]),
            node("junction", "j2", "out"),
            change("ch", "out", setting("payload", "changed")),
            sent(),
        ],
        says("7"),
        2,
        is_ordered=False,
    ),
    Shape(
        "values",
        [
            heard("P/in", "js", datatype="utf8"),
            node("json", "js", "split", property="payload", action="obj", pretty=False),
            split("split", "out"),
            sent(),
        ],
        says('{"a": 1, "b": [2]}'),
        2,
    ),
    Shape(
        "gate",
        [
            heard("P/in/gate", "f", id="gate", datatype="utf8"),
            heard("P/in/value", "g", id="value", datatype="utf8"),
            function("f", "flow.set('open', msg.payload === 'open');\nreturn null;", []),
            function("g", "if (flow.get('open') === true) {\n    return msg;\n}\nreturn null;", "out"),
            sent(),
        ],
        [
            Given("P/in/value", "1"),
            Given("P/in/gate", "open"),
            Given("P/in/value", "2"),
            Given("P/in/gate", "shut"),
            Given("P/in/value", "3"),
        ],
        1,
    ),
    Shape(
        "new-message",
        [
            heard("P/in/+", "f", qos="1"),
            function(
                "f",
                "var id = msg.topic.split('/')[3];\nreturn {topic: 'P/out/' + id, payload: {id: id, t: Number(msg.payload), at: 'x'}, retain: true};",
                "out",
            ),
            sent(""),
        ],
        [Given("P/in/k", "21", 1)],
        1,
    ),
    Shape(
        "loosely",
        [
            heard("P/in", "sw"),
            switch("sw", [rule("eq", "1"), rule("neq", "2"), rule("gte", "3")], "a", "b", "c"),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
        ],
        says("1", "2", "3"),
        4,
        is_ordered=False,
    ),
    Shape(
        "else-if",
        [
            heard("P/in", "f"),
            function(
                "f",
                "if (msg.payload.level < 10) {\n    return [msg, null, null];\n} else if (msg.payload.level < 20) {\n    return [null, msg, null];\n}\nreturn [null, null, msg];",
                "a",
                "b",
                "c",
            ),
            sent("P/out/a", id="a"),
            sent("P/out/b", id="b"),
            sent("P/out/c", id="c"),
        ],
        says('{"level": 5}', '{"level": 15}', '{"level": 25}'),
        3,
    ),
    Shape(
        "subflow-with-memory",
        [
            heard("P/in/a", "one", id="a", datatype="json"),
            heard("P/in/b", "two", id="b", datatype="json"),
            node("subflow:@sub", "one", "out", name="first", env=[{"name": "LIMIT", "type": "num", "value": "10"}]),
            node("subflow:@sub", "two", "out", name="second", env=[]),
            sent(),
        ],
        [
            Given("P/in/a", '{"t": 9}'),
            Given("P/in/a", '{"t": 11}'),
            Given("P/in/b", '{"t": 11}'),
            Given("P/in/b", '{"t": 21}'),
            Given("P/in/a", '{"t": 11}'),
            Given("P/in/b", '{"t": 21}'),
        ],
        4,
        is_ordered=False,
        everywhere=[
            {
                "id": "@sub",
                "type": "subflow",
                "name": "Too much",
                "in": [{"wires": [{"id": "@sw"}]}],
                "out": [{"wires": [{"id": "@rbe", "port": 0}]}],
                "env": [
                    {"name": "LIMIT", "type": "num", "value": "20"},
                    {"name": "UNUSED", "type": "str", "value": "x"},
                ],
            },
            {**switch("sw", [rule("gt", "LIMIT", "env")], "rbe", path="payload.t"), "z": "@sub", "x": 0, "y": 0},
            {**rbe("rbe", "note", property="payload.t"), "z": "@sub", "x": 0, "y": 0},
            {**sent("P/out/note", id="note"), "z": "@sub", "x": 0, "y": 0},
        ],
    ),
    Shape(
        "made-messages",
        [
            heard("P/in", "f", datatype="json", qos="1"),
            function(
                "f",
                "var warm = {payload: msg.payload.t > 20, topic: 'P/out/warm'};\nvar text = {};\ntext.payload = 'It is ' + msg.payload.t.toFixed(1);\ntext.topic = 'P/out/text';\nreturn [warm, text];",
                "a",
                "b",
            ),
            sent("", id="a"),
            sent("", id="b", retain="true"),
        ],
        [Given("P/in", '{"t": 21.26}', 1), Given("P/in", '{"t": 3}', 1)],
        4,
        is_ordered=False,
    ),
    Shape(
        "parsed-by-hand",
        [
            heard("P/in", "f", datatype="utf8"),
            function(
                "f",
                "const data = JSON.parse(msg.payload);\nif (data.ok !== true) { return null; }\nmsg.payload = {celsius: data.t, fahrenheit: data.t * 1.8 + 32};\nreturn msg;",
                "out",
            ),
            sent(),
        ],
        says('{"t": 10, "ok": true}', '{"t": 1, "ok": false}', "x"),
        1,
    ),
]
