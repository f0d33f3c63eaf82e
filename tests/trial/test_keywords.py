"""`-k`: which tests are wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.trial.keywords import BadChoice, parse_choice

NAME = "flows/overheat.yaml overheat a Warm room raises an alert"


@pytest.mark.parametrize(
    ("text", "is_chosen"),
    [
        ("overheat", True),
        ("OVERHEAT", True),
        ("warm room", True),
        ("room warm", False),
        ("warm and alert", True),
        ("warm and cold", False),
        ("cold or warm", True),
        ("not cold", True),
        ("not warm", False),
        ("not (cold or warm)", False),
        ("not not warm", True),
        ("cold and warm or alert", True),
        ("cold and (warm or alert)", False),
        ("(warm)", True),
        ("overheat.yaml", True),
    ],
)
def test_choice(text: str, is_chosen: bool) -> None:
    assert parse_choice(text)(NAME) is is_chosen


@pytest.mark.parametrize("text", ["", "and", "warm and", "or warm", "not", "(warm", "warm)", "()", "a not b"])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(BadChoice):
        parse_choice(text)


@given(st.lists(st.sampled_from(["a", "b", "and", "or", "not", "(", ")"]), max_size=8))
def test_nothing_but_its_own_mistake_comes_out(words: list[str]) -> None:
    try:
        choice = parse_choice(" ".join(words))
    except BadChoice:
        return
    assert choice("a") in (True, False)
