"""The `tests:` of a flow: what is given and expected is taken as it stands."""

from typing import Any

import pytest

from flowrunner.read.cases import After, Case
from tests.flow_host import read, refused, run_cases


def case_of(given: str, expect: str = "[]", more: str = "") -> Case:
    text = f"subscribe: in\nsteps: [json]\ntests:\n  - given: {given}\n    expect: {expect}\n{more}"
    (case,) = read(text).tests
    return case


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ("payload: {a: [1, null]}", b'{"a":[1,null]}'),
        ("payload: text", b"text"),
        ("payload: 2.50", b"2.5"),
        ("payload: true", b"true"),
        ("payload: 'true'", b"true"),
        ("payload: null", b""),
        ("payload: '${x}'", b"${x}"),
        ("payload: {a: '${x} $${y}'}", b'{"a":"${x} $${y}"}'),
        ("payload_hex: 48 69", b"Hi"),
        ("payload_hex: 4869", b"Hi"),
        ("payload_hex: ''", b""),
        ("payload_base64: SGk=", b"Hi"),
        ("payload_base64: true", b"\xb6\xbb\x9e"),
        ("qos: 1", b""),
    ],
)
def test_payload_of_what_is_given(payload: str, data: bytes) -> None:
    (given,) = case_of(f"{{topic: in, {payload}}}").given
    assert not isinstance(given, After)
    assert given.payload == data


def test_what_is_left_out_is_not_compared() -> None:
    (expected,) = case_of("[]", "{topic: out}").expect
    assert (expected.has_payload, expected.qos, expected.retain, expected.properties) == (False, None, None, None)
    (expected,) = case_of("[]", "{payload: null, qos: 0, retain: false, properties: {}}").expect
    assert (expected.has_payload, expected.payload, expected.qos) == (True, None, 0)
    assert (expected.topic, expected.retain, expected.properties) == (None, False, {})


def test_properties_are_literal() -> None:
    (given,) = case_of("{topic: in, properties: {user: {a: '${x}', n: 5}, correlation_data: x}}").given
    assert not isinstance(given, After)
    assert given.properties == {"user": {"a": "${x}", "n": "5"}, "correlation_data": b"x"}


def test_time_passes_alone() -> None:
    first, second = case_of("[{after: 5s}, {topic: in}]").given
    assert isinstance(first, After)
    assert first.seconds == 5
    assert not isinstance(second, After)


def test_constants_and_environment_of_a_case() -> None:
    text = """
    subscribe: in
    vars: {limit: 5}
    steps:
      - publish: out/${limit}/${env.SITE}
    tests:
      - {given: {topic: in}, expect: {topic: out/5/graz}}
      - {given: {topic: in}, expect: {topic: out/6/wien}, vars: {limit: 6}, env: {SITE: wien}}
      - {given: {topic: in}, expect: {topic: out/5/7}, env: {SITE: 7}}
    """
    run_cases(read(text, env={"SITE": "graz"}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{topic: in, qos: 3}", "`qos` of `given` must be 0, 1 or 2"),
        ("{topic: in, qos: '${x}'}", "`qos` of `given` must be 0, 1 or 2"),
        ("{topic: in, retain: '${x}'}", "`retain` of `given` must be `true` or `false`"),
        ("{topic: in, payload: 1, payload_hex: '00'}", "a message has one payload"),
        ("{topic: in, payload: 18446744073709551616}", "JSON holds no integer beyond 64 bits"),
        ("{topic: in, properties: {user: 5}}", "the property `user` must be a map of texts, this is a number"),
        ("{topic: in, payload_base64: a}", "`payload_base64` of `given` must be bytes in base64"),
        ("{topic: in, after: 5s}", "`after` stands alone, and only in `given`"),
        ("{payload: 1}", "`given` needs `topic`"),
        ("{topik: in}", "`given` has no option `topik`"),
        ("in", "`given` of `tests` must be a message or a list of messages"),
        ("[in]", "`given` of `tests` must be a message such as `{topic: a/b, payload: {x: 1}}`"),
    ],
)
def test_mistake_in_what_is_given(given: str, message: str) -> None:
    found = refused(f"subscribe: in\nsteps: [json]\ntests:\n  - given: {given}\n    expect: []\n")
    assert found.message == message


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ("{given: []}", "`tests` must be a list of tests"),
        ("[given]", "`tests` must be a list of maps with `given` and `expect`"),
        ("[{given: []}]", "`tests` needs `expect`"),
        ("[{given: [], expect: {after: 5s}}]", "`after` stands alone, and only in `given`"),
        ("[{given: [], expect: [], vars: [x]}]", "`vars` of `tests` must be a map"),
        ("[{given: [], expect: [], name: [x]}]", "`name` of `tests` must be a text"),
    ],
)
def test_mistake_in_the_list_of_tests(tests: str, message: str) -> None:
    assert refused(f"subscribe: in\nsteps: [json]\ntests: {tests}\n").message == message


def test_every_mistake_is_reported_at_its_place() -> None:
    found = refused(
        "subscribe: in\nsteps: [json]\ntests:\n  - given: {topic: in}\n    expect: {payload: 1, payload_hex: '01'}\n"
    )
    assert found.span.text == "payload_hex"


def values_of(case: Case) -> list[Any]:
    return [expected.payload for expected in case.expect]


def test_expected_values_are_plain() -> None:
    case = case_of("[]", "[{payload: {a: '${x}'}}, {payload: text}, {payload_hex: 'ff'}, {payload: 2}]")
    assert values_of(case) == [{"a": "${x}"}, "text", b"\xff", 2]
