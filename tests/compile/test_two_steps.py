"""`decode: utf-8` and `json` are one piece of work, and look in every way as if they were two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.message import Message
from tests.flow_host import Outcome, read, run

APART, TOGETHER = "decode: {format: utf-8, errors: 'strict'}\n    when: true", "decode: utf-8"

FLOW = """
subscribe: in
steps:
  - DECODE
  - json
  - publish: {topic: out, payload: {is: "${payload}"}}
"""

HANDLED = """
subscribe: in
steps:
  - switch:
      - when: retain
        steps:
          - DECODE
          - json
  - publish: {topic: out, payload: {is: "${payload}"}}
on_error:
  - publish: {topic: errors, payload: "${error.code} ${error.message} ${error.step} ${payload}"}
"""

PAYLOADS = [
    b"", b"{}", b'{"t": 21.5}', b"[1, 2, \xc3\xa4]", b'"\xc3\xa4"', b'"\xff"', b"\xff\xfe", b"\xef\xbb\xbf{}", b"{'t': 1}", b"ON", b"1e999",
    b"\xed\xa0\x80", b'"\xed\xa0\x80"', b'"\\ud800"', b"NaN", b"[" * 2_000, b"\0", b'{"a": 1', b" 1 ",
]  # fmt: skip


def outcomes(flow: str, payload: bytes) -> list[Outcome]:
    ways = [
        flow.replace("DECODE", step) for step in (TOGETHER, APART.replace("\n", "\n" + " " * (8 * ("switch" in flow))))
    ]
    return [run(way, Message("in", payload, 0, True)) for way in ways]


def is_same(one: Outcome, other: Outcome) -> bool:
    """The lines behind `when` are one further down."""
    seen = [
        (
            [(sent.topic, sent.payload) for sent in outcome.published],
            [(error.code, error.message, error.helps, error.notes) for error in outcome.errors],
            [str(error) for error in outcome.handled],
        )
        for outcome in (one, other)
    ]
    return seen[0] == seen[1]


@pytest.mark.parametrize("flow", [FLOW, HANDLED])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_comes_of_a_payload_is_what_comes_of_two_steps(flow: str, payload: bytes) -> None:
    assert is_same(*outcomes(flow, payload))


@given(st.binary(max_size=12) | st.text(alphabet='{}[]":,0 1eäu\\d8\ufeff', max_size=12).map(str.encode))
def test_so_it_is_for_any(payload: bytes) -> None:
    assert is_same(*outcomes(FLOW, payload))


@pytest.mark.parametrize(
    ("payload", "line", "key"), [(b"\xff", 3, "decode"), (b"\xef\xbb\xbf1", 4, "json"), (b"ON", 4, "json")]
)
def test_a_failure_is_at_its_own_step(payload: bytes, line: int, key: str) -> None:
    outcome = run(FLOW.replace("DECODE", TOGETHER), ("in", payload))
    assert outcome.error.span is not None
    assert f"flow.yaml:{line}:" in outcome.shown()
    assert key in outcome.shown()


@pytest.mark.parametrize(
    ("steps", "is_one"),
    [
        ("[{decode: utf-8}, json]", True),
        ("[{decode: utf-8, when: retain}, json]", False),
        ("[{decode: utf-8}, {json: null, on_error: continue}]", False),
        ("[{decode: latin-1}, json]", False),
        ("[{decode: {format: utf-8, errors: replace}}, json]", False),
        ("[{decode: utf-8}, {decode: utf-8}, json]", False),
        ("[{let: {a: 1}}, {decode: utf-8}, json]", True),
    ],
)
def test_only_what_is_the_same_is_one(steps: str, *, is_one: bool) -> None:
    code = compile_flow(read(f"subscribe: in\nsteps: {steps}\n")).code
    names = {name for constant in code.co_consts if hasattr(constant, "co_names") for name in constant.co_names}
    assert ("_ValueError" in names) == is_one


def test_every_step_has_a_line_for_a_debugger() -> None:
    code = compile_flow(read(FLOW.replace("DECODE", TOGETHER))).code
    (function,) = (constant for constant in code.co_consts if hasattr(constant, "co_lines"))
    assert {3, 4, 5} <= {line for _, _, line in function.co_lines()}
