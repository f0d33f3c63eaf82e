"""Each mistake in the syntax of an expression has words of its own, and a place."""

from collections.abc import Callable

import pytest

from flowrunner.diagnostics import Diagnostic, render

Problems = Callable[..., list[Diagnostic]]

#: What was typed, the part that is marked, what is said, and something that the help says.
MISTAKES = [
    # operators of other languages
    ("payload.a && payload.b", "&&", "`&&` is written `and`", ""),
    ("payload.a || payload.b", "||", "`||` is written `or`", ""),
    ("payload === 1", "===", "`===` is written `==`", ""),
    ("payload !== 1", "!==", "`!==` is written `!=`", ""),
    ("payload <> 1", "<>", "`<>` is written `!=`", ""),
    ("!payload.ok", "!", "`!` is written `not`", "write `not payload.ok`"),
    ("payload.x ? 1 : 2", "?", "`?` and `:` are written `if` and `else`", "write `1 if payload.x else 2`"),
    ("payload?.x", "?.", "`?.` is not there", 'payload.get("x", 0)'),
    ("payload.x ?? 0", "??", "`??` is not there", 'payload.get("x", 0)'),
    ("payload = 1", "=", "`=` sets a value, `==` compares", "write `==`"),
    ("payload.x = = 1", "=", "`=` sets a value, `==` compares", "write `==`"),
    ("p => p.x", "=>", "`=>` has no meaning here", "[p.x for p in payload]"),
    ("payload.t => 25", "=>", "`=>` has no meaning here", "at least is `>=`"),
    ("payload.t =< 25", "=<", "`=<` is written `<=`", ""),
    ("payload.count++", "++", "there is no `++`", "x + 1"),
    ("payload.count += 1", "+=", "`+=` changes a value, an expression computes one", "x + 1"),
    ("x := 1", ":=", "an expression names nothing", "`let`"),
    ("payload > 3;", ";", "an expression ends without `;`", ""),
    ("payload @ 2", "@", "`@` has no meaning here", ""),
    ("payload->x", "->", "`->` has no meaning here", "payload.x"),
    # words of other languages
    ("payload AND retain", "AND", "`AND` is written `and`", ""),
    ("NOT payload", "NOT", "`NOT` is written `not`", ""),
    ("payload contains 'x'", "contains", "`contains` is not a word of the language", '"x" in payload'),
    ("typeof payload", "typeof", "`typeof` is not a word of the language", "isfinite"),
    ("new Date()", "new", "`new` is not a word of the language", "there is no `new`"),
    ("if payload > 3", "if", "expected a value before `if`", "without `if`"),
    ("return payload", "return", "expected a value before `return`", "without `return`"),
    ("import os", "import", "expected a value before `import`", "nothing is imported"),
    ("payload.x if payload.y", "if", "this `if` has no `else`", "a if condition else b"),
    ("payload.x else 2", "else", "this `else` has no `if`", "a if condition else b"),
    # text that is no text
    ("payload == `ON`", "`", "a text stands in `\"` or `'`, not in backticks", ""),
    ("payload == “ON”", "“", '`“` is not `"`, although it looks like it', 'type `"`'),
    ("payload == ‘ON’", "‘", "`‘` is not `'`, although it looks like it", "type `'`"),
    ("payload ≥ 3", "≥", "`≥` is not `>=`, although it looks like it", "type `>=`"),
    ("payload × 3", "×", "`×` is not `*`, although it looks like it", "type `*`"),
    ("payload − 3", "−", "`−` is not `-`, although it looks like it", "type `-`"),
    ("payload\u00a0> 3", "\u00a0", "this is not an ordinary space but U+00A0", "type a space"),
    ("payload == 'ON", "'", "this text has no closing `'`", ""),
    ("payload == 'O\nN'", "'O", "this text has no closing `'` on its line", "\\n"),
    ("payload == '''ON", "'", "this text has no closing `'''`", ""),
    ("f'{payload}'", "f'{payload}'", "texts with `f` before them are not there", "`${a} and ${b}`"),
    ("'a' 'b'", "'b'", "expected `+` or a comma between two texts", ""),
    # numbers
    ("payload > 25,5", "25,5", "a number has a point, not a comma", "write `25.5`"),
    ("1, 2", ",", "an expression is one value", "`[1, 2]`"),
    ("payload > 25C", "25C", "`25C` is neither a number nor a name", "a number has no unit: `25`"),
    ("payload > 5s", "5s", "`5s` is neither a number nor a name", "a number has no unit: `5`"),
    ("payload == 007", "007", "a number does not begin with `0`", "write `7`"),
    ("payload > 1__0", "1__0", "`_` stands between two digits of a number", ""),
    ("payload > 1_", "1_", "`_` stands between two digits of a number", ""),
    # fields
    ("payload.0", ".0", "expected the name of a field after `.`", "`payload[0]`"),
    ("payload.from", "from", "`from` is a word of the language", '["from"]'),
    ("payload.", ".", "expected a value after `.`", ""),
    ("payload..x", ".", "expected the name of a field after `.`", ""),
    ("payload.room name", "name", "expected an operator between `room` and `name`", ""),
    ("payload['x", "'", "this text has no closing `'`", ""),
    # operators without values
    ("payload.value > > 30", ">", "expected a value after `>`", ""),
    ("payload.temperature >", ">", "expected a value after `>`", ""),
    ("> 30", ">", "expected a value before `>`", ""),
    ("payload and and retain", "and", "expected a value after `and`", ""),
    ("payload or", "or", "expected a value after `or`", ""),
    ("(payload +)", ")", "expected a value after `+`", ""),
    ("not", "not", "expected a value after `not`", ""),
    ("payload not retain", "retain", "expected `in` after `not`", ""),
    ("[1, , 2]", ",", "expected a value after `,`", ""),
    ("payload: 1", ":", "`:` has no meaning here", '{"a": 1}'),
    # brackets
    ("(payload", "(", "`(` is never closed", ""),
    ("payload)", ")", "this `)` closes nothing", ""),
    ("payload) or (retain", ")", "this `)` closes nothing", ""),
    ("[payload)", ")", "expected `]` before `)`", ""),
    # what surrounds an expression elsewhere
    ("${payload > 3}", "${", "an expression needs no `${}`", "write `payload > 3`"),
    ("{{ payload }}", "{{", "an expression needs no `{{ }}`", "write `payload`"),
    ("$payload", "$", "a name has no `$` before it", ""),
    ("payload > 3 # warm", "#", "a comment cannot stand inside an expression", "a line of its own"),
    ("payload \\\n> 3", "\\", "`\\` has a meaning inside a text only", ""),
    ("payload\x00", "\x00", "the character 0x0000 cannot stand in an expression", ""),
    ("'a\x1bb'", "\x1b", "the character 0x001b cannot stand in an expression", "`\\x1b`"),
    ("payload ☃", "☃", "`☃` cannot stand in an expression", ""),
    ("", "", "expected an expression", ""),
    (" \n ", " \n ", "expected an expression", ""),
]


