"""`mocks:`: what steps come to that would ask or change the world outside."""

from pathlib import Path

import pytest

from flowrunner.trial.case import Result
from flowrunner.trial.show import show
from tests.trial.trying import Try

HTTP = """
subscribe: in/+n
steps:
  - http: {url: "https://example.com/${n}", timeout: 5s}
    id: ask
    on_error: {publish: "failed/${error.code}"}
  - publish: {topic: "out/${response.status}", payload: "${payload}"}
tests:
  - given: [{topic: in/1}, {topic: in/2}, {topic: in/3}, {after: 1m}]
    mocks: MOCKS
    expect: EXPECT
"""


def of(results: list[Result]) -> Result:
    (result,) = results
    return result


@pytest.mark.parametrize(
    ("mocks", "expect"),
    [
        ("{ask: {payload: {x: 1}}}", "[{topic: out/200, payload: {x: 1}}, {payload: {x: 1}}, {payload: {x: 1}}]"),
        ("{http: {payload: 5, status: 201}}", "[{topic: out/201, payload: 5}, {topic: out/201}, {topic: out/201}]"),
        ("{ask: {}, http: {payload: 5}}", "[{payload: null}, {payload: null}, {payload: null}]"),
        ("{ask: [{payload: 1}, {status: 404}, {error: gone}]}", "[{payload: 1}, {topic: failed/http-status}, {topic: failed/http-failed}]"),
        ("{ask: [{after: 3s, payload: 1}, {payload: 2}, {payload_hex: ff}]}", "[{payload: 1}, {payload: 2}, {payload_hex: ff}]"),
        ("{ask: [{after: 6s}, {payload: 2}, {after: 5s, payload: 3}]}", "[{topic: failed/timed-out}, {payload: 2}, {payload: 3}]"),
    ],
)  # fmt: skip
def test_answers_of_a_server(try_flow: Try, mocks: str, expect: str) -> None:
    result = of(try_flow(HTTP.replace("MOCKS", mocks).replace("EXPECT", expect)))
    assert result.is_passed, show(result)


def test_headers_and_the_rest_that_a_server_wants(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - retry:
          backoff: 1s
          jitter: 0
          steps: [{http: "https://example.com/a"}]
      - publish: {topic: "at/${now()}", payload: "${response.headers.kind}"}
    tests:
      - given: [{topic: in}, {after: 1m}]
        mocks: {http: [{status: 503, headers: {Retry-After: 30}}, {headers: {Kind: good}}]}
        expect: {topic: at/946684830.0, payload: good}
    """
    result = of(try_flow(flow))
    assert result.is_passed, show(result)


def test_a_step_without_a_mock_fails_the_test_and_says_what_to_write(try_flow: Try, tmp_path: Path) -> None:
    flow = """
    subscribe: in
    on_error: continue
    steps:
      - json
      - {http: "https://example.com/a", id: ask, when: payload == 1}
      - {exec: [touch, made], when: payload == 2}
      - {sqlite: {file: a.db, table: t, columns: {x: "${payload}"}}, when: payload == 3}
      - {write: made.jsonl, id: save, when: payload == 4}
    tests:
      - {given: {topic: in, payload: 1}, expect: []}
      - {given: {topic: in, payload: 2}, expect: []}
      - {given: {topic: in, payload: 3}, expect: []}
      - {given: {topic: in, payload: 4}, expect: []}
      - {given: {topic: in, payload: 5}, expect: []}
    """
    *missing, passed = try_flow(flow)
    assert passed.is_passed
    for result, name, help in zip(
        missing,
        ["ask", "exec", "sqlite", "save"],
        ["{ask: {status: 200", "{exec: {payload: ...", "{sqlite: null}", "{save: null}"],
        strict=True,
    ):
        text = show(result)
        assert not result.is_passed
        assert "error[test-failed]: a step would have touched the world" in text
        assert f"error[missing-mock]: `{name}` needs a mock" in text
        assert f"add `mocks: {help}" in text
    assert {path.name for path in tmp_path.iterdir()} == {"flow.yaml"}


def test_more_questions_than_answers(try_flow: Try) -> None:
    text = show(of(try_flow(HTTP.replace("MOCKS", "{ask: [{payload: 1}]}").replace("EXPECT", "[{}, {}, {}]"))))
    assert "the mock of `ask` has 1 answer, and this asks for one more" in text


def test_programs_databases_and_files(try_flow: Try, tmp_path: Path) -> None:
    flow = """
    subscribe: in/+room
    steps:
      - json
      - write: {file: "data/${room}.csv", columns: [x]}
        id: save
        on_error: {publish: "failed/${error.code}"}
      - sqlite: {file: a.db, table: t, columns: [x]}
        id: keep
      - exec: [uname]
      - decode: utf-8
      - publish: ran
      - sqlite: {file: a.db, query: "SELECT x FROM t"}
        id: find
      - publish: found
    tests:
      - given: [{topic: in/a, payload: {x: 1}}, {topic: in/b, payload: {x: 2}}, {topic: in/c, payload: {y: 2}}]
        mocks:
          save: [null, {error: disk full}]
          keep: null
          exec: {payload: Linux}
          find: {payload: [{x: 1}, {x: 2}]}
        expect:
          - {topic: ran, payload: Linux}
          - {topic: found, payload: [{x: 1}, {x: 2}]}
          - {topic: failed/not-written, payload: {x: 2}}
          - {topic: failed/bad-columns, payload: {y: 2}}
    """
    result = of(try_flow(flow))
    assert result.is_passed, show(result)
    assert {path.name for path in tmp_path.iterdir()} == {"flow.yaml"}


def test_a_function_with_a_mock_is_not_even_imported(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - {python: "own.py:f", id: one}
      - publish: out/${payload}
    tests:
      - {given: {topic: in}, mocks: {one: {payload: 1}}, expect: {topic: out/1}}
      - {given: {topic: in}, mocks: {python: {payloads: [1, 2]}}, expect: [{topic: out/1}, {topic: out/2}]}
      - {given: {topic: in}, mocks: {python: {payloads: []}}, expect: []}
      - {given: {topic: in, payload: a}, mocks: {python: {error: no}}, expect: []}
    """
    results = try_flow(flow, own__py="raise SystemExit\ndef f(message): ...\n")
    assert [result.is_passed for result in results] == [True] * 4
    assert results[3].outcome.errors[0].message == "no"


def test_a_mock_answers_in_flows_that_are_called(try_flow: Try) -> None:
    flow = """
    flows:
      outer:
        subscribe: in
        steps: [{call: inner}, {publish: out}]
        tests:
          - {given: {topic: in}, mocks: {ask: {payload: 7}}, expect: {topic: out, payload: 7}}
      inner:
        steps: [{http: "https://example.com/a", id: ask}]
    """
    assert of(try_flow(flow)).is_passed


def test_what_would_have_been_asked_is_shown_with_a_failure(try_flow: Try) -> None:
    flow = """
    subscribe: in/+n
    steps:
      - http: {url: "https://example.com/${n}", method: POST}
      - exec: [convert, "${n}.png"]
      - json
      - write: data/${n}.jsonl
    tests:
      - given: {topic: in/a b}
        mocks: {http: {}, exec: {payload: {x: 1}}, write: null}
        expect: {topic: out}
    """
    text = show(of(try_flow(flow)))
    assert "log: mock: `http` asks POST https://example.com/a%20b\n" in text
    assert "log: mock: `exec` runs convert a b.png\n" in text
    assert 'log: mock: `write` writes into a b.jsonl: {"x":1}\n' in text
