"""The step `retry`, on the virtual clock."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from flowrunner.errors import StepError
from flowrunner.waiting import UNCHANGED, Outcome
from tests.flow_host import FlowHost, read, refused
from tests.http_server import Answer, Server, http_server
from tests.waiting_step import Wait, diagnose_waiting, echo, read_waiting


@pytest.fixture(autouse=True)
def _echo() -> Iterator[None]:
    yield
    Wait.answer = staticmethod(echo)


class Tries:
    """Work that fails so many times, and then gives its value."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.count = 0
        self.error = error
        Wait.answer = self.answer

    async def answer(self, job: Any) -> Outcome:
        self.count += 1
        if self.left > 0:
            self.left -= 1
            raise self.error or RuntimeError(f"try {self.count}")
        return ({"payload": job},)


def flow(
    options: str = "attempts: 4, backoff: 1s, max_delay: 3s, jitter: 0", *, behind: str = "", beside: str = ""
) -> str:
    return f"""
subscribe: in/+room
steps:
  - json
  - retry: {{{options}, steps: [{{wait: payload}}]}}
{beside}
{behind}
  - publish: out/${{room}}
"""


def test_steps_that_succeed_cost_nothing() -> None:
    tries = Tries(0)
    host = FlowHost(read_waiting(flow()))
    assert host.get("in/a", 1).sent == [("out/a", 1)]
    assert tries.count == 1


def test_the_wait_doubles_up_to_the_longest() -> None:
    tries = Tries(10)
    host = FlowHost(read_waiting(flow("attempts: 6, backoff: 1s, max_delay: 3s, jitter: 0")))
    host.get("in/a", 1)
    counts = []
    for _ in range(14):
        counts.append(tries.count)
        host.after(1)
    assert counts == [1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6]
    assert len(host.outcome.errors) == 1


def test_jitter_makes_waits_shorter_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrunner.steps.retry.random", lambda: 0.5)
    tries = Tries(1)
    host = FlowHost(read_waiting(flow("attempts: 2, backoff: 10s, jitter: 0.4")))
    host.get("in/a", 1)
    host.after(7.9)
    assert tries.count == 1
    host.after(0.1)
    assert tries.count == 2


def test_each_attempt_begins_with_the_message_as_it_was() -> None:
    Tries(2)
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - let: {n: "${1}"}
              - retry:
                  jitter: 0
                  steps:
                    - set: {x: "${payload.x + n}"}
                    - let: {n: "${n + 1}"}
                    - wait: payload
              - publish: {topic: out, payload: "${[payload.x, n]}"}
        """)
    )
    host.get("in", {"x": 0})
    assert host.after(10).sent == [("out", [1, 2])]


def test_after_the_last_attempt_the_failure_is_that_of_the_retry() -> None:
    Tries(9, StepError("the device is asleep", code="asleep"))
    host = FlowHost(read_waiting(flow(beside='    on_error: {publish: "failed/${error.code}"}')))
    host.get("in/a", 1)
    host.after(100)
    assert host.outcome.sent == [("failed/asleep", 1)]
    assert host.outcome.errors == []


def test_the_error_points_at_the_step_inside_and_counts_the_attempts() -> None:
    Tries(9, StepError("the device is asleep", code="asleep"))
    host = FlowHost(read_waiting(flow("attempts: 2")))
    host.get("in/a", 1)
    error = host.after(100).error
    assert (error.code, error.message) == ("asleep", "the device is asleep (attempt 2 of 2)")
    assert error.span.text == "wait"


def test_a_failing_expression_inside_is_shown_at_its_place() -> None:
    host = FlowHost(read("subscribe: in\nsteps:\n  - json\n  - retry: {steps: [{map: payload.missing}]}\n"))
    host.get("in", {"x": 1})
    error = host.after(100).error
    assert error.message == "the payload has no field `missing` (attempt 3 of 3)"
    assert error.span.text == "payload.missing"


@pytest.mark.parametrize(
    ("handling", "sent", "errors"),
    [("drop", [], 1), ("continue", [("out/a", 1)], 0), ("[{publish: x}]", [("x", 1)], 0)],
)
def test_on_error_of_the_retry(handling: str, sent: list[Any], errors: int) -> None:
    Tries(9)
    host = FlowHost(read_waiting(flow(beside=f"    on_error: {handling}")))
    host.get("in/a", 1)
    host.after(100)
    assert (host.outcome.sent, len(host.outcome.errors)) == (sent, errors)


def test_an_on_error_inside_comes_before_the_retry() -> None:
    tries = Tries(9)
    text = flow().replace("{wait: payload}", "{wait: payload, on_error: continue}")
    host = FlowHost(read_waiting(text))
    assert host.get("in/a", 1).sent == [("out/a", 1)]
    assert tries.count == 1


def test_the_on_error_of_the_flow_is_not_asked_before_the_last_attempt() -> None:
    tries = Tries(2)
    host = FlowHost(read_waiting("on_error: continue" + flow()))
    host.get("in/a", 1)
    assert host.after(100).sent == [("out/a", 1)]
    assert tries.count == 3
    assert host.outcome.handled == []


def test_a_step_behind_is_not_tried_again() -> None:
    tries = Tries(0)
    host = FlowHost(read_waiting(flow(behind="  - map: payload.missing")))
    host.get("in/a", {"x": 1})
    assert host.after(100).error.code == "missing-field"
    assert tries.count == 1


def test_a_message_that_ends_inside_ends() -> None:
    host = FlowHost(
        read("subscribe: in\nsteps:\n  - json\n  - retry: {steps: [{filter: payload > 1}]}\n  - publish: out\n")
    )
    host.get("in", 1)
    host.get("in", 2)
    assert host.outcome.sent == [("out", 2)]


def test_what_comes_out_of_a_split_goes_on_when_all_have_succeeded() -> None:
    Tries(1)
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - retry: {jitter: 0, steps: [{split: payload}, {publish: each}, {wait: payload}]}
              - publish: out
        """)
    )
    assert host.get("in", [1, 2]).sent == [("each", 1), ("each", 2)]
    assert host.after(1).sent[2:] == [("each", 1), ("each", 2), ("out", 1), ("out", 2)]


