"""What `check` says of names that are not there, and of values that are of the wrong kind for sure."""

import ast
from collections.abc import Callable

import pytest

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.expressions import (
    Expression,
    ExpressionError,
    Scope,
    Template,
    check,
    lower,
    parse_expression,
    parse_template,
)
from flowrunner.text import Passage, Source

Problems = Callable[..., list[Diagnostic]]
Parse = Callable[[str], Expression]

UNKNOWN = [
    ("msg.payload", "msg", "write simply `payload`"),
    ("msg.topic", "msg", "write simply `topic`"),
    ("message.x", "message", "the payload is simply `payload`"),
    ("value > 3", "value", "the value of the message is `payload`"),
    ("value_json.x", "value_json", "after `- json`"),
    ("data.x", "data", "the value of the message is `payload`"),
    ("payload == undefined", "undefined", "write `null`"),
    ("payload == nil", "nil", "write `null`"),
    ("payload == none", "none", "write `null`"),
    ("payload == TRUE", "TRUE", "write `true`"),
    ("payload == ON", "ON", '`"ON"`'),
    ("payload == on", "on", '`"on"`'),
    ("temperature > 25", "temperature", "a field of the payload is `payload.temperature`"),
    ("paylod.x", "paylod", "did you mean `payload`?"),
    ("rom == 'x'", "rom", "did you mean `room`?"),
    ("Math.PI", "Math", "functions stand alone"),
    ("payload.some-field", "field", '`payload["some-field"]`'),
    ("payload.a.some-field", "field", '`payload.a["some-field"]`'),
    ("payload.a - field", "field", "a field of the payload is `payload.field`"),
    ("{temperature: 1}", "temperature", '`{"temperature": ...}`'),
    ("rounds > 3", "rounds", "did you mean `round(x, digits)`?"),
    ("[q for p in payload]", "q", ""),
    ("[p for p in p]", "p", ""),
    ("[x for x in payload if y]", "y", ""),
    ("mean(x for y in payload)", "x", ""),
]


@pytest.mark.parametrize(("text", "marked", "help"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_an_unknown_name_gets_the_nearest_word_of_ours(problems: Problems, text: str, marked: str, help: str) -> None:
    found = problems(text)[0]
    assert (found.code, found.span.text) == ("unknown-name", marked)
    assert found.message == f"there is no name `{marked}` here"
    assert help in "".join(found.helps)


@pytest.mark.parametrize(
    "text",
    [
        "true and false or null", "True is not None", "[a + b for a, b in payload]", "now() - payload.time > 60",
        "[x for y in payload for x in y]", "{k: v for k, v in payload.items() if k != room}", "env.SITE",
        "properties.user",
    ],
)  # fmt: skip
def test_names_that_are_there_are_fine(problems: Problems, text: str) -> None:
    assert problems(text) == []


def test_every_unknown_name_is_said(problems: Problems) -> None:
    assert [found.span.text for found in problems("a + b * [c for c in d][e]")] == ["a", "b", "d", "e"]


def test_a_name_that_exists_elsewhere_says_why_it_is_missing(parse: Parse) -> None:
    scope = Scope({"payload": "data"}, {"room": "only the first filter names a level `room`"})
    (found,) = check(parse("room"), scope)
    assert found.helps == ("only the first filter names a level `room`",)
    assert check(parse("room"), scope.with_(room="text")) == []


def test_any_name_can_be_added_to_a_scope(parse: Parse) -> None:
    scope = Scope({}).with_(self="text", names="data", kinds="any")
    assert check(parse("self + names + kinds"), scope) == []


def test_a_scope_without_a_payload_lists_its_names(parse: Parse) -> None:
    (found,) = check(parse("sit"), Scope({"env": "data", "flow": "text"}))
    assert found.helps == ("here are `env`, `flow`",)


def test_functions_besides_the_listed_ones_can_be_allowed() -> None:
    def passage(text: str) -> Passage:
        return Passage.verbatim(Source("flowrunner.yaml", text).span(0, len(text)))

    expression = parse_expression(passage('file("/run/secrets/x").strip()'), functions=("file",))
    assert (expression.names, check(expression, Scope({}))) == (frozenset(), [])
    assert check(parse_template(passage('${file("x")}'), functions={"file"}), Scope({})) == []
    assert ast.unparse(lower(expression, Scope({}))) == "_strip(_no_bytes(file('/run/secrets/x')))"
    with pytest.raises(ExpressionError):
        parse_expression(passage('file("x")'))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("payload.x > limit", {"payload", "limit"}),
        ("[p for p in payload if p > room]", {"payload", "room"}),
        ("[p for p in p]", {"p"}),
        ("now() + len(topic)", {"now", "topic"}),
        ("true or null", set[str]()),
        ("{a: b for a, b in x for c in a}", {"x"}),
        ("dict(a=b)", {"b"}),
    ],
)
def test_the_names_that_an_expression_reads(parse: Parse, text: str, names: set[str]) -> None:
    assert parse(text).names == names


