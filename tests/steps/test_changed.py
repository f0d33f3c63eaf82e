"""`changed` at its edges."""

from typing import Any

import pytest

from tests.flow_host import FlowHost, read


def flow(options: str) -> FlowHost:
    return FlowHost(
        read(f"subscribe: in\nsteps:\n  - json\n  - changed: {{value: payload.v, {options}}}\n  - publish: out\n")
    )


def passing(host: FlowHost, *values: Any) -> list[Any]:
    for value in values:
        host.get("in", {"v": value})
    return [message.value["v"] for message in host.outcome.published]


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ([1, 1, 2, 2, 1], [1, 2, 1]),
        ([None, None, 0, None], [None, 0, None]),
        ([True, 1, True], [True, 1, True]),
        ([1, 1.0, 1], [1]),
        (["a", "a", "b"], ["a", "b"]),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}], [{"a": 1, "b": 2}, {"a": 1}]),
        ([[1], [1], [2]], [[1], [2]]),
        ([1, "1", 1], [1, "1", 1]),
    ],
)
def test_what_differs(values: list[Any], passed: list[Any]) -> None:
    assert passing(flow(""), *values) == passed


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ([20, 20.5, 19.5, 20.51], [20, 20.51]),
        ([20.1, 20.6, 20.7], [20.1, 20.7]),  # 20.6 - 20.1 is half a degree
        ([20, 20.3, 20.6, 20.9], [20, 20.6]),  # from the last that passed, not the last that came
        ([20, "20", 20], [20, "20", 20]),
        ([2**53, 2**53 + 0.4, 2**53 + 2], [2**53, 2**53 + 2]),
    ],
)
def test_a_number_must_leave_the_deadband(values: list[Any], passed: list[Any]) -> None:
    assert passing(flow("deadband: 0.5"), *values) == passed


def test_nan_is_no_reason_to_fall_silent() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - decode: utf-8
              - changed: {value: float(payload), deadband: 1}
              - publish: out
        """)
    )
    for text in ("20", "nan", "nan", "20", "inf", "inf", "20"):
        host.get("in", text)
    assert [message.payload for message in host.outcome.published] == [b"20", b"nan", b"20", b"inf", b"20"]


def test_a_value_that_is_as_old_as_max_age_passes_again() -> None:
    host = flow("max_age: 10m")
    passing(host, 1)
    host.after(599.999)
    assert passing(host, 1) == [1]
    host.after(0.001)
    assert passing(host, 1) == [1, 1]
    host.after(599)
    assert passing(host, 1) == [1, 1]


def test_age_counts_from_the_last_that_passed() -> None:
    host = flow("max_age: 10s")
    passing(host, 1)
    host.after(6)
    passing(host, 2)
    host.after(6)
    assert passing(host, 2) == [1, 2]


def test_deadband_and_age_may_be_computed() -> None:
    host = flow('deadband: "${payload.band}", max_age: "${payload.age}"')
    given = [(20, 5, "1m"), (24, 5, "1m"), (24, 3, "1m")]
    for value, band, age in given:
        host.get("in", {"v": value, "band": band, "age": age})
    assert [value["v"] for _, value in host.outcome.sent] == [20, 24]
    host.after(1)
    host.get("in", {"v": 24, "band": 5, "age": "1s"})
    assert len(host.outcome.published) == 3


@pytest.mark.parametrize(("band", "age"), [("wide", "1m"), (1, 5), (True, "1m"), (None, "1m"), (1, "soon")])
def test_what_is_computed_must_be_a_number_and_a_duration(band: Any, age: Any) -> None:
    host = flow('deadband: "${payload.band}", max_age: "${payload.age}"')
    host.get("in", {"v": 1, "band": band, "age": age})
    assert host.outcome.published == []
    assert host.outcome.error.code == "wrong-value"


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow("max_age: 10m")
    passing(host, 1)
    host.clock.jump(86_400)
    assert passing(host, 1) == [1]
    host.clock.jump(-10 * 86_400)
    assert passing(host, 1) == [1]
    host.after(600)
    assert passing(host, 1) == [1, 1]


def test_each_key_has_a_value_of_its_own() -> None:
    text = "subscribe: in/+room\nsteps:\n  - json\n  - changed: {value: payload, by: room}\n  - publish: out/${room}\n"
    host = FlowHost(read(text))
    for room, value in (("a", 1), ("b", 1), ("a", 1), ("b", 2), ("a", 2)):
        host.get(f"in/{room}", value)
    assert host.outcome.sent == [("out/a", 1), ("out/b", 1), ("out/b", 2), ("out/a", 2)]


def test_a_forgotten_key_passes_again() -> None:
    text = (
        "subscribe: in/+k\nsteps:\n  - json\n  - changed: {value: payload, by: k, max_keys: 2}\n  - publish: out/${k}\n"
    )
    host = FlowHost(read(text))
    for key in "abcab":
        host.get(f"in/{key}", 1)
    assert [topic[-1] for topic, _ in host.outcome.sent] == list("abcab")
    assert host.outcome.logged == [
        (
            "warning",
            "`changed 1` remembers 2 keys: from now on the oldest are forgotten (raise `max_keys`, or give a `ttl`)",
        )
    ]


def test_the_time_to_live_of_a_key() -> None:
    host = flow("ttl: 5s")
    passing(host, 1)
    host.after(4.999)
    assert passing(host, 1) == [1]
    host.after(0.001)
    assert passing(host, 1) == [1, 1]
