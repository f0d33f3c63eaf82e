from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.steps.scale import scale
from tests.flow_host import refused, run_steps


def scaled(options: str, *payloads: Any) -> list[Any]:
    return [value for _, value in run_steps(f"- json\n- scale: {{{options}}}", *payloads).sent]


def test_numbers_outside_of_the_range_are_scaled_as_well() -> None:
    assert scaled("from: [0, 10], to: [0, 100]", -1, 0, 5, 10, 11) == [-10, 0, 50, 100, 110]


def test_reversed_ranges_turn_the_scale_round() -> None:
    assert scaled("from: [1023, 0], to: [0, 100]", 1023, 0) == [0, 100]
    assert scaled("from: [0, 10], to: [10, 0]", 0, 4) == [10, 6]


def test_clamp_cuts_at_the_ends_of_a_reversed_range_too() -> None:
    assert scaled("from: [0, 10], to: [10, 0], clamp: true", -5, 15, 5) == [10, 0, 5]


@pytest.mark.parametrize(("digits", "number"), [(0, 33), (1, 33.3), (3, 33.333)])
def test_round_says_how_many_digits(digits: int, number: float) -> None:
    (found,) = scaled(f"from: [0, 3], to: [0, 100], round: {digits}", 1)
    assert found == number
    assert type(found) is type(number)


def test_range_that_goes_out_may_be_a_point() -> None:
    assert scaled("from: [0, 10], to: [7, 7]", 3) == [7]


def test_field_inside_a_map_is_scaled() -> None:
    assert scaled("field: a.b, from: [0, 10], to: [0, 1]", {"a": {"b": 5}, "c": 1}) == [{"a": {"b": 0.5}, "c": 1}]


whole = st.integers(-10_000, 10_000)


@given(low=whole, high=whole, base=whole, top=whole)
def test_ends_meet_ends_exactly(low: int, high: int, base: int, top: int) -> None:
    if low != high:
        assert scale(low, (low, high), (base, top), False, None) == base
        assert scale(high, (low, high), (base, top), False, None) == top


@given(st.floats() | st.integers(), st.booleans(), st.none() | st.integers(0, 15))
def test_scaled_number_is_finite_or_refused(value: float, is_clamped: bool, digits: int | None) -> None:
    try:
        found = scale(value, (-1e300, 5e-324), (-1e308, 1e308), is_clamped, digits)
    except StepError as error:
        assert error.code in {"not-a-number", "too-large"}
    else:
        assert abs(found) < float("inf")


@pytest.mark.parametrize(
    ("payload", "message", "help"),
    [
        ("21.5", "only a number can be scaled, this is a text", "put `- convert: {...: float}` before"),
        (True, "only a number can be scaled, this is true", ""),
        (None, "only a number can be scaled, this is null", ""),
        ([1], "only a number can be scaled, this is a list", ""),
    ],
)
def test_what_is_no_number_is_an_error_in_words(payload: Any, message: str, help: str) -> None:
    outcome = run_steps(
        '- json\n- set: {n: "${payload.v}"}\n- scale: {field: n, from: [0, 1], to: [0, 2]}', {"v": payload}
    )
    assert outcome.error.message == message
    assert outcome.error.helps == ((help,) if help else ())
    assert outcome.error.code == "not-a-number"
    assert outcome.error.span.text == "scale"


def test_missing_field_is_an_error() -> None:
    assert run_steps("- json\n- scale: {field: x, from: [0, 1], to: [0, 2]}", {}).error.code == "missing-field"


@pytest.mark.parametrize("options", ["from: [1, 1], to: [0, 2]", "from: [1], to: [0, 2]", "from: 5, to: [0, 2]"])
def test_range_needs_two_different_numbers(options: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - scale: {{{options}}}\n")
    assert found.message == "`from` of `scale` must be two different numbers: `[low, high]`"


@pytest.mark.parametrize("digits", ["-1", "16", "1.5", "x"])
def test_digits_are_a_small_whole_number(digits: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - scale: {{from: [0, 1], to: [0, 2], round: {digits}}}\n")
    assert found.code == "wrong-value"
    assert found.span.text == digits
