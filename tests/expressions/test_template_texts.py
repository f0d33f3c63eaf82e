"""Texts with `${...}`: how they are cut, what is inserted, and what is said about their mistakes."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import StepError
from flowrunner.expressions import ExpressionError, Template, parse_template
from flowrunner.text import Passage, Source

Problems = Callable[..., list[Diagnostic]]
Insert = Callable[..., Any]
Read = Callable[[str], Template]


def shape(template: Template) -> list[str | tuple[str, str]]:
    return [p if isinstance(p, str) else (p.expression.passage.text, p.spec) for p in template.parts]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("costs 5 $ or $$", ["costs 5 $ or $$"]),
        ("$${x}", ["${x}"]),
        ("$$${x}", ["$${x}"]),
        ("${x}", [("x", "")]),
        ("a${x}${y}b", ["a", ("x", ""), ("y", ""), "b"]),
        ("${ x }", [(" x ", "")]),
        ("${x:.1f}", [("x", ".1f")]),
        ("${x[1:2]:>5}", [("x[1:2]", ">5")]),
        ("${ {'a': 1}['a'] :d}", [(" {'a': 1}['a'] ", "d")]),
        ("${x['}']}", [("x['}']", "")]),
        ("${x['a:b']:}<5}", [("x['a:b']", "")]),
        ('${"\\"}"}', [('"\\"}"', "")]),
        ("${'''}'''}", [("'''}'''", "")]),
        ("{x} }{", ["{x} }{"]),
    ],
)
def test_a_text_is_cut_into_constants_and_holes(
    template: Read, problems: Problems, text: str, parts: list[Any]
) -> None:
    if text == "${x['a:b']:}<5}":  # a `}` cannot fill: it closes the hole
        assert problems(text, template=True)[0].message == "expected a format after `:`"
        return
    assert shape(template(text)) == parts


@settings(deadline=None)
@given(st.lists(st.sampled_from(["$", "{", "}", "$${", "${payload}", "${topic:>3}", "a", "'", " "]), max_size=12))
def test_constants_and_holes_together_are_the_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    source = Source("f.yaml", text)
    try:
        template = parse_template(Passage.verbatim(source.span(0, len(text))))
    except ExpressionError:
        return
    written = [p.replace("${", "$${") if isinstance(p, str) else p.span.text for p in template.parts]
    assert "".join(written) == text
    kinds = [isinstance(p, str) for p in template.parts]
    assert all(not (one and other) for one, other in pairwise(kinds))
    assert "" not in template.parts


def test_what_a_template_says_of_itself(template: Read) -> None:
    constant, single, formatted = template("plain $${x}"), template("${payload.x}"), template("${payload.x:.1f}")
    assert (constant.is_constant, constant.constant, constant.single, constant.names) == (
        True, "plain ${x}", None, frozenset(),
    )  # fmt: skip
    assert not single.is_constant
    assert single.single is not None
    assert single.single.passage.text == "payload.x"
    assert formatted.single is None
    assert template("${payload} ").single is None
    assert template("${payload} ${room + topic}").names == {"payload", "room", "topic"}
    assert template("").constant == ""
    with pytest.raises(ValueError, match="not constant"):
        _ = single.constant


INSERTED = [
    ("${payload}", {"payload": [1, 2]}, [1, 2]),
    ("${payload}", {"payload": 21.0}, 21.0),
    ("${payload} ", {"payload": 21.0}, "21.0 "),
    ("${payload} ", {"payload": 21}, "21 "),
    ("${payload} ", {"payload": True}, "true "),
    ("${payload} ", {"payload": None}, "null "),
    ("${payload} ", {"payload": "°C"}, "°C "),
    ("${payload} ", {"payload": {"a": [1, None, "ä"]}}, '{"a":[1,null,"ä"]} '),
    ("${payload} ", {"payload": ["x"]}, '["x"] '),
    ("${raw} ", {"raw": "°C".encode()}, "°C "),
    ("${thing} ", {"thing": b"ON"}, "ON "),
    ("${room}/${topic}", {"room": "a", "topic": "b"}, "a/b"),
    ("${payload:.1f} °C", {"payload": 21.456}, "21.5 °C"),
    ("${payload:05d}", {"payload": 42}, "00042"),
    ("${payload:,}", {"payload": 1234567}, "1,234,567"),
    ("${payload:.0%}", {"payload": 0.5}, "50%"),
    ("${payload:x}", {"payload": 255}, "ff"),
    ("${room:>5}|", {"room": "a"}, "    a|"),
    ("${room:.2}", {"room": "abc"}, "ab"),
    ("${payload:+.1e}", {"payload": 12345}, "+1.2e+04"),
    ("${payload:*^7}", {"payload": 1}, "***1***"),
    ("$${room} ${room}", {"room": "a"}, "${room} a"),
    ("${room + '!' if room else 'none'}.", {"room": "a"}, "a!."),
    ("", {}, ""),
    ("plain", {}, "plain"),
]


@pytest.mark.parametrize(("text", "values", "result"), INSERTED, ids=[row[0] + str(row[1]) for row in INSERTED])
def test_what_is_inserted(insert: Insert, text: str, values: dict[str, Any], result: object) -> None:
    inserted = insert(text, **values)
    assert (inserted, type(inserted)) == (result, type(result))


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("${thing} ", b"\xff\xfe", "byte 0 of these bytes is not UTF-8"),
        ("${thing} ", {"a": b"x"}, "JSON holds no bytes"),
        ("${thing:.1f}", True, "`:.1f` formats numbers and texts, this is true or false"),
        ("${thing:.1f}", None, "`:.1f` formats numbers and texts, this is null"),
        ("${thing:>5}", [1], "`:>5` formats numbers and texts, this is a list"),
        ("${thing:>5}", b"x", "`:>5` formats numbers and texts, this is bytes"),
        ("${thing:.1f}", "21", "`:.1f` cannot format a text"),
        ("${thing:d}", 1.5, "`:d` cannot format a number"),
        ("${thing:c}", -1, "`:c` cannot format a number"),
    ],
)
def test_what_cannot_be_inserted_is_a_step_error(insert: Insert, text: str, value: object, message: str) -> None:
    with pytest.raises(StepError) as caught:
        insert(text, thing=value)
    assert caught.value.message == message


MISTAKES = [
    ("a ${", "${", "bad-expression", "this `${` is never closed with `}`", ""),
    ("a ${payload", "${", "bad-expression", "this `${` is never closed with `}`", ""),
    ("${payload['x}", "${", "bad-expression", "this `${` is never closed with `}`", ""),
    ("${}", "${}", "bad-expression", "expected an expression between `${` and `}`", ""),
    ("${ :.1f}", "${ :.1f}", "bad-expression", "expected an expression between `${` and `}`", ""),
    ("${{ payload }}", "${{ payload }}", "bad-expression", "one brace on each side is enough", "write `${payload}`"),
    ("${payload.x ? 1 : 2}", "?", "bad-expression", "`?` and `:` are written `if` and `else`",
     "write `1 if payload.x else 2`"),
    ("${payload:}", ":", "bad-format", "expected a format after `:`", "`.1f` one digit"),
    ("${payload:.1}f", "", "", "", ""),
    ("${payload:zz}", ":zz", "bad-format", "there is no format type `z`", "`.1f` one digit"),
    ("${payload:.f}", ":.f", "bad-format", "`.f` is not a format", ""),
    ("${payload:.1d}", ":.1d", "bad-format", "a whole number (`d`) has no digits after the point", "use `.1f`"),
    ("${payload:9999999999}", ":9999999999", "bad-format", "width and precision are at most 1000", ""),
    ("${payload:.9999f}", ":.9999f", "bad-format", "width and precision are at most 1000", ""),
    ("${payload:%H:%M}", ":%H:%M", "bad-format", "`%H:%M` is not a format", "iso(now())"),
    ("${payload: .1f }", ": .1f ", "bad-format", "` .1f ` is not a format", "without blanks: `:.1f`"),
    ("${payload:${room}}", ":${room", "bad-format", "`${room` is not a format", "a format holds no expression"),
    ("${payload:n}", ":n", "bad-format", "there is no format type `n`", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "marked", "code", "message", "help"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_in_a_template_has_its_words(
    problems: Problems, text: str, marked: str, code: str, message: str, help: str
) -> None:
    found = problems(text, template=True)
    if not message:
        assert found == []
        return
    assert (found[0].code, found[0].message, found[0].span.text) == (code, message, marked)
    assert help in "".join(found[0].helps)


def test_all_mistakes_of_a_template_are_said_at_once(problems: Problems) -> None:
    found = problems("${1 +} and ${payload:zz} and ${msg.payload}", template=True)
    assert [problem.code for problem in found] == ["bad-expression", "bad-format"]


@pytest.mark.parametrize(
    ("text", "marked", "help"),
    [
        ("alerts/{room}", "{room}", "to insert it write `${room}`"),
        ("{{ payload.x }} °C", "{{ payload.x }}", "to insert it write `${payload.x}`"),
    ],
)
def test_braces_without_a_dollar_are_a_warning_where_a_name_is_in_them(
    problems: Problems, text: str, marked: str, help: str
) -> None:
    (found,) = problems(text, template=True)
    assert (found.code, found.severity, found.span.text, found.helps) == ("plain-braces", "warning", marked, (help,))


@pytest.mark.parametrize("text", ["{{ value_json.temperature }}", '{"a": {"b": 1}}', "{}", "$${room}", "{living room}"])
def test_other_braces_are_text(problems: Problems, text: str) -> None:
    assert problems(text, template=True) == []
