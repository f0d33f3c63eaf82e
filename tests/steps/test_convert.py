from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.steps.convert import convert_fields
from tests.flow_host import refused, run_steps


def convert(value: Any, kind: str) -> Any:
    return convert_fields({"x": value}, ((("x",), kind),))["x"]


def refusal(value: Any, kind: str) -> StepError:
    with pytest.raises(StepError) as caught:
        convert(value, kind)
    return caught.value


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("7", 7),
        (" -7 ", -7),
        ("7.0", 7),
        ("1e3", 1000),
        (7.0, 7),
        (7, 7),
        (True, 1),
        (b"12", 12),
        ("9" * 30, int("9" * 30)),
    ],
)
def test_int_takes_whole_numbers_in_any_form(value: Any, number: int) -> None:
    found = convert(value, "int")
    assert found == number
    assert type(found) is int


@pytest.mark.parametrize(
    "value", ["21.5", 21.5, "", "x", "1_000", "nan", "inf", nan, inf, None, [], {}, "7" * 65, "0x10"]
)
def test_int_refuses_what_would_lose_something(value: Any) -> None:
    assert refusal(value, "int").code == "not-convertible"


@pytest.mark.parametrize(("value", "number"), [("21.5", 21.5), (" 1e-3", 0.001), (3, 3.0), (True, 1.0), (b"2.5", 2.5)])
def test_float_takes_numbers(value: Any, number: float) -> None:
    found = convert(value, "float")
    assert found == number
    assert type(found) is float


@pytest.mark.parametrize("value", ["nan", "-inf", "1e999", nan, inf, "21,5", "", None, [1], "1_0", 10**400])
def test_float_is_always_finite(value: Any) -> None:
    assert refusal(value, "float").code == "not-convertible"


@pytest.mark.parametrize("word", ["true", "ON", "Yes", " 1 ", 1, 1.0, True])
def test_bool_knows_the_words_for_true(word: Any) -> None:
    assert convert(word, "bool") is True


@pytest.mark.parametrize("word", ["false", "Off", "NO", "0", 0, 0.0, False])
def test_bool_knows_the_words_for_false(word: Any) -> None:
    assert convert(word, "bool") is False


@pytest.mark.parametrize("word", ["", "maybe", 2, -1, nan, None, [], {}, b"true"])
def test_bool_refuses_other_words(word: Any) -> None:
    assert refusal(word, "bool").code == "not-convertible"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (b"\xc3\xa4", "ä"),
        (21.5, "21.5"),
        (True, "true"),
        (None, "null"),
        ([1, {"a": "ä"}], '[1,{"a":"ä"}]'),
    ],
)
def test_text_of_everything_but_text_and_bytes_is_json(value: Any, text: str) -> None:
    assert convert(value, "text") == text


def test_text_of_bytes_that_are_no_utf8_is_refused() -> None:
    error = refusal(b"\xff", "text")
    assert error.message == "`x` is still bytes, which is not a text"


def test_text_of_what_json_cannot_hold_is_refused() -> None:
    assert refusal([2**70], "text").code == "not-json-able"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (1704067200, 1704067200.0),
        (1704067200123, 1704067200.123),
        (-1704067200123, -1704067200.123),
        ("1704067200", 1704067200.0),
        ("1704067200123", 1704067200.123),
        ("2024-01-01T00:00:00Z", 1704067200.0),
        ("2024-01-01T01:00:00+01:00", 1704067200.0),
        ("2024-01-01 00:00:00.5", 1704067200.5),
        ("2024-01-01", 1704067200.0),
    ],
)
def test_time_takes_seconds_milliseconds_and_iso_8601(value: Any, seconds: float) -> None:
    found = convert(value, "time")
    assert found == seconds
    assert type(found) is float


@pytest.mark.parametrize("value", ["", "12:30", "yesterday", nan, inf, "1e999", None, [], "2024-13-01", 10**400])
def test_time_refuses_the_rest(value: Any) -> None:
    assert refusal(value, "time").code == "not-convertible"


@given(st.text() | st.floats() | st.integers() | st.binary(), st.sampled_from(["int", "float", "bool", "text", "time"]))
def test_anything_is_converted_or_refused_in_words(value: Any, kind: str) -> None:
    try:
        convert(value, kind)
    except StepError as error:
        assert len(error.message) < 80
        assert error.code in {"not-convertible", "not-json-able"}


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("21,5", "float", '`x` is "21,5", which is not a number'),
        (21.5, "int", "`x` is 21.5, which is not a whole number"),
        (True, "time", None),
        (None, "int", "`x` is null, which is not a whole number"),
        ([1], "float", "`x` is a list, which is not a number"),
        (nan, "float", "`x` is a number, which is not a number"),
        ("a" * 100, "bool", f'`x` is "{"a" * 24}…", which is not true or false'),
    ],
)
def test_refusal_shows_the_value(value: Any, kind: str, message: str | None) -> None:
    if message is None:
        assert convert(value, kind) == 1.0
    else:
        assert refusal(value, kind).message == message


@pytest.mark.parametrize(("value", "is_told"), [("21,5", True), ("-1,25", True), ("1,2,3", False), ("a,b", False)])
def test_decimal_comma_is_explained(value: str, is_told: bool) -> None:
    help = "a decimal comma: the sender must write a point"
    assert refusal(value, "float").help == (help if is_told else "")


def test_fields_inside_maps_are_converted_and_the_others_kept() -> None:
    outcome = run_steps("- json\n- convert: {a.b: int, c: text}", {"a": {"b": "1", "z": 0}, "c": 2, "d": 3})
    assert outcome.sent == [("out", {"a": {"b": 1, "z": 0}, "c": "2", "d": 3})]


def test_missing_field_is_an_error_at_the_step_that_names_the_near_one() -> None:
    outcome = run_steps("- json\n- convert: {temperature: float}", {"temprature": "1", "a": 2})
    assert outcome.sent == []
    assert outcome.shown() == (
        "error[missing-field]: the payload has no field `temperature`\n"
        " --> flows/flow.yaml:4:5\n"
        "  |\n"
        "4 |   - convert: {temperature: float}\n"
        "  |     ^^^^^^^ in `convert`\n"
        "help: did you mean `temprature`? the payload has `temprature`, `a`\n"
        'note: topic `in`, payload `{"temprature":"1","a":2}`\n'
    )


def test_payload_that_is_no_map_is_an_error() -> None:
    outcome = run_steps("- decode: utf-8\n- convert: {a: int}", '{"a": 1}')
    assert outcome.error.message == "the payload is a text, not a map with fields"
    assert outcome.error.helps == ("put `- json` before this step",)


def test_unknown_type_is_refused_with_a_suggestion() -> None:
    found = refused("subscribe: in\nsteps:\n  - json\n  - convert: {a: integer}\n")
    assert found.message == "`a` of `convert` must be `int`, `float`, `bool`, `text` or `time`"
    assert found.helps == ("did you mean `int`?",)
    assert found.span.text == "integer"
