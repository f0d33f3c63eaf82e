"""JavaScript, JSONata and mustache as expressions: what is certain, and what is not."""

from dataclasses import replace

import pytest

from flowrunner.nodered.javascript import read_javascript
from flowrunner.nodered.jsonata import read_jsonata
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.mustache import read_mustache
from flowrunner.nodered.values import Uncertain, option
from flowrunner.nodered.walk import path_reader

DATA = Known(kind="data")
TEXT = Known(kind="text")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("msg.payload.t * 1.8 + 32", "${payload.t * 1.8 + 32}"),
        ("(msg.payload.a - 1) / -2", "${(payload.a - 1) / -2}"),
        ("msg.payload.t > 25 && msg.topic !== 'a'", '${payload.t > 25 and topic != "a"}'),
        ("!(msg.payload.on === true)", "${not payload.on == true}"),
        ("msg.payload.t > 3 ? 'hot' : 'cold'", '${"hot" if payload.t > 3 else "cold"}'),
        ("'T: ' + msg.payload.t.toFixed(1) + ' °C'", "T: ${payload.t:.1f} °C"),
        ("`${msg.topic}/x`", "${topic}/x"),
        ("msg.topic.split('/')[1]", '${topic.split("/")[1]}'),
        ("msg.topic.includes('door')", '${"door" in topic}'),
        ("Math.round(msg.payload.t * 10) / 10", "${floor(payload.t * 10 + 0.5) / 10}"),
        ("Math.max(msg.payload.a, 0)", "${max(payload.a, 0)}"),
        ("msg.payload.x || 0", '${payload.get("x") or 0}'),
        ("msg.payload['a b'].class[0]", '${payload["a b"]["class"][0]}'),
        ("msg.payload.list.length", "${len(payload.list)}"),
        ("new Date().toISOString()", "${iso(now())}"),
        ("Date.now()", "${round(now() * 1000)}"),
        ("JSON.stringify(msg.payload)", "${str(payload)}"),
        ("[1, msg.payload.x]", "${[1, payload.x]}"),
        ("0x1F", 31),
        ("'it\\'s ${x}'", "it's $${x}"),
        ("'\\u00e9'", "é"),
        ("null", None),
    ],
)
def test_certain_javascript_is_translated(code: str, expected: object) -> None:
    assert option(read_javascript(code, path_reader(DATA))) == expected


@pytest.mark.parametrize(
    "code",
    [
        "msg.payload.a + msg.payload.b", "msg.payload.a % 2", "msg.payload.map(x => x)", "/a/.test(msg.topic)", "msg.foo",
        "typeof msg.payload", "msg.payload.a && msg.payload.b", "[] ? 1 : 2", "msg.payload++", "function () {}", "010",
        "msg.payload.x.toUpperCase()", "parseInt(msg.payload.x, 16)", "a b", "(", "msg.payload[msg.topic]", "'\\ud800'", "'\\x00'",
        "(" * 50 + "1" + ")" * 50, "[1] == [1]", "1 + true",
    ],
)  # fmt: skip
def test_uncertain_javascript_is_refused(code: str) -> None:
    with pytest.raises(Uncertain):
        read_javascript(code, path_reader(DATA))


def test_what_is_known_of_the_payload_decides() -> None:
    assert option(read_javascript("msg.payload * 2", path_reader(TEXT))) == "${float(payload) * 2}"
    assert option(read_javascript("msg.payload + 2", path_reader(TEXT))) == "${payload}2"
    assert option(read_javascript("msg.payload.trim()", path_reader(TEXT))) == "${payload.strip()}"
    with pytest.raises(Uncertain):
        read_javascript("msg.payload + 2", path_reader(DATA))
    with pytest.raises(Uncertain):
        read_javascript("msg.payload.x", path_reader(replace(TEXT, raw="utf8", kind="bytes")))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("payload.a + payload.b", "${payload.a + payload.b}"),
        ('topic & "/" & payload.id', "${topic}/${payload.id}"),
        ("payload.a = 3 and payload.b != 'x'", '${payload.a == 3 and payload.b != "x"}'),
        ("$round(payload.t, 1)", "${round(payload.t, 1)}"),
        ("$average(payload.list)", "${mean(payload.list)}"),
        ("$now()", "${iso(now())}"),
        ("$number(payload)", "${float(payload)}"),
    ],
)
def test_simple_jsonata_is_translated(code: str, expected: str) -> None:
    assert option(read_jsonata(code, path_reader(DATA))) == expected


@pytest.mark.parametrize(
    "code", ["payload[x=1]", "payload.list.(a*2)", "$map(payload, $f)", "{}.a", "payload ~> $sum", ""]
)
def test_other_jsonata_is_refused(code: str) -> None:
    with pytest.raises(Uncertain):
        read_jsonata(code, path_reader(DATA))


@pytest.mark.parametrize(
    ("text", "expected", "is_escaped"),
    [
        ("{{{payload.t}}} °C", "${payload.t} °C", False),
        ("{{&payload.t}}{{! no }}", "${payload.t}", False),
        ("{{ topic }}: ${x}", "${topic}: $${x}", True),
        ("plain", "plain", False),
        ("", "", False),
    ],
)
def test_mustache_is_translated(text: str, expected: str, is_escaped: bool) -> None:
    value, escapes = read_mustache(text, DATA.value)
    assert (option(value), escapes) == (expected, is_escaped)


@pytest.mark.parametrize("text", ["{{#payload}}x{{/payload}}", "{{payload", "{{>x}}", "{{.}}", "{{payload.a b}}"])
def test_sections_of_mustache_are_refused(text: str) -> None:
    with pytest.raises(Uncertain):
        read_mustache(text, DATA.value)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("payload", ("payload",)),
        ("msg.payload.a", ("payload", "a")),
        ('payload[0]["a.b"].c', ("payload", 0, "a.b", "c")),
        ("payload['x']", ("payload", "x")),
    ],
)
def test_a_property_is_read(text: str, path: tuple[str | int, ...]) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    "text", ["", ".", "payload.", "payload..a", "payload a", "[0]", "payload[msg.topic]", "payload[a"]
)
def test_what_is_no_property_is_refused(text: str) -> None:
    with pytest.raises(Uncertain):
        read_path(text)