@pytest.mark.parametrize(("text", "marked", "message", "help"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_has_its_own_words_and_its_place(
    problems: Problems, text: str, marked: str, message: str, help: str
) -> None:
    (found,) = problems(text)
    assert (found.code, found.message, found.span.text) == ("bad-expression", message, marked)
    assert help in "".join(found.helps)


def test_every_message_keeps_to_the_style(problems: Problems) -> None:
    for text, *_ in MISTAKES:
        (found,) = problems(text)
        assert len(found.message) < 80
        assert not found.message.endswith(".")
        assert found.message[0] in "`&" or found.message[0].islower()


def test_the_second_operator_is_marked(problems: Problems) -> None:
    (found,) = problems("payload.value > > 30")
    assert found.span.start == len("payload.value > ")
    assert found.label == "found another operator"


def test_the_frame_looks_as_in_the_guide(problems: Problems) -> None:
    assert render(problems("payload.value > > 30")) == (
        "error[bad-expression]: expected a value after `>`\n"
        " --> flows/test.yaml:1:17\n"
        "  |\n"
        "1 | payload.value > > 30\n"
        "  |                 ^ found another operator\n"
    )


@pytest.mark.parametrize("bracket", ["(", "[", "{"])
def test_a_bracket_that_is_closed_wrongly_shows_both_places(problems: Problems, bracket: str) -> None:
    closing = {"(": "]", "[": "}", "{": ")"}[bracket]
    (found,) = problems(f"{bracket}payload{closing}")
    assert found.span.text == closing
    assert [label.span.text for label in found.labels] == [bracket]


@pytest.mark.parametrize(
    "text",
    ["(" * 31 + "1" + ")" * 31, "-" * 150 + "1", "not " * 150 + "1", "payload" + ".a" * 150, "+".join(["1"] * 200)],
)
def test_deep_nesting_is_a_diagnostic(problems: Problems, text: str) -> None:
    (found,) = problems(text)
    assert "nested too deeply" in found.message or "brackets are open" in found.message


@pytest.mark.parametrize(
    "text", ["-" * 9_999 + "1", "not " * 2_499 + "1", "payload" + ".a" * 4_990, "x if y else " * 800 + "z"]
)
def test_nesting_as_deep_as_the_length_allows_is_a_diagnostic(problems: Problems, text: str) -> None:
    assert [found.message for found in problems(text)] == ["this expression is nested too deeply"]


def test_a_very_long_text_is_a_diagnostic(problems: Problems) -> None:
    (found,) = problems("1 + " * 5_000 + "1")
    assert found.message == "an expression has at most 10000 characters"


def test_a_very_long_number_is_a_diagnostic(problems: Problems) -> None:
    (found,) = problems("9" * 5_000)
    assert found.message == "a number has at most 400 digits"
