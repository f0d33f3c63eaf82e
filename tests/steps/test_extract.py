from typing import Any

import pytest

from tests.flow_host import refused, run_steps


def test_groups_become_the_payload() -> None:
    outcome = run_steps("- decode: utf-8\n- extract: {pattern: '(?P<a>[a-z]+)-(?P<b>[0-9]+)'}", "room-12")
    assert outcome.sent == [("out", {"a": "room", "b": "12"})]


def test_groups_become_a_field() -> None:
    steps = "- json\n- extract: {from: payload.name, pattern: '(?P<kind>[a-z]+)-.*', as: parts.of}"
    assert run_steps(steps, {"name": "room-12"}).sent == [
        ("out", {"name": "room-12", "parts": {"of": {"kind": "room"}}})
    ]


def test_group_that_took_no_part_is_null() -> None:
    steps = "- decode: utf-8\n- extract: {pattern: '(?P<a>[a-z]+)(-(?P<b>[0-9]+))?'}"
    assert run_steps(steps, "room").sent == [("out", {"a": "room", "b": None})]


def test_pattern_may_have_no_group_and_then_only_checks() -> None:
    outcome = run_steps(
        "- json\n- extract: {from: payload.v, pattern: '[0-9.]+', as: checked}", {"v": "1.2"}, {"v": "x"}
    )
    assert outcome.sent == [("out", {"v": "1.2", "checked": {}})]
    assert outcome.error.code == "no-match"


@pytest.mark.parametrize("text", ["room-12 ", "xroom-", "", "ROOM-12", "room-12\n"])
def test_whole_text_must_match(text: str) -> None:
    outcome = run_steps("- decode: utf-8\n- extract: {pattern: '(?P<a>[a-z]+)-(?P<b>[0-9]+)'}", text)
    assert outcome.error.message == "the text does not match the pattern as a whole"
    assert outcome.error.code == "no-match"
    assert outcome.error.span.text == "extract"


def test_letters_beyond_ascii_are_kept() -> None:
    outcome = run_steps("- decode: utf-8\n- extract: {pattern: '(?P<a>.+)=(?P<b>.*)'}", "Küche🔥=°C")
    assert outcome.sent == [("out", {"a": "Küche🔥", "b": "°C"})]


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "a number"), (None, "null"), (["a"], "a list"), ({"a": 1}, "a map"), (True, "true")]
)
def test_what_is_no_text_is_an_error(value: Any, kind: str) -> None:
    error = run_steps("- json\n- extract: {from: payload.v, pattern: '.*'}", {"v": value}).error
    assert (error.code, error.message) == ("not-text", f"only a text can be taken apart, this is {kind}")


def test_bytes_are_found_before_the_flow_runs() -> None:
    found = refused("subscribe: in\nsteps:\n  - extract: {pattern: '.*'}\n")
    assert (found.code, found.span.text) == ("bytes-payload", "extract")
    assert found.helps == ("put `- decode: utf-8` before this step",)


def test_bytes_that_only_a_run_shows_are_an_error() -> None:
    steps = "- decode: utf-8\n  when: retain\n- extract: {pattern: '.*'}"
    error = run_steps(steps, "a").error
    assert error.message == "only a text can be taken apart, this is still bytes"
    assert error.helps == ("put `- decode: utf-8` before this step",)


@pytest.mark.parametrize(
    ("pattern", "place"),
    [("(?P<a>x", "("), ("[a-", "["), ("(?=x)", "("), ("(x)\\1", "\\"), ("a**", "*"), ("x(?P<a>.)(?P<a>.)", "a")],
)
def test_fault_in_the_pattern_is_shown_at_its_place(pattern: str, place: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - decode: utf-8\n  - extract: {{pattern: '{pattern}'}}\n")
    assert found.code == "bad-pattern"
    assert found.span.text.startswith(place)


def test_hostile_text_is_answered_at_once() -> None:
    steps = "- decode: utf-8\n- extract: {pattern: '((a+)+)+b'}"
    assert run_steps(steps, "a" * 50_000).error.code == "no-match"


def test_field_of_a_payload_that_is_no_map_is_an_error() -> None:
    error = run_steps("- json\n- extract: {from: topic, pattern: '.*', as: x}", [1]).error
    assert (error.code, error.message) == ("not-a-map", "the payload is a list, not a map with fields")