def test_a_branch_that_fails_is_tried_again() -> None:
    tries = Tries(1)
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - retry: {jitter: 0, steps: [{fork: [[{wait: payload}], [{publish: each}]]}]}
              - publish: out
        """)
    )
    host.get("in", 1)
    assert host.outcome.sent == [("each", 1)]
    assert host.after(1).sent == [("each", 1), ("each", 1), ("out", 1)]
    assert tries.count == 2


def test_one_retry_inside_another() -> None:
    tries = Tries(3)
    host = FlowHost(
        read_waiting("""
            subscribe: in
            steps:
              - json
              - retry:
                  attempts: 2
                  backoff: 10s
                  jitter: 0
                  steps:
                    - retry: {attempts: 2, backoff: 1s, jitter: 0, steps: [{wait: payload}]}
                    - publish: inside
              - publish: out
        """)
    )
    host.get("in", 1)
    counts = [tries.count]
    for seconds in (1, 9, 1, 1):
        host.after(seconds)
        counts.append(tries.count)
    assert counts == [1, 2, 2, 3, 4]
    assert host.outcome.sent == [("inside", 1), ("out", 1)]


def test_order_survives_retries() -> None:
    """Scenario 25 of the peers: order per flow survives retries (vector #8211)."""
    Tries(2)
    host = FlowHost(read_waiting(flow()))
    for number in (1, 2, 3):
        host.get("in/a", number)
    assert host.outcome.sent == []
    host.after(1)
    assert host.outcome.sent == []
    assert host.after(2).sent == [("out/a", 1), ("out/a", 2), ("out/a", 3)]


def test_when_is_false_and_nothing_is_tried() -> None:
    tries = Tries(9)
    host = FlowHost(read_waiting(flow(beside="    when: payload > 1")))
    assert host.get("in/a", 1).sent == [("out/a", 1)]
    assert tries.count == 0


class Resting(StepError):
    def __init__(self, seconds: float | None) -> None:
        super().__init__("busy", code="busy")
        self.retry_after = seconds


def test_a_server_is_left_alone_as_long_as_it_wants() -> None:
    tries = Tries(1, Resting(2.5))
    host = FlowHost(read_waiting(flow()))
    host.get("in/a", 1)
    host.after(2.4)
    assert tries.count == 1
    assert host.after(0.1).sent == [("out/a", 1)]


def test_a_server_that_wants_to_be_left_alone_for_too_long_is_not_asked_again() -> None:
    tries = Tries(1, Resting(3_600))
    host = FlowHost(read_waiting(flow()))
    host.get("in/a", 1)
    assert host.outcome.error.message == "busy (attempt 1 of 4; the server wants 3600 s of rest)"
    host.after(10_000)
    assert tries.count == 1


@pytest.mark.parametrize("step", ["delay: 1s", "debounce: 1s", "dedupe: payload", "window: {count: 2}", "throttle: 5s"])
def test_a_step_that_remembers_messages_cannot_stand_inside(step: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - json\n  - retry:\n      steps:\n        - {step}\n  - publish: out\n")
    assert found.message == f"`{step.partition(':')[0]}` cannot stand inside `retry`"
    assert found.span.line == 6


@pytest.mark.parametrize("options", ["attempts: 0", "jitter: 2", "backoff: 5", "attempts: many"])
def test_wrong_options_are_refused(options: str) -> None:
    found = refused(f"subscribe: in\nsteps:\n  - retry: {{steps: [json], {options}}}\n")
    assert found.code == "wrong-value"


def test_what_is_known_inside_is_known_behind() -> None:
    _, found = diagnose_waiting("""
        subscribe: in
        steps:
          - json
          - retry:
              steps: [{let: {x: "${payload.a}"}}]
          - publish: out/${x}
    """)
    assert found == []


def test_what_is_set_inside_is_not_known_behind_where_the_message_goes_on_without() -> None:
    _, found = diagnose_waiting("""
        subscribe: in
        steps:
          - json
          - retry:
              steps: [{let: {x: "${payload.a}"}}]
            on_error: continue
          - publish: out/${x}
    """)
    assert [diagnostic.code for diagnostic in found] == ["unknown-name"]


async def test_a_flow_that_ends_makes_no_further_attempt() -> None:
    tries = Tries(9)
    host = FlowHost(read_waiting(flow()))
    host.get("in/a", 1)
    await host.settled()
    assert host.waits is not None
    assert host.waits.give_up() == 1
    assert [error.code for error in host.outcome.errors] == ["given-up"]
    host.after(1_000)
    await host.settled()
    assert tries.count == 1


async def test_a_flow_that_ends_in_the_middle_of_an_attempt() -> None:
    async def never(_: Any) -> Outcome:
        await asyncio.Event().wait()
        return UNCHANGED

    Wait.answer = staticmethod(never)
    host = FlowHost(read_waiting(flow()))
    for number in (1, 2):
        host.get("in/a", number)
    await asyncio.sleep(0)
    assert host.waits is not None
    assert host.waits.give_up() == 2
    await host.settled()
    assert [error.code for error in host.outcome.errors] == ["given-up", "given-up"]
    assert not host.waits.is_busy


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http_server() as server:
        yield server


ASKING = """
    subscribe: in
    steps:
      - json
      - retry:
          attempts: 3
          backoff: 1s
          max_delay: 60s
          jitter: 0
          steps:
            - http: {{url: "{url}/x", method: POST}}
      - publish: out
"""


def test_a_server_that_fails_and_then_answers(server: Server) -> None:
    server.answers["/x"] = [Answer(b"busy", 500), Answer(b"fine", 200)]
    host = FlowHost(read(ASKING.format(url=server.url)))
    host.get("in", {"x": 1})
    host.get("in", {"x": 2})
    assert host.outcome.published == []
    host.after(1)
    host.beside.close()
    assert [sent.payload for sent in host.outcome.published] == [b"fine", b"fine"]
    assert [asked.body for asked in server.asked] == [b'{"x":1}', b'{"x":1}', b'{"x":2}']


def test_a_server_that_says_when_to_come_back(server: Server) -> None:
    server.answers["/x"] = [Answer(b"", 503, {"Retry-After": "20"}), Answer(b"fine", 200)]
    host = FlowHost(read(ASKING.format(url=server.url)))
    host.get("in", {"x": 1})
    host.after(19)
    assert len(server.asked) == 1
    host.after(1)
    host.beside.close()
    assert len(host.outcome.published) == 1
