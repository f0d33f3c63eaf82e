from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flow_host import refused, run_steps

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    steps = "- map: '{\"v\": payload}'\n  when: 0\n- json\n- encode: json"
    outcome = run_steps(steps, {"v": value})
    assert outcome.sent == [("out", {"v": value})]


def test_text_is_parsed_as_well_as_bytes() -> None:
    assert run_steps("- decode: utf-8\n- json", [1]).sent == [("out", [1])]


PYTHON = "JSON wants double quotes: this looks like Python's `str()`; send `json.dumps(...)` instead"
NUMBERS = "JSON knows no NaN and no Infinity; the sender must leave them out or send null"
CUT = "is it cut off? a bracket or a quote is missing at the end"
SHELL = """stands in double quotes; in a shell, put single quotes around all of it: `-m '{"key": 1}'`"""
PLAIN = "for plain text use `- decode: utf-8`"


@pytest.mark.parametrize(
    ("payload", "reason", "help"),
    [
        (b"", ": it is empty", PLAIN),
        (b" \n", ": it is empty", PLAIN),
        (b'{"a": 1', ": it ends too early", CUT),
        (b"[1, ", ": it ends too early", CUT),
        (b"21,5", ": unexpected `,` at character 3", "a number has a decimal point: `21.5`"),
        (b"1,2,3", ": unexpected `,` at character 2", "after the value nothing may follow; " + PLAIN),
        (b'{"t": 21,5}', ": unexpected `5` at character 10", "a number has a decimal point: `21.5`"),
        (b'{"t": 21.5,}', ": unexpected `,` at character 11", "no comma stands before `}`"),
        (b"[1,2, ]", ": unexpected `,` at character 5", "no comma stands before `]`"),
        (b"{temperature:", ": unexpected `t` at character 2", f"a key {SHELL}"),
        (b'{"on": True}', ": unexpected `T` at character 8", "JSON writes `true`"),
        (b"{\"t\": '1'}", ": unexpected `'` at character 7", 'JSON wants double quotes: `"`'),
        (b'{"t"= 1}', ": unexpected `=` at character 5", "between a key and its value stands `:`"),
        (b'{"t": 1;}', ": unexpected `;` at character 8", "entries are separated by `,`"),
        (b'{"t": +1}', ": unexpected `+` at character 7", "a number has no `+`"),
        (b'{"t": .5}', ": unexpected `.` at character 7", "a number begins with a digit, such as `0.5`"),
        (
            b'{"t": 05}',
            ": unexpected `0` at character 7",
            "a number does not begin with `0`; a text stands in double quotes",
        ),
        (b'{"t" 5}', ": unexpected `5` at character 6", "a `,` or `:` is missing before it"),
        (b'{"t": 5}}', ": unexpected `}` at character 9", "after the value nothing may follow"),
        (b"21.5 C", ": unexpected `C` at character 6", PLAIN),
        ("{“t”: 1}".encode(), ": unexpected `“` at character 2", 'these are typographic quotes: JSON wants `"`'),
        (b"{'a': 1}", ": unexpected `'` at character 2", PYTHON),
        (b'{"a": NaN}', ": unexpected `N` at character 7", NUMBERS),
        (b"nan", ": unexpected `n` at character 1", NUMBERS),
        (b"ON", ": unexpected `O` at character 1", PLAIN),
        ('{"ä": x}'.encode(), ": unexpected `x` at character 7", f"a text {SHELL}"),
        (b"\0", ": unexpected `U+0000` at character 1", ""),
        (b"1e400", ": a number in it is too large", ""),
        (b"[" * 5000, ": it is nested too deep", ""),
        (b'"\\ud800"', ": a text in it holds half a surrogate pair", ""),
        (b'"a\nb"', ": a text in it holds a control character", ""),
        (b'\xef\xbb\xbf{"a":1}', ": it begins with a byte order mark", "put `- decode: utf-8-sig` before"),
        (b'{"a":"\xe4"}', ": byte 0xe4 at position 6 is no UTF-8", "if it is text, put `- decode: latin-1` before"),
    ],
)
def test_what_is_no_json_is_said_with_the_reason(payload: bytes, reason: str, help: str) -> None:
    error = run_steps("- json", payload).error
    assert (error.code, error.message) == ("not-json", f"the payload is not JSON{reason}")
    assert error.helps == ((help,) if help else ())
    assert error.span.text == "json"
    assert len(error.message) < 80


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_json_or_refused_in_words(payload: bytes) -> None:
    outcome = run_steps("- json", payload)
    if outcome.errors:
        assert outcome.error.code in {"not-json", "not-json-able"}
        assert len(outcome.error.message) < 80


def test_byte_order_mark_is_taken_off_by_decode() -> None:
    assert run_steps("- decode: utf-8-sig\n- json", b'\xef\xbb\xbf{"a":1}').sent == [("out", {"a": 1})]


@pytest.mark.parametrize("payload", ['{"a": 1}', "5", "[1]", "null"])
def test_value_that_was_parsed_already_is_an_error(payload: str) -> None:
    error = run_steps("- json\n- json", payload).error
    assert (error.code, error.message) == ("not-text", "the payload is no text or bytes any more: it needs no `json`")


def test_json_takes_no_options() -> None:
    assert refused("subscribe: in\nsteps:\n  - json: {}\n").message == "`json` must be written alone, without a value"
    assert refused("subscribe: in\nsteps:\n  - json: true\n").message == "`json` must be written alone, without a value"
    assert refused("subscribe: in\nsteps:\n  - json: {indent: 2}\n").message == "`json` has no option `indent`"
