"""What parses as Python but is not part of the language is refused, with what to write instead."""

from collections.abc import Callable

import pytest

from flowrunner.diagnostics import Diagnostic

Problems = Callable[..., list[Diagnostic]]

REFUSED = [
    ("lambda p: p", "lambda p: p", "there are no functions of one's own here", "[p.x for p in payload]"),
    ("(yield payload)", "yield payload", "`yield` is not there", "`split`"),
    ("(yield from payload)", "yield from payload", "`yield` is not there", "`split`"),
    ("await payload", "await payload", "an expression never waits", "`http`"),
    ("[*payload, 1]", "*payload", "`*` before a value is not there", "`a + b` joins lists"),
    ("max(*payload)", "*payload", "`*` before a value is not there", ""),
    ("dict(**payload)", "**payload", "expected `name=value`", ""),
    ("{payload, 1}", "{payload, 1}", "a map has keys and values, a list stands in brackets", '{"a": 1}'),
    ("{p for p in payload}", "{p for p in payload}", "there are no sets", "unique("),
    ("...", "...", "`...` has no meaning here", ""),
    ("1j", "1j", "imaginary numbers are not there", ""),
    ("1e999", "1e999", "this number is too large", 'float("inf")'),
    ("_payload", "_payload", "names that begin with `_` are not there", ""),
    ("payload.__class__", "payload.__class__", "names that begin with `__` are not there", '["__class__"]'),
    ("payload._＿class__", "payload._＿class__", "names that begin with `__` are not there", ""),
    ("payload[1, 2]", "1, 2", "expected one index between the brackets", "x[0][1]"),
    ("(p.x for p in payload)", "(p.x for p in payload)", "a list of results stands in brackets",
     "[p.x for p in payload]"),
    ("[p async for p in payload]", "p", "an expression never waits", ""),
    ("[1 for payload.x in payload]", "payload.x", "expected a name between `for` and `in`", ""),
    ("[1 for *p in payload]", "*p", "expected a name between `for` and `in`", ""),
    ("[1 for payload in room]", "payload", "an item cannot be called `payload`", "choose another name"),
    ("[1 for _p in payload]", "_p", "an item cannot be called `_p`", ""),
    ("[1 for len in payload]", "len", "an item cannot be called `len`", ""),
    ("[1 for a, (b, true) in payload]", "true", "an item cannot be called `true`", ""),
    ("payload.a > 3 & payload.b > 4", "3 & payload.b", "conditions are joined with `and`, not with `&`", ""),
    ("(payload.a > 3) | (payload.b > 4)", "(payload.a > 3) | (payload.b > 4)",
     "conditions are joined with `or`, not with `|`", ""),
    ("payload | int", "int", "a function is called, not piped into", "write `int(payload)`"),
    ("'%s' % payload", "'%s' % payload", "texts are not formatted with `%`", "${x:.1f}"),
    ("payload.x is 1", "payload.x is 1", "`is` asks for `null`, `true` or `false` only", "`==`"),
    ("payload.x is not 'a'", "payload.x is not 'a'", "`is` asks for `null`, `true` or `false` only", "`!=`"),
    ("payload.x is defined", "payload.x is defined", "`is` asks for `null`, `true` or `false` only", '"x" in payload'),
    ("len", "len", "`len` is a function", "call it: `len(x)`"),
    ("now > 3", "now", "`now` is a function", "call it: `now()`"),
    ("payload.x(1)(2)", "payload.x(1)", "only functions and methods are called by their names", ""),
    ("[len][0](payload)", "[len][0]", "only functions and methods are called by their names", ""),
    ("payload['a'](1)", "payload['a']", "only functions and methods are called by their names", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "marked", "message", "help"), REFUSED, ids=[row[0] for row in REFUSED])
def test_syntax_that_is_not_ours_is_refused(
    problems: Problems, text: str, marked: str, message: str, help: str
) -> None:
    found = problems(text)[0]
    assert (found.code, found.message, found.span.text) == ("bad-expression", message, marked)
    assert help in "".join(found.helps)


