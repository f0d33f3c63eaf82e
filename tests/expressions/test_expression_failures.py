"""What is said when an expression fails on a message: which part, what it was, and what to type."""

import ast
import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.expressions import (
    NAMESPACE,
    Expression,
    Failure,
    Kind,
    Scope,
    explain_failure,
    lower,
    node_at,
    parse_expression,
)
from flowrunner.text import Passage, Source

PAYLOAD: dict[str, Any] = {
    "device": "d17",
    "temperature": 21.5,
    "humidity": 40,
    "n": "12",
    "off": None,
    "flag": True,
    "zero": 0,
    "list": [1, 2],
    "mixed": [1, "a", None],
    "maps": [{"a": 1}, {"b": 2}],
    "sensor": {"model": "x1", "value": 3},
    "empty": {},
}


def fail(text: str, values: dict[str, Any], kind: Kind = "data") -> tuple[Failure, str]:
    """The explanation of an expression that fails, and the part that is marked."""
    source = Source("f.yaml", text)
    expression = parse_expression(Passage.verbatim(source.span(0, len(text))))
    tree = lower(expression, Scope(dict.fromkeys(values, kind)))
    function = ast.parse("def flow(" + ", ".join(values) + "): return 0").body[0]
    assert isinstance(function, ast.FunctionDef)
    statement = function.body[0]
    assert isinstance(statement, ast.Return)
    statement.value = tree
    names = {**NAMESPACE, "now": lambda: 0.0, "__builtins__": {}}
    exec(compile(ast.Module([function], []), "f.yaml", "exec"), names)
    try:
        names["flow"](**values)
    except (StepError, KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        return explain(expression, error)
    raise AssertionError("it did not fail")


def explain(expression: Expression, error: Exception) -> tuple[Failure, str]:
    trace = error.__traceback__
    last = trace
    while trace is not None:
        last = trace if trace.tb_frame.f_code.co_filename == "f.yaml" else last
        trace = trace.tb_next
    assert last is not None
    line, end_line, column, end_column = list(last.tb_frame.f_code.co_positions())[last.tb_lasti // 2]
    node = node_at(expression, (line or 0, end_line or 0, column or 0, end_column or 0))
    assert node is not None, traceback.format_exception(error)
    source = expression.passage.source
    start = source.offset_of_bytes(line=line or 0, byte_column=column or 0)
    end = source.offset_of_bytes(line=end_line or 0, byte_column=end_column or 0)
    return explain_failure(error, node, last.tb_frame.f_locals), source.text[start:end]


THERE = "the payload has `device`, `temperature`, `humidity`, `n`, `off`, `flag`, `zero`, `list` and 4 more"

FAILURES = [
    # fields
    ("payload.temprature > 25", "payload.temprature", "missing-field", "the payload has no field `temprature`",
     f"did you mean `temperature`? {THERE}"),
    ("payload['temprature']", "payload['temprature']", "missing-field", "the payload has no field `temprature`",
     "did you mean"),
    ("payload.zzzz", "payload.zzzz", "missing-field", "the payload has no field `zzzz`", THERE),
    ("payload.value > 3", "payload.value", "missing-field", "the payload has no field `value`",
     "did you mean `payload.sensor.value`?"),
    ("payload.sensor.modl", "payload.sensor.modl", "missing-field", "`payload.sensor` has no field `modl`",
     "did you mean `model`? `payload.sensor` has `model`, `value`"),
    ("payload.empty.x", "payload.empty.x", "missing-field", "`payload.empty` has no field `x`",
     "`payload.empty` is an empty map"),
    ("payload.off.x", "payload.off.x", "missing-field", "`payload.off` is null, it has no field `x`",
     '`payload.get("off", {})` gives a default'),
    ("payload.list.x", "payload.list.x", "missing-field", "`payload.list` is a list, it has no field `x`",
     "`payload.list[0].x` is that of the first item, `[p.x for p in payload.list]` those of all"),
    ("payload.list.length > 1", "payload.list.length", "missing-field",
     "`payload.list` is a list, it has no field `length`",
     "`len(payload.list)` is the length"),
    ("payload.device.x", "payload.device.x", "missing-field", "`payload.device` is a text, it has no field `x`", ""),
    ("payload.zero.x", "payload.zero.x", "missing-field", "`payload.zero` is a number, it has no field `x`", ""),
    ("payload.flag['x']", "payload.flag['x']", "missing-field", "`payload.flag` is true or false, it has no field `x`",
     ""),
    ("payload.maps[1].a", "payload.maps[1].a", "missing-field", "`payload.maps[1]` has no field `a`",
     "`payload.maps[1]` has `b`"),
    ("[p.a for p in payload.maps]", "p.a", "missing-field", "`p` has no field `a`", "`p` has `b`"),
    ("payload[1]", "payload[1]", "missing-field", "the payload has no field `1`", ""),
    # items
    ("payload.list[5]", "payload.list[5]", "missing-item", "`payload.list` has 2 items, there is no item 5", ""),
    ("payload.list[2]", "payload.list[2]", "missing-item", "`payload.list` has 2 items, there is no item 2",
     "items are counted from 0; the last one is `[-1]`"),
    ("payload.device[9]", "payload.device[9]", "missing-item",
     "`payload.device` has 3 characters, there is no character 9", ""),
    ("payload.list['x']", "payload.list['x']", "missing-field", "`payload.list` is a list, it has no field `x`", ""),
    ("payload.list[1.5]", "payload.list[1.5]", "wrong-type", "items are counted with whole numbers, this is a number",
     ""),
    ("payload.list[payload.off]", "payload.list[payload.off]", "wrong-type",
     "items are counted with whole numbers, this is null", ""),
    ("payload.off[0]", "payload.off[0]", "wrong-type", "`payload.off` is null, it has no items", ""),
    ("payload.list[:payload.device]", "payload.list[:payload.device]", "wrong-type",
     "the bounds of a part `[a:b]` are whole numbers", ""),
    ("payload[payload.list]", "payload[payload.list]", "wrong-type", "a list cannot be the name of a field", ""),
    # comparisons
    ("payload.n > 3", "payload.n > 3", "wrong-type", "`>` cannot compare a text with a number",
     "use `float(payload.n)`"),
    ("3 <= payload.device", "3 <= payload.device", "wrong-type", "`<=` cannot compare a number with a text",
     "`payload.device` is `d17`"),
    ("1 < payload.zero + 2 < payload.n", "1 < payload.zero + 2 < payload.n", "wrong-type",
     "`<` cannot compare a number with a text", "use `float(payload.n)`"),
    ("payload.off >= 0", "payload.off >= 0", "wrong-type", "`payload.off` is null, `>=` cannot compare it",
     "ask before: `payload.off is not null and ...`"),
    ("payload.list > 3", "payload.list > 3", "wrong-type", "`>` cannot compare a list with a number", ""),
    ("payload.sensor > payload.empty", "payload.sensor > payload.empty", "wrong-type",
     "`>` cannot compare a map with a map", "maps have no order"),
    ("payload.mixed > [1, 2]", "payload.mixed > [1, 2]", "wrong-type", "`>` cannot compare a list with a list",
     "the items of these lists differ in kind"),
    ("3 in payload.device", "3 in payload.device", "wrong-type", "only a text can be in a text, `3` is a number", ""),
    ("'x' in payload.zero", "'x' in payload.zero", "wrong-type",
     "`in` needs a text, list or map, `payload.zero` is a number", ""),
    ("'x' in payload.off", "'x' in payload.off", "wrong-type", "`in` needs a text, list or map, `payload.off` is null",
     ""),
    ("payload.list in payload", "payload.list in payload", "wrong-type",
     "the name of a field is a text, `payload.list` is a list", ""),
    # computing
    ("payload.humidity / payload.zero", "payload.humidity / payload.zero", "division-by-zero",
     "`payload.zero` is zero, nothing can be divided by it", ""),
    ("payload.humidity % 0", "payload.humidity % 0", "division-by-zero", "this is zero, nothing can be divided by it",
     ""),
    ("payload.n + 1", "payload.n + 1", "wrong-type", "`+` cannot join a text with a number", "use `float(payload.n)`"),
    ("payload.device + 1", "payload.device + 1", "wrong-type", "`+` cannot join a text with a number", "use `str(1)`"),
    ("payload.off + 1", "payload.off + 1", "wrong-type", "`payload.off` is null, `+` cannot compute with it",
     "ask before"),
    ("payload.list + 3", "payload.list + 3", "wrong-type", "`+` cannot join a list with a number", "`list + [item]`"),
    ("payload.sensor + payload.empty", "payload.sensor + payload.empty", "wrong-type",
     "`+` cannot join a map with a map", "`a | b`"),
    ("payload.n - 1", "payload.n - 1", "wrong-type", "`-` needs numbers, `payload.n` is a text",
     "use `float(payload.n)`"),
    ("2 ** payload.device", "2 ** payload.device", "wrong-type", "`**` needs numbers, `payload.device` is a text", ""),
    ("payload.device * payload.n", "payload.device * payload.n", "wrong-type",
     "`*` cannot compute with a text and a text", ""),
    ("-payload.device", "-payload.device", "wrong-type", "`-` needs a number, `payload.device` is a text", ""),
    ("1 << -1", "1 << -1", "bad-value", "`<<` needs a number that is not negative on its right", ""),
    ("10.0 ** 400", "10.0 ** 400", "too-large", "the result of `**` is too large a number", ""),
    ("0 ** -1", "0 ** -1", "division-by-zero", "", ""),
    # functions
    ("int(payload.device)", "int(payload.device)", "bad-value", "`int` cannot read `d17` as a number", ""),
    ("int('3.5')", "int('3.5')", "bad-value", "`int` cannot read `3.5` as a number", "use `int(float(x))`"),
    ("float('21,5')", "float('21,5')", "bad-value", "`float` cannot read `21,5` as a number", '.replace(",", ".")'),
    ("int(payload.off)", "int(payload.off)", "wrong-type", "`int` needs a number or a text, `payload.off` is null", ""),
    ("int(float('nan'))", "int(float('nan'))", "bad-value", "`int` cannot make a whole number of `nan`", ""),
    ("round(float('inf'))", "round(float('inf'))", "bad-value", "`round` cannot make a whole number of infinity", ""),
    ("round(payload.n, 1)", "round(payload.n, 1)", "wrong-type", "`round` needs a number, `payload.n` is a text",
     "use `float(payload.n)`"),
    ("sqrt(-1)", "sqrt(-1)", "bad-value", "`sqrt` needs a number that is not negative, this is `-1`", ""),
    ("log(payload.zero)", "log(payload.zero)", "bad-value", "`log` needs a number above zero, `payload.zero` is `0`",
     ""),
    ("exp(1000)", "exp(1000)", "too-large", "the result of `exp` is too large a number", ""),
    ("len(payload.zero)", "len(payload.zero)", "wrong-type",
     "`len` needs a text, list or map, `payload.zero` is a number", ""),
    ("max([])", "max([])", "bad-value", "an empty list has no `max`", "`max(x, default=0)`"),
    ("min(payload.zero)", "min(payload.zero)", "wrong-type",
     "`min` needs a list, or several values, `payload.zero` is a number", ""),
    ("max(payload.mixed)", "max(payload.mixed)", "wrong-type", "`max` cannot compare a number with a text", ""),
    ("max(1, payload.n)", "max(1, payload.n)", "wrong-type", "`max` cannot compare a number with a text", ""),
    ("sorted(payload.maps)", "sorted(payload.maps)", "wrong-type", "`sorted` cannot compare a map with a map",
     'key="field"'),
    ("sum(payload.mixed)", "sum(payload.mixed)", "wrong-type", "`sum` needs numbers, one of the items is a text", ""),
    ("sum(p for p in payload.mixed)", "sum(p for p in payload.mixed)", "wrong-type",
     "`sum` needs numbers, one of the items is a text", ""),
    ("mean(payload.zero)", "mean(payload.zero)", "wrong-type",
     "`mean` needs a list of numbers, `payload.zero` is a number", ""),
    ("range(1.5)", "range(1.5)", "wrong-type", "`range` needs whole numbers, this is a number", ""),
    ("range(0, 1, 0)", "range(0, 1, 0)", "bad-value", "the step of `range` cannot be zero", ""),
    ("dict(payload.list)", "dict(payload.list)", "wrong-type",
     "`dict` needs a map or a list of pairs, `payload.list` is a list", ""),
    # methods
    ("payload.zero.upper()", "payload.zero.upper", "wrong-type", "`.upper()` is for texts, `payload.zero` is a number",
     "use `str(payload.zero)`"),
    ("payload.list.items()", "payload.list.items()", "wrong-type", "`.items()` is for maps, `payload.list` is a list",
     ""),
    ("payload.off.split(',')", "payload.off.split", "wrong-type", "`.split()` is for texts, `payload.off` is null", ""),
    ("payload.device.split('')", "payload.device.split('')", "bad-value", "`.split()` needs a text that is not empty",
     ""),
    ("payload.device.startswith(1)", "payload.device.startswith(1)", "wrong-type",
     "`.startswith()` needs a text, this is a number", ""),
    ("payload.list.index(7)", "payload.list.index(7)", "missing-item", "`payload.list` does not hold `7`", ""),
    ("payload.device.index('x')", "payload.device.index('x')", "missing-item", "`payload.device` does not hold `x`",
     ""),
    ("', '.join(payload.list)", "', '.join(payload.list)", "wrong-type",
     "`.join()` needs texts, one of the items is a number",
     "str(p) for p in x"),
    ("payload.device.zfill('3')", "payload.device.zfill('3')", "wrong-type",
     "`.zfill()` needs a whole number for the width", ""),
    ("payload.get(payload.list)", "payload.get(payload.list)", "wrong-type",
     "the name of a field is a text or number, this is a list or map", ""),
    # going through
    ("[p for p in payload.zero]", None, "wrong-type", "`payload.zero` is a number, one cannot go through it", ""),
    ("sum(p for p in payload.off)", None, "wrong-type", "`payload.off` is null, one cannot go through it", ""),
    ("[[q for q in p] for p in payload.list]", "p", "wrong-type", "`p` is a number, one cannot go through it", ""),
    ("[a for a, b in payload.maps]", "a, b", "bad-value", "every item must be a list of 2 values here", ""),
    ("[a for a, b in payload.list]", "a, b", "wrong-type", "every item must be a list of 2 values here", ""),
    ("{p: 1 for p in payload.maps}", None, "wrong-type",
     "the name of a field is a text or number, this is a list or map", ""),
    ("{payload.list: 1}", "{payload.list: 1}", "wrong-type", "the name of a field is a text, `payload.list` is a list",
     ""),
    ("{**payload.list}", "{**payload.list}", "wrong-type", "`**` needs a map, `payload.list` is a list", ""),
    # what the helpers say themselves
    ("payload.n * 1000000", "payload.n * 1000000", "too-large", "this text would be too large", ""),
    ("mean([])", "mean([])", "bad-value", "an empty list has no mean", "answers for an empty list"),
]  # fmt: skip

JARGON = re.compile(
    r"NoneType|subscriptable|unhashable|iterable|\bdict\b(?!`)|\b(str|int|tuple|bool|float)\b(?!`|\()|object|attribute|indices|operand"
)


@pytest.mark.parametrize(("text", "marked", "code", "message", "help"), FAILURES, ids=[row[0] for row in FAILURES])
def test_a_failure_is_explained(text: str, marked: str | None, code: str, message: str, help: str) -> None:
    failure, place = fail(text, {"payload": PAYLOAD})
    assert (failure.code, failure.message or message) == (code, message or failure.message)
    assert place == (marked or place)
    assert help in "\n".join(failure.helps)
    assert len(failure.helps) <= 2
    assert len(failure.message) < 80
    assert not JARGON.search("\n".join([failure.message, *failure.helps]))


def test_there_are_many() -> None:
    assert len(FAILURES) > 80


def test_text_that_holds_json_is_to_be_parsed_first() -> None:
    failure, _ = fail("payload.x", {"payload": '{"x": 1}'})
    assert failure.message == "the payload is a text, it has no field `x`"
    assert failure.helps == ("put `- json` before this step",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("payload.x", "the payload is still bytes, it has no field `x`"),
        ("payload > 3", "`>` cannot compare bytes with a number"),
        ("payload + 'x'", "`+` cannot join bytes with a text"),
        ("payload == 'ON'", "bytes are compared with a text"),
        ("{'ON': 1}[payload]", "`{'ON': 1}` has no field bytes"),
        ("payload.upper()", "the methods of texts are not for bytes"),
    ],
)
def test_bytes_are_to_be_decoded_first(text: str, message: str) -> None:
    failure, _ = fail(text, {"payload": b"ON"}, "any")
    assert failure.message == message
    assert "put `- decode: utf-8` or `- json` before this step" in failure.helps


def test_bytes_that_hold_a_number_can_be_read_as_one() -> None:
    assert fail("payload > 3", {"payload": b"21"}, "any")[0].helps == ("use `float(payload)`",)


def test_a_name_without_a_value_is_said() -> None:
    expression = parse_expression(Passage.verbatim(Source("f.yaml", "room").span(0, 4)))
    assert explain_failure(NameError(), expression.tree, {}).message == "`room` has no value here"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError("x"), "missing-field"), (IndexError(), "missing-item"), (TypeError(), "wrong-type"), (ValueError(),
         "bad-value"),
        (ZeroDivisionError(), "division-by-zero"), (OverflowError(), "too-large"), (RecursionError(), "too-large"),
        (MemoryError(), "too-large"), (NameError(), "no-value"), (AttributeError(), "wrong-type"), (RuntimeError(),
         "step-failed"),
        (StepError("x", code="y", help="z"), "y"),
    ],
)  # fmt: skip
def test_without_a_place_there_are_words_all_the_same(error: Exception, code: str) -> None:
    failure = explain_failure(error, None, {})
    assert failure.code == code
    assert not JARGON.search(failure.message)
    if isinstance(error, StepError):
        assert failure == Failure("y", "x", ("z",))


