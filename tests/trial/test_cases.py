"""The `tests:` of flows on a virtual clock: what a broker would do with their messages, and what passes."""

import threading

import pytest

from flowrunner.trial.case import Result
from flowrunner.trial.show import show
from tests.trial.trying import Try


def sent(result: Result) -> list[tuple[str, object]]:
    return [(message.topic, message.value) for message in result.outcome.published]


def passes(results: list[Result]) -> None:
    for result in results:
        assert result.is_passed, show(result)


def one(results: list[Result]) -> Result:
    (result,) = results
    return result


# --- peers 27: exactly the expected messages, in order


EXACT = """
subscribe: in
steps:
  - json
  - split: payload
  - publish: out/${payload}
tests:
  - {given: {topic: in, payload: [1, 2]}, expect: EXPECT}
"""


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("[{topic: out/1}, {topic: out/2}]", None),
        ("[{topic: out/1}]", "a message came that is not expected: `out/2`"),
        ("{topic: out/2}", "a message came that is not expected: `out/1`"),
        ("[]", "message"),
        ("[{topic: out/2}, {topic: out/1}]", "message"),
        ("[{topic: out/1}, {topic: out/2}, {topic: out/3}]", "message 3 of 3 did not come"),
        ("[{topic: out/1}, {topic: out/3}]", "message 2 of 2 is not as expected"),
        ("[{topic: out/1, payload: 1, qos: 0, retain: false, properties: {}}, {}]", None),
        ("[{}, {payload: 3}]", "message 2 of 2 is not as expected"),
    ],
)
def test_exactly_the_expected_messages_in_order(try_flow: Try, expect: str, failure: str | None) -> None:
    result = one(try_flow(EXACT.replace("EXPECT", expect)))
    assert result.is_passed is (failure is None)
    assert (failure or "") in (result.failure.message if result.failure else "")


def test_one_message_more_fails_and_is_shown(try_flow: Try) -> None:
    text = show(one(try_flow(EXACT.replace("EXPECT", "{topic: out/1}"))))
    assert "    out/1  1\n  + out/2  2\n" in text
    assert "flow.yaml:8:43" in text


# --- peers 28: a failing test shows the step's own error with its place


def test_a_failing_test_shows_the_error_of_the_step_with_its_frame(try_flow: Try) -> None:
    result = one(
        try_flow("""
        subscribe: in
        steps:
          - json
          - filter: payload.temperature > 25
          - publish: out
        tests:
          - name: warm
            given: {topic: in, payload: {temprature: 30}}
            expect: {topic: out}
        """)
    )
    text = show(result)
    assert "error[test-failed]: the message did not come" in text
    assert "10 |     expect: {topic: out}" in text
    assert "a step failed in this test:" in text
    assert "error[missing-field]: the payload has no field `temperature`" in text
    assert "5 |   - filter: payload.temperature > 25\n  |             ^^^^^^^^^^^^^^^^^^^ in `filter`" in text
    assert "did you mean `temprature`?" in text


def test_a_step_that_fails_as_expected_is_no_failure(try_flow: Try) -> None:
    passes(try_flow("subscribe: in\nsteps: [json]\ntests:\n  - {given: {topic: in, payload: x}, expect: []}\n"))


def test_a_topic_that_nobody_hears_is_pointed_out(try_flow: Try) -> None:
    text = "subscribe: ina\nsteps: [{publish: out}]\ntests:\n  - {given: {topic: in}, expect: {topic: out}}\n"
    assert "no `subscribe` of the flow `flow` takes the topic `in`" in show(one(try_flow(text)))


# --- peers 29: time is virtual


def test_time_passes_at_once(try_flow: Try) -> None:
    passes(
        try_flow("""
        flows:
          quiet:
            subscribe: in/+id
            steps:
              - debounce: {for: 20m, by: id}
              - publish: {topic: "quiet/${id}", payload: "${iso(now())}"}
            tests:
              - given: [{topic: in/a}, {after: 19m}, {topic: in/a}, {after: 19m}]
                expect: []
              - given: [{topic: in/a}, {after: 19m}, {topic: in/a}, {after: 20m}]
                expect: {topic: quiet/a, payload: "2000-01-01T00:39:00Z"}
          mean:
            subscribe: in
            steps:
              - json
              - window: {every: 1m}
              - map: mean(payload)
              - publish: mean
            tests:
              - given: [{topic: in, payload: 1}, {after: 59s}, {topic: in, payload: 3}, {after: 1s}, {after: 5h}]
                expect: {topic: mean, payload: 2}
          watchdog:
            subscribe: alive
            steps:
              - timeout: {after: 2m, payload: silent}
              - publish: health
            tests:
              - given: [{topic: alive, payload: yes}, {after: 119s}]
                expect: {payload: yes}
              - given: {after: 1d}
                expect: {payload: silent}
        """)
    )