CALLS = [
    ("eval('1')", "eval", "unknown-function", "there is no function `eval`", ""),
    ("open('x')", "open", "unknown-function", "there is no function `open`", ""),
    ("rond(1)", "rond", "unknown-function", "there is no function `rond`", "did you mean `round(x, digits)`?"),
    ("parseInt(payload)", "parseInt", "unknown-function", "there is no function `parseInt`", "`int(x, base)`"),
    ("average(payload)", "average", "unknown-function", "there is no function `average`", "`mean(values)`"),
    ("room(1)", "room", "unknown-function", "there is no function `room`", ""),
    ("round()", "round()", "wrong-arguments", "`round(x, digits)` takes 1 to 2 values, here is none", ""),
    ("len(1, 2)", "len(1, 2)", "wrong-arguments", "`len(x)` takes 1 value, here are 2", ""),
    ("now(1)", "now(1)", "wrong-arguments", "`now()` takes no value, here is 1", ""),
    ("zip()", "zip()", "wrong-arguments", "`zip(a, b)` takes at least 1 value, here is none", ""),
    ("sorted(payload, cmp=1)", "sorted(payload, cmp=1)", "wrong-arguments",
     "`sorted(values, reverse=false, key=field)` has no option `cmp`", ""),
    ("'a'.upper(1)", "'a'.upper(1)", "wrong-arguments", "`x.upper()` takes no value, here is 1", ""),
    ("'a'.replace('b')", "'a'.replace('b')", "wrong-arguments",
     "`x.replace(old, new, most)` takes 2 to 3 values, here is 1", ""),
    ("room.split(sep=',')", "room.split(sep=',')", "wrong-arguments", "`x.split(separator, most)` has no option `sep`",
     ""),
    ("payload.x.format(1)", ".format", "unknown-method", "there is no method `.format()`", "${x}"),
    ("payload.x.format_map(payload)", ".format_map", "unknown-method", "there is no method `.format_map()`", "${x}"),
    ("payload.append(1)", ".append", "unknown-method", "there is no method `.append()`", "`x + [1]`"),
    ("payload.length()", ".length", "unknown-method", "there is no method `.length()`", "`len(x)`"),
    ("room.toUpperCase()", ".toUpperCase", "unknown-method", "there is no method `.toUpperCase()`", "`x.upper()`"),
    ("room.uper()", ".uper", "unknown-method", "there is no method `.uper()`", "did you mean `.upper()`?"),
    ("raw.decode('utf-8')", ".decode", "unknown-method", "there is no method `.decode()`", "`str(x)`"),
    ("payload.x.sqrt()", ".sqrt", "unknown-method", "there is no method `.sqrt()`", "did you mean `sqrt(x)`?"),
    ("Math.round(payload)", ".round", "unknown-method", "there is no method `.round()`", "`round(x, digits)`"),
    ("JSON.parse(payload)", ".parse", "unknown-method", "there is no method `.parse()`", "put `- json` before"),
    ("match('(', room)", "'('", "bad-pattern", "a `(` is never closed", ""),
    ("match('a(?=b)', room)", "'a(?=b)'", "bad-pattern", "looking ahead, `(?=`, is not possible here", "linear"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "marked", "code", "message", "help"), CALLS, ids=[row[0] for row in CALLS])
def test_a_call_that_is_not_listed_is_refused(
    problems: Problems, text: str, marked: str, code: str, message: str, help: str
) -> None:
    found = problems(text)[0]
    assert (found.code, found.message, found.span.text) == (code, message, marked)
    assert help in "".join(found.helps)


def test_all_mistakes_of_an_expression_are_said_at_once(problems: Problems) -> None:
    found = problems("[lambda: 1, eval(_x), payload.__dict__]")
    assert [problem.span.text for problem in found] == ["lambda: 1", "eval", "_x", "payload.__dict__"]


def test_every_message_keeps_to_the_style(problems: Problems) -> None:
    for text, *_ in [*REFUSED, *CALLS]:
        for found in problems(text):
            assert len(found.message) < 80
            assert found.message[0] == "`" or found.message[0].islower()


@pytest.mark.parametrize(
    "text",
    [
        "payload._id", 'payload["__class__"]', "payload.items", "payload.count > 3", "payload.length", "payload.values",
        "payload.flags & 4 == 4", "0 < (payload.x & 4) < 5", "payload.a | payload.b", "payload.x is null",
        "payload.x is not true", "x if retain else 1" .replace("x", "qos"), "payload[1:2]", "payload[::-1]",
        "{**payload, 'a': 1}", "[a for a, (b, c) in payload if a if b]", "{a: b for a, b in payload.items()}",
        "payload\n>\n3", "  payload  ", "payload.x == None and payload.y == True", "r'\\d' + u'a'", "b'a' in raw",
        "'''it's \"so\"'''", "not -payload.x ** 2", "1_000 + 0x1F + 0b1 + 0o7 + .5 + 5. + 1e-3",
        "any(p for p in payload)",
    ],
)  # fmt: skip
def test_these_are_fine(problems: Problems, text: str) -> None:
    assert problems(text) == []