def test_long_names_and_values_are_cut() -> None:
    failure, _ = fail(f"payload.{'x' * 300}", {"payload": {"y" * 300: 1}})
    assert len(failure.message) < 80
    failure, _ = fail("int(payload)", {"payload": "z" * 900})
    assert failure.message == f"`int` cannot read `{'z' * 23}…` as a number"


def test_a_map_with_very_many_fields_is_not_searched_for_long() -> None:
    failure, _ = fail("payload.x", {"payload": {f"field{n}": n for n in range(100_000)}})
    assert "and 192 more" in failure.helps[0]


Value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=6,
)
Explain = Callable[..., Any]


@settings(deadline=None)
@given(
    st.sampled_from([row[0] for row in FAILURES]),
    Value,
    st.sampled_from([KeyError, TypeError, ValueError, IndexError, AttributeError]),
)
def test_no_value_and_no_error_makes_the_explanation_fail(text: str, value: Any, error: type[Exception]) -> None:
    expression = parse_expression(Passage.verbatim(Source("f.yaml", text).span(0, len(text))))
    for node in ast.walk(expression.tree):
        if isinstance(node, ast.expr):
            failure = explain_failure(error("x"), node, {"payload": value})
            assert failure.code
            assert failure.message
            assert len(failure.message) < 100