def test_a_test_that_ends_too_early_is_told_so(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps: [{debounce: 30s}, {publish: out}]
    tests:
      - {given: [{topic: in}, {after: 10s}], expect: {topic: out}}
    """
    assert "would go on in 20s: `given` may need `{after: 20s}`" in show(one(try_flow(flow)))
    mocked = """
    subscribe: in
    steps: [{http: "https://example.com/a"}, {publish: out}]
    tests:
      - {given: {topic: in}, mocks: {http: {after: 2s}}, expect: {topic: out}}
    """
    assert "would go on in 2s" in show(one(try_flow(mocked)))


def test_sources_that_need_no_message(try_flow: Try) -> None:
    passes(
        try_flow("""
        flows:
          ticks:
            every: {interval: 10s, count: 3, jitter: 5s}
            steps: [{publish: "tick/${payload}"}]
            tests: [{given: {after: 1h}, expect: [{topic: tick/1}, {topic: tick/2}, {topic: tick/3}]}]
          first:
            at_start: {hello: world}
            subscribe: in
            steps: [{publish: "out/${topic}"}]
            tests:
              - {given: [], expect: {topic: out/at_start/first, payload: {hello: world}}}
              - {given: {topic: in}, expect: [{}, {topic: out/in}]}
          daily:
            cron: {schedule: 30 7 * * *, timezone: UTC}
            steps: [{publish: {topic: at, payload: "${iso(now())}"}}]
            tests: [{given: {after: 2d}, expect: [{payload: "2000-01-01T07:30:00Z"}, {payload: "2000-01-02T07:30:00Z"}]}]
        """)
    )


def test_a_test_that_would_not_end_says_so(try_flow: Try, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowrunner.trial.host.MOST_CALLS", 10_000)  # a million take seconds
    text = "every: 1ms\nsteps: [{filter: 1 > 2}]\ntests:\n  - {given: {after: 1d}, expect: []}\n"
    result = one(try_flow(text))
    assert result.failure is not None
    assert "let less time pass" in result.failure.message


# --- what a broker would do


def test_overlapping_filters_run_a_flow_once_and_the_first_one_names_the_levels(try_flow: Try) -> None:
    passes(
        try_flow("""
        subscribe: [{topic: a/+x, qos: 1}, {topic: a/#x, qos: 2}, a/+x]
        steps: [{publish: {topic: "out/${x}/${qos}"}}]
        tests:
          - {given: {topic: a/b, qos: 2}, expect: {topic: out/b/1}}
          - {given: {topic: a/b/c, qos: 2}, expect: {topic: out/b/c/2}}
          - {given: {topic: a/b, qos: 0}, expect: {topic: out/b/0}}
          - {given: {topic: b}, expect: []}
          - {given: {topic: $SYS/b}, expect: []}
        """)
    )


@pytest.mark.parametrize(
    ("retained", "live", "kept"), [("all", 1, 1), ("new", 1, 0), ("only", 0, 1)], ids=["all", "new", "only"]
)
def test_the_retained_flag_is_seen_and_filtered(try_flow: Try, retained: str, live: int, kept: int) -> None:
    text = f"""
    subscribe: {{topic: in, retained: {retained}}}
    steps: [{{publish: "out/${{retain}}"}}]
    tests:
      - {{given: {{topic: in}}, expect: {[{"topic": "out/false"}] * live}}}
      - {{given: {{topic: in, retain: true}}, expect: {[{"topic": "out/true"}] * kept}}}
    """
    passes(try_flow(text))


def test_a_shared_subscription_gets_nothing_retained(try_flow: Try) -> None:
    passes(
        try_flow("""
        subscribe: {topic: in, share: us}
        steps: [{publish: out}]
        tests:
          - {given: [{topic: in, retain: true}, {topic: in}], expect: {topic: out}}
        """)
    )


def test_properties_come_and_go(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - reply
    tests:
      - given: {topic: in, payload: x, properties: {response_topic: back/7, correlation_data: id}}
        expect: {topic: back/7, payload: x, properties: {correlation_data: id}}
      - given: {topic: in, payload: x, properties: {response_topic: back/7, correlation_data: id}}
        expect: {topic: back/7, properties: {correlation_data: di}}
    """
    good, bad = try_flow(flow)
    assert good.is_passed
    assert "properties.correlation_data" in show(bad)


def test_payloads_are_compared_by_value_and_texts_exactly(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - publish: out
    tests:
      - {given: {topic: in, payload: 2}, expect: {payload: 2.0}}
      - {given: {topic: in, payload: '{"b": 1, "a": [2]}'}, expect: {payload: {a: [2.0], b: 1}}}
      - {given: {topic: in, payload: null}, expect: {payload: null}}
      - {given: {topic: in, payload_hex: ff00}, expect: {payload_base64: /wA=}}
      - {given: {topic: in, payload: "1"}, expect: {payload: "1"}}
      - {given: {topic: in, payload: 1}, expect: {payload: true}}
      - {given: {topic: in, payload: "1 "}, expect: {payload: "1"}}
      - {given: {topic: in, payload: x}, expect: {payload: 5}}
      - {given: {topic: in, payload: [1]}, expect: {payload: [1, 2]}}
      - {given: {topic: in, payload_hex: ff}, expect: {payload: x}}
      - {given: {topic: in, payload: ""}, expect: {payload: 0}}
    """
    results = try_flow(flow)
    assert [result.is_passed for result in results] == [True] * 5 + [False] * 6


def test_values_of_the_case_take_the_place_of_those_of_the_flow(try_flow: Try) -> None:
    flow = """
    flows:
      caller:
        subscribe: in
        vars: {limit: 5}
        steps: [{call: called}, {publish: "out/${limit}/${env.SITE}"}]
        tests:
          - {given: {topic: in}, expect: {topic: out/5/graz}}
          - {given: {topic: in}, vars: {limit: 6}, env: {SITE: wien}, expect: {topic: out/6/wien}}
          - {given: {topic: in}, expect: {topic: out/5/graz}}
      called:
        steps: [{let: {x: 1}}]
    """
    passes(try_flow(flow, flowrunner__yaml="env: [SITE]\n"))


def test_every_test_begins_with_an_empty_memory_and_the_same_chance(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - state: {increment: n}
      - map: '[n, randint(1, 1000000)]'
      - publish: out
    tests:
      - {given: {topic: in}, expect: [{}]}
      - {given: {topic: in}, expect: [{}]}
    """
    first, second = try_flow(flow)
    assert first.is_passed
    assert second.is_passed
    assert sent(first) == sent(second)


def test_what_the_flow_logs_is_shown_with_a_failure(try_flow: Try) -> None:
    text = "subscribe: in\nsteps: [{log: here it is}]\ntests:\n  - {given: {topic: in}, expect: {topic: out}}\n"
    assert "log: info: here it is\n" in show(one(try_flow(text)))


# --- functions of the user's, which are called


def test_functions_are_called_and_their_messages_keep_their_order(try_flow: Try) -> None:
    flow = """
    subscribe: in
    steps:
      - json
      - python: own.py:both
      - python: own.py:waits
      - delay: 5s
      - publish: out
    tests:
      - given: [{topic: in, payload: 1}, {topic: in, payload: 5}, {after: 5s}]
        expect: [{payload: 2}, {payload: 3}, {payload: 6}, {payload: 7}]
    """
    own = """
    import asyncio
    import threading

    def both(message):
        assert threading.current_thread() is not threading.main_thread()
        return [message.payload + 1, message.payload + 2]

    async def waits(message):
        await asyncio.sleep(0)
        return message
    """
    threads = threading.active_count()
    passes(try_flow(flow, own__py=own))
    assert threading.active_count() <= threads + 1  # it may just be ending


def test_what_a_function_raises_is_shown_at_its_line(try_flow: Try) -> None:
    flow = (
        "subscribe: in\nsteps: [{python: 'own.py:f'}, {publish: out}]\ntests:\n  - {given: {topic: in}, expect: [{}]}\n"
    )
    text = show(one(try_flow(flow, own__py="def f(message):\n    return 1 / 0\n")))
    assert "error[python-failed]: ZeroDivisionError: division by zero" in text
    assert "own.py:2:12" in text


def test_a_file_that_cannot_be_run_fails_the_test(try_flow: Try) -> None:
    flow = "subscribe: in\nsteps: [{python: 'own.py:f'}]\ntests:\n  - {given: {topic: in}, expect: []}\n"
    text = show(one(try_flow(flow, own__py="import nothing_of_this_name\ndef f(message): ...\n")))
    assert "the flow cannot begin" in text
    assert "nothing_of_this_name" in text
