"""Which steps and branches no test has reached."""

from pathlib import Path
from textwrap import dedent

import pytest

from flowrunner.compile import compile_flow
from flowrunner.read.load import load
from flowrunner.trial.coverage import Coverage, by_file, compile_watched, conditions_of, steps_of
from flowrunner.trial.suite import Suite, all_tests, flows_in
from tests.trial.example_files import write_examples


def missed(folder: Path, flow: str, tests: str, **files: str) -> list[tuple[int, str]]:
    """Lines and words of what the tests do not reach; the tests stand in a file of their own."""
    (folder / "flow.yaml").write_text(dedent(flow).lstrip("\n"), encoding="utf-8")
    (folder / "flow.test.yaml").write_text(f"flow: flow.yaml\ntests: {tests}\n", encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    loaded = load([folder], allow=frozenset({"exec"}))
    assert not loaded.diagnostics, loaded.diagnostics
    coverage = Coverage()
    for known in flows_in(loaded):
        coverage.add(known)
    Suite(coverage).run(all_tests(loaded), told=lambda *_: True)
    return [(spot.span.line, spot.text) for file in by_file(coverage) for spot in file.missed]


BRANCHES = """
subscribe: in
steps:
  - json
  - filter: payload > 0
  - switch:
      - when: payload == 1
        steps: [{log: one}]
      - when: payload == 2
        steps: []
      - else: [{log: other}]
  - log: small
    when: payload < 9
  - fork:
      - - publish: a
      - - filter: payload > 4
        - publish: b
  - publish: c
    on_error: continue
"""
EVERYTHING = [
    (3, "`json`"), (4, "`filter`"), (4, "`filter` keeps"), (4, "`filter` drops"), (5, "`switch`"),
    (6, "case 1 is taken"), (7, "`log`"), (8, "case 2 is taken"), (10, "`else` is taken"), (10, "`log`"),
    (11, "`log`"), (12, "`when` is true"), (12, "`when` is false"), (13, "`fork`"), (14, "`publish`"),
    (14, "branch 1 of `fork`"), (15, "`filter`"), (15, "branch 2 of `fork`"), (15, "`filter` keeps"),
    (15, "`filter` drops"), (16, "`publish`"), (17, "`publish`"), (17, "`on_error` of `publish`"),
]  # fmt: skip


def test_without_tests_nothing_is_reached(tmp_path: Path) -> None:
    assert missed(tmp_path, BRANCHES, "[]") == EVERYTHING


def test_one_message_reaches_one_way(tmp_path: Path) -> None:
    assert missed(tmp_path, BRANCHES, "[{given: {topic: in, payload: 1}, expect: []}]") == [
        (4, "`filter` drops"), (8, "case 2 is taken"), (10, "`else` is taken"), (10, "`log`"),
        (12, "`when` is false"), (15, "`filter` keeps"), (16, "`publish`"), (17, "`on_error` of `publish`"),
    ]  # fmt: skip


def test_all_ways_can_be_reached_but_for_an_error_that_cannot_happen(tmp_path: Path) -> None:
    given = ", ".join(f"{{topic: in, payload: {payload}}}" for payload in (0, 1, 2, 3, 9))
    assert missed(tmp_path, BRANCHES, f"[{{given: [{given}], expect: []}}]") == [(17, "`on_error` of `publish`")]


def test_errors_reach_the_on_error_that_is_meant_for_them(tmp_path: Path) -> None:
    flow = """
    subscribe: in
    on_error: [{log: own}]
    steps:
      - json:
        on_error: drop
      - filter: payload.x > 1
        on_error:
          - publish: low/${1 / (len(topic) - 2)}
            on_error: drop
      - switch:
          - when: payload.x > 2
            steps: [{publish: "z/${payload.z}"}]
        on_error: continue
      - publish: a/${payload.w}
    """

    def left(*payloads: str) -> set[tuple[int, str]]:
        given = ", ".join(f"{{topic: in, payload: {payload}}}" for payload in payloads)
        found = missed(tmp_path, flow, f"[{{given: [{given}], expect: []}}]")
        return {(line, text) for line, text in found if "on_error" in text}

    own, first, second, third, fourth = (
        (1, "`on_error` of the flow `flow`"),
        (4, "`on_error` of `json`"),
        (6, "`on_error` of `filter`"),
        (8, "`on_error` of `publish`"),
        (10, "`on_error` of `switch`"),
    )
    everything = {own, first, second, third, fourth}
    assert left("{x: 0}") == everything
    assert left('"{"') == everything - {first}
    assert left("{y: 1}") == everything - {second, third}
    assert left("{x: 3}") == everything - {fourth, own}
    assert left("{x: 2}") == everything - {own}


def test_a_flow_that_is_called_is_reached_by_the_tests_of_its_caller(tmp_path: Path) -> None:
    flow = "subscribe: in\nsteps:\n  - json\n  - call: judge\n  - publish: out\n"
    judge = "steps:\n  - filter: payload > 1\n  - log: good\n"
    assert missed(tmp_path, flow, "[{given: {topic: in, payload: 2}, expect: [{}]}]", judge=judge) == [
        (2, "`filter` drops")
    ]


def test_steps_behind_one_that_waits(tmp_path: Path) -> None:
    flow = """
    subscribe: in
    steps:
      - http: https://example.com/a
        when: topic == "in"
        on_error: [{log: failed}]
      - retry:
          backoff: 1s
          steps: [{filter: payload == 1}]
      - publish: out
        when: payload == 1
    """
    one = "given: {topic: in}, mocks: {http: {payload: 1}}, expect: [{}]"
    assert missed(tmp_path, flow, f"[{{{one}}}]") == [
        (3, "`on_error` of `http`"), (4, "`when` is false"), (5, "`log`"), (8, "`filter` drops"), (10, "`when` is false"),
    ]  # fmt: skip
    other = "given: {topic: in}, mocks: {http: {error: away}}, expect: []"
    assert (3, "`on_error` of `http`") not in missed(tmp_path, flow, f"[{{{one}}}, {{{other}}}]")


def test_every_condition_is_found_in_the_code(tmp_path: Path) -> None:
    """Each has a place in the compiled code: else it would seem never to be reached."""
    write_examples(tmp_path)
    flows = load([tmp_path], allow=frozenset({"exec"})).flows
    assert len(flows) > 50
    for flow in flows:
        coverage = Coverage()
        compile_watched(flow, coverage)
        told = {key for keys in coverage.keys for key in keys}
        for _, *spots in conditions_of(flow):
            assert {spot.key for spot in spots if spot is not None} <= told, flow.name
        marked = {key for key, _ in coverage.keys}
        assert {
            (step.at.key_span.source.name, step.at.key_span.start, f"`{step.KEY}`") for step in steps_of(flow)
        } <= marked


def test_a_program_that_nobody_watches_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("subscribe: in\nsteps: [json, {filter: payload > 1}]\n", encoding="utf-8")
    (flow,) = load([tmp_path]).flows
    assert not any("choose" in name or "hit" in name for name in compile_flow(flow).shared)
    assert any("choose" in name for name in compile_watched(flow, Coverage()).shared)


@pytest.mark.parametrize("way", ["plain", "watched"])
def test_watched_flows_do_the_same(tmp_path: Path, way: str) -> None:
    write_examples(tmp_path)
    loaded = load([tmp_path], allow=frozenset({"exec"}))
    results = Suite(Coverage() if way == "watched" else None).run(all_tests(loaded), told=lambda *_: True)
    assert len(results) > 60
    assert [result.case.title for result in results if not result.is_passed] == []