BYTES = [
    ("raw == 'ON'", "raw == 'ON'", "bytes are never equal to a text"),
    ("'ON' != raw", "'ON' != raw", "bytes are never equal to a text"),
    ("raw == 3", "raw == 3", "bytes are no number"),
    ("raw > 3", "raw > 3", "bytes are no number"),
    ("1 < raw < 3", "1 < raw < 3", "bytes are no number"),
    ("raw == room", "raw == room", "bytes are never equal to a text"),
    ("raw.x > 3", "raw.x", "bytes have no fields"),
    ("raw['x']", "raw['x']", "bytes have no fields"),
    ("raw.upper()", "raw.upper()", "bytes have no methods"),
    ("raw[1:].strip() + 'a'", "raw[1:].strip()", "bytes have no methods"),
    ("'a' in raw", "'a' in raw", "bytes hold no text"),
    ("raw in ['ON', 'OFF']", "raw in ['ON', 'OFF']", "bytes are never equal to a text"),
    ("raw not in 'ON'", "raw not in 'ON'", "bytes are never equal to a text"),
    ("raw + 1", "raw + 1", "bytes are no number and no text"),
    ("raw * 2", "raw * 2", "bytes are no number and no text"),
    ("'a' + raw", "'a' + raw", "bytes are no number and no text"),
    ("-raw", "-raw", "bytes are no number"),
    ("round(raw)", "round(raw)", "`round` needs numbers"),
    ("match('a', raw)", "match('a', raw)", "`match` needs a text"),
    ("[p for p in payload if raw == 'ON']", "raw == 'ON'", "bytes are never equal to a text"),
    ("(raw or 'x') and raw.y", "raw.y", "bytes have no fields"),
]


@pytest.mark.parametrize(("text", "marked", "label"), BYTES, ids=[row[0] for row in BYTES])
def test_bytes_that_are_taken_for_something_else_are_found(
    problems: Problems, text: str, marked: str, label: str
) -> None:
    (found,) = problems(text)
    assert (found.code, found.span.text, found.label) == ("bytes-payload", marked, label)
    assert found.helps == ("put `- decode: utf-8` or `- json` before this step",)


def test_the_message_about_the_payload_looks_so(parse: Parse) -> None:
    found = check(parse('payload == "ON"'), Scope({"payload": "bytes"}))
    assert render(found) == (
        "error[bytes-payload]: the payload is still bytes here\n"
        " --> flows/test.yaml:1:1\n"
        "  |\n"
        '1 | payload == "ON"\n'
        "  | ^^^^^^^^^^^^^^^ bytes are never equal to a text\n"
        "help: put `- decode: utf-8` or `- json` before this step\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "raw == b'ON'", "raw[0] == 1", "raw[1:3] == b'ab'", "len(raw) > 3", "int(raw) > 3", "float(raw) + 1",
        "str(raw) == 'ON'",
        "65 in raw", "raw and true", "raw is null", "raw + b'x'", "hash(raw)", "[b + 1 for b in raw]", "raw == thing",
        "thing == 'ON'", "thing.x > 3", "b'a' in raw",
    ],
)  # fmt: skip
def test_what_bytes_can_do_is_fine(problems: Problems, text: str) -> None:
    assert problems(text) == []


def test_bytes_may_be_inserted_into_a_text(problems: Problems) -> None:
    assert problems("got ${raw}", template=True) == []
    (found,) = problems("got ${raw.x}", template=True)
    assert found.code == "bytes-payload"


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        ("room == 5", "a text is never equal to a number", "use `float(room)`"),
        ("5 < topic", "a text cannot be compared with a number", "use `float(topic)`"),
        ("topic.split('/')[0].upper() > -1", "a text cannot be compared with a number", "use `float("),
        ("env.LIMIT > 3.5", "a text cannot be compared with a number", "use `float(env.LIMIT)`"),
    ],
)
def test_a_text_that_is_taken_for_a_number_is_found(problems: Problems, text: str, message: str, help: str) -> None:
    (found,) = problems(text)
    assert (found.code, found.message) == ("wrong-type", message)
    assert help in "".join(found.helps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topic.x", "a text has no field `x`"),
        ("len(payload).x", "a number has no field `x`"),
        ("[1, 2].x", "a list has no field `x`"),
        ("null.x", "null has no field `x`"),
        ("(1 + 1)[0]", "a number has no items"),
        ("true[0]", "true or false has no items"),
        ("topic['x']", "the items of a text are counted with whole numbers"),
        ("[1][1.5]", "the items of a list are counted with whole numbers"),
        ("[1][7 // 2.0]", "the items of a list are counted with whole numbers"),
        ("[p for p in payload][null]", "the items of a list are counted with whole numbers"),
        ("topic[[]]", "the items of a text are counted with whole numbers"),
        ("len(payload) is null", "a number is never `null`"),
        ("topic is true", "a text is never `true`"),
        ("b'a' is null", "this is never `null`"),
        ("b'a'[0].x", "a number has no field `x`"),
    ],
)
def test_what_cannot_be_read_from_a_value_is_found(problems: Problems, text: str, message: str) -> None:
    (found,) = problems(text)
    assert (found.code, found.message) == ("wrong-type", message)


@pytest.mark.parametrize(
    "text", ["topic[0]", "topic[-1]", "[1, 2][payload.n]", "[1][1 - 1]", "topic[1:][::2]", "[[1]][0][0]"]
)
def test_what_can_be_read_is_fine(problems: Problems, text: str) -> None:
    assert problems(text) == []


def test_the_length_of_a_text_is_said(problems: Problems) -> None:
    (found,) = problems("topic.length > 3")
    assert found.helps == ("`len(x)` is the length",)


Read = Callable[[str], Template]


def test_a_template_is_checked_hole_by_hole(template: Read, scope: Scope) -> None:
    found = check(template("${a} ${payload.x} ${b}"), scope)
    assert [problem.span.text for problem in found] == ["a", "b"]
