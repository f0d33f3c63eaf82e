"""What expressions compute."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.expressions import FUNCTIONS, METHODS
from flowrunner.expressions.values import as_text

Compute = Callable[..., Any]

PAYLOAD = {
    "temperature": 21.456,
    "n": 7,
    "name": "Küche 1",
    "ok": True,
    "none": None,
    "list": [3, 1, 2],
    "rooms": [{"t": 20, "name": "a"}, {"t": 24, "name": "b"}],
    "map": {"b": 2, "a": 1},
    "_id": "x",
    "items": 4,
    "count": 5,
}

COMPUTED = [
    ("payload.temperature > 21 and payload.n <= 7", True),
    ("payload.items + payload.count", 9),
    ("payload._id", "x"),
    ("payload['name']", "Küche 1"),
    ("payload.name[0] + payload.name[-1]", "K1"),
    ("payload.none is null and payload.ok is true", True),
    ("1 < payload.n < 8 != 9", True),
    ("payload.n % 4 + payload.n // 2 + payload.n ** 2", 55),
    ("-2 ** 2", -4),
    ("2 ** -1", 0.5),
    ("10 * 'ab'[0:1] * 2", "a" * 20),
    ("payload.list * 2", [3, 1, 2, 3, 1, 2]),
    ("1 << 3 | 1", 9),
    ("payload.n & 3 ^ 1", 2),
    ("~payload.n", -8),
    ("[p.t for p in payload.rooms if p.name != 'a']", [24]),
    ("{p.name: p.t for p in payload.rooms}", {"a": 20, "b": 24}),
    ("mean(p.t for p in payload.rooms)", 22.0),
    ("max([p.t for p in payload.rooms])", 24),
    ("[[x * y for x in [1, 2]] for y in [3, 4]]", [[3, 6], [4, 8]]),
    ("[x + y for x in 'ab' for y in 'cd' if x + y != 'bd']", ["ac", "ad", "bc"]),
    ("[x for x in [y + 'x' for y in 'ab']]", ["ax", "bx"]),
    ("[n for payload_n in [1] for n in [payload_n + payload.n]]", [8]),
    ("sum(v for k, v in payload.map.items() if k in 'ab')", 3),
    ("[k for k in payload.map]", ["b", "a"]),
    ("payload.map.keys() + payload.map.values()", ["b", "a", 2, 1]),
    ("{**payload.map, 'a': 9} == {'b': 2, 'a': 9}", True),
    ("payload.map | {'c': 3}", {"b": 2, "a": 1, "c": 3}),
    ("payload.get('x') is null and payload.get('n', 0) == 7", True),
    ("'temperature' in payload and 'x' not in payload", True),
    ("payload.list == [3, 1, 2] and payload.list == (3, 1, 2)", True),
    ("sorted(payload.rooms, key='t', reverse=true)[0].name", "b"),
    ("sorted(payload.list)", [1, 2, 3]),
    ("min([], default=0) + min(3, 4)", 3),
    ("enumerate('ab', 1)", [[1, "a"], [2, "b"]]),
    ("zip(payload.list, 'ab')", [[3, "a"], [1, "b"]]),
    ("[a for a, (b, c) in [[1, [2, 3]]] if b < c]", [1]),
    ("any(x > 2 for x in payload.list) and not all(x > 2 for x in payload.list)", True),
    ("int('0x1f', 16) + int(3.9) + int('12')", 46),
    ("float('1e3') + float(payload.n)", 1007.0),
    ("str(payload.n) + str(payload.ok) + str(payload.none) + str(payload.map)", '7truenull{"b":2,"a":1}'),
    ("bool('') or bool([0])", True),
    ("list('ab') + list(payload.map)", ["a", "b", "b", "a"]),
    ("dict([['a', 1]], b=2)", {"a": 1, "b": 2}),
    ("range(2) + range(4, 1, -1)", [0, 1, 4, 3, 2]),
    ("round(2.5) + round(3.5)", 6),
    ("round(1234, -2)", 1200),
    ("median([3, 1, 2]) + median([1, 2])", 3.5),
    ("round(stdev([2, 4, 4, 4, 5, 5, 7, 9]), 3)", 2.138),
    ("floor(-0.5) + ceil(0.5)", 0),
    ("log(exp(1)) + sqrt(16)", 5.0),
    ("now()", 1000.5),
    ("iso(now())", "1970-01-01T00:16:40.500Z"),
    ("iso(-1)", "1969-12-31T23:59:59Z"),
    ("iso(0.0004)", "1970-01-01T00:00:00Z"),
    ("iso(-62135596800)", "0001-01-01T00:00:00Z"),
    ("match('K.*', payload.name) and not match('K', payload.name)", True),
    ("unique([1, 1.0, 'a', 'a', {'x': 1}, {'x': 1}])", [1, "a", {"x": 1}]),
    ("hash({'a': 1, 'b': 2}) == hash({'b': 2, 'a': 1}) != hash('')", True),
    ("'a,b'.split(',') + 'a  b'.split() + 'a/b/c'.rsplit('/', 1)", ["a", "b", "a", "b", "a/b", "c"]),
    ("'a=1'.partition('=') + 'a'.rpartition('=')", ["a", "=", "1", "", "", "a"]),
    ("' x '.strip() + 'xx'.lstrip('x') + 'y\\n'.rstrip()", "xy"),
    ("'abcb'.find('b') + 'abcb'.rfind('b', 0, 3) + 'abc'.index('c') + [1, 2].index(2)", 5),
    ("'aXa'.replace('a', 'bb', 1)", "bbXa"),
    ("'a' if payload.x else 'b'" .replace("payload.x", "payload.ok"), "a"),
    ("payload.none or 'default'", "default"),
    ("payload.name.lower().title().count('K')", 1),
    ("'\\d' == r'\\d'", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), COMPUTED, ids=[row[0] for row in COMPUTED])
def test_what_an_expression_gives(compute: Compute, text: str, value: object) -> None:
    given = compute(text, payload=PAYLOAD)
    assert (given, type(given)) == (value, type(value))


def test_what_is_read_is_never_changed(compute: Compute) -> None:
    before = repr(PAYLOAD)
    for text, _ in COMPUTED:
        compute(text, payload=PAYLOAD)
    assert repr(PAYLOAD) == before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_is_true(compute: Compute, name: str) -> None:
    function = FUNCTIONS[name]
    assert f"{name}(" in function.example
    assert function.signature.startswith(f"{name}(")
    assert function.prose.endswith(".")
    assert compute(function.example) is True


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_a_method_is_true(compute: Compute, name: str) -> None:
    method = METHODS[name]
    assert f".{name}(" in method.example
    assert method.signature.startswith(f"x.{name}(")
    assert method.prose.endswith(".")
    assert compute(method.example) is True


@pytest.mark.parametrize("name", METHODS)
def test_a_method_without_a_helper_is_one_of_python_that_gives_json(name: str) -> None:
    method = METHODS[name]
    owners = {"text": str, "list": list, "map": dict}
    assert all(hasattr(owners[owner], name) for owner in method.of)
    assert name not in {
        "format",
        "format_map",
        "encode",
        "append",
        "pop",
        "update",
        "clear",
        "sort",
        "expandtabs",
        "translate",
    }


BYTES = [
    ("raw == b'ON'", True),
    ("raw[0]", 79),
    ("len(raw)", 2),
    ("str(raw)", "ON"),
    ("list(raw)", [79, 78]),
    ("hash(raw) == hash('ON')", False),
    ("thing == b'ON'", True),
    ("thing == null or thing == 3", False),
    ("thing in [b'ON', 3]", True),
    ("thing != thing", False),
]


@pytest.mark.parametrize(("text", "value"), BYTES, ids=[row[0] for row in BYTES])
def test_what_bytes_give(compute: Compute, text: str, value: object) -> None:
    assert compute(text, raw=b"ON", thing=b"ON") == value


@pytest.mark.parametrize(
    "text",
    [
        "thing == 'ON'", "'ON' == thing", "thing != 'ON'", "thing == payload", "payload == thing",
        "thing in ['ON', 'OFF']",
        "thing in [payload]", "thing in {'ON': 1}", "'O' in thing", "payload in thing", "[thing] == ['ON']",
        "{'a': thing} == {'a': payload}", "1 == 1 < 2 and thing == thing == payload", "payload in [thing, 3]",
        "['ON'].count(thing)",
        "{'ON': 1}.get(thing, 2)", "thing.upper()", "thing.startswith('O')", "[p for p in [thing] if p == 'ON']",
        "thing not in 'ON'",
    ],
)  # fmt: skip
def test_bytes_that_meet_a_text_at_run_time_are_an_error_and_never_silently_different(
    compute: Compute, text: str
) -> None:
    with pytest.raises((StepError, TypeError)) as caught:
        compute(text, thing=b"ON", payload="ON")
    if isinstance(caught.value, StepError):
        assert caught.value.code == "bytes-payload"
        assert "decode" in caught.value.help


@pytest.mark.parametrize(
    "text", ["thing == 'ON'", "thing in ['ON']", "'O' in thing", "thing.startswith('O')", "thing == payload"]
)
def test_a_text_of_unknown_origin_works(compute: Compute, text: str) -> None:
    assert compute(text, thing="ON", payload="ON") is True


def test_deep_inside_a_value_of_unknown_origin_bytes_are_found_too(compute: Compute) -> None:
    with pytest.raises(StepError):
        compute("thing == payload", thing={"a": [1, b"x"]}, payload={"a": [1, "x"]})
    assert compute("thing == payload", thing={"a": [1, b"x"]}, payload={"a": [2, "x"]}) is False
    assert compute("thing == payload", thing={"a": [1, "x"]}, payload={"a": [1, "x"]}) is True


def test_a_comparison_does_not_let_its_guard_out(compute: Compute) -> None:
    assert type(compute("thing if thing == b'x' else 0", thing=b"x")) is bytes


@settings(deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.lists(st.integers(0, 9))))
def test_the_text_of_a_value_is_its_json_except_for_texts(value: object) -> None:
    import json

    assert as_text(value) == (value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))


def test_the_text_of_numbers_is_that_of_python() -> None:
    assert [as_text(x) for x in (21.0, 1e300, -0.0, math.nan, math.inf, 10**30)] == [
        "21.0", "1e+300", "-0.0", "nan", "inf", "1" + "0" * 30,
    ]  # fmt: skip


def test_random_values_are_in_their_range(compute: Compute) -> None:
    for _ in range(50):
        assert 1 <= compute("uniform(1, 2)") <= 2
        assert compute("randint(1, 3)") in {1, 2, 3}
        assert compute("choice(payload)", payload=["a", "b"]) in {"a", "b"}


def test_hash_is_the_same_everywhere(compute: Compute) -> None:
    assert compute("hash('a')") == "ac8d8342bbb2362d"
    assert compute("hash(payload)", payload={"b": [1, None], "a": "ä"}) == compute("hash({'a': 'ä', 'b': [1, null]})")
    assert compute("[hash(p) for p in [1, 'a']]") == [compute("hash(1)"), compute("hash('a')")]
    assert compute("[hash(p) for p in payload]", payload=[b"x"]) == [compute("hash(payload)", payload=b"x")]
