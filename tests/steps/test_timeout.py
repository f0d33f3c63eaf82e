"""`timeout` at its edges: a watchdog."""

from typing import Any

from tests.flow_host import FlowHost, read, refused


def flow(options: str = "by: k") -> FlowHost:
    return FlowHost(
        read(
            f"subscribe: in/+k\nsteps:\n  - json\n  - timeout: {{after: 2m, payload: silent, {options}}}\n  - publish: out/${{k}}\n"
        )
    )


def out(host: FlowHost) -> list[tuple[str, Any]]:
    return [(message.topic[-1], message.payload.decode()) for message in host.outcome.published]


def test_silence_is_told_exactly_when_it_has_lasted_so_long() -> None:
    host = flow()
    host.get("in/a", 1)
    host.after(119.999)
    assert out(host) == [("a", "1")]
    host.after(0.001)
    assert out(host) == [("a", "1"), ("a", "silent")]
    host.after(3600)
    assert len(out(host)) == 2


def test_a_message_that_waited_its_turn_while_the_loop_was_busy_is_no_silence() -> None:
    host = flow()
    host.get("in/a", 1)
    host.clock._time = 121.0
    host.get("in/a", 2)
    host.after(119.999)
    assert out(host) == [("a", "1"), ("a", "2")]
    host.after(0.001)
    assert out(host)[2:] == [("a", "silent")]


def test_after_silence_the_next_message_arms_it_again() -> None:
    host = flow()
    for _ in range(2):
        host.get("in/a", 1)
        host.after(120)
    assert out(host) == [("a", "1"), ("a", "silent")] * 2


def test_again_and_again() -> None:
    host = flow("by: k, repeat: true")
    host.get("in/a", 1)
    host.after(360)
    assert out(host) == [("a", "1"), *[("a", "silent")] * 3]
    host.get("in/a", 2)
    host.after(119)
    assert len(out(host)) == 5


def test_again_and_again_until_the_key_is_forgotten() -> None:
    host = flow("by: k, repeat: true, ttl: 5m")
    host.get("in/a", 1)
    host.after(3600)
    assert out(host) == [("a", "1"), *[("a", "silent")] * 2]


def test_without_keys_it_is_armed_at_the_start() -> None:
    host = FlowHost(
        read("""
            subscribe: in/+k
            steps:
              - json
              - timeout: {after: 2m, payload: "${flow}"}
              - publish: {topic: out, payload: {topic: "${topic}", k: "${k}", payload: "${payload}"}}
        """)
    )
    host.after(119.999)
    assert host.outcome.sent == []
    host.after(0.001)
    assert host.outcome.sent == [("out", {"topic": "timeout/flow", "k": None, "payload": "flow"})]
    host.get("in/a", 5)
    host.after(120)
    assert [value for _, value in host.outcome.sent[1:]] == [
        {"topic": "in/a", "k": "a", "payload": 5},
        {"topic": "in/a", "k": "a", "payload": "flow"},
    ]


def test_with_keys_nothing_is_armed_at_the_start() -> None:
    host = flow()
    host.after(3600)
    assert out(host) == []


def test_the_payload_is_computed_from_the_last_message() -> None:
    host = FlowHost(
        read("""
            subscribe: in/+k
            steps:
              - json
              - timeout: {after: "${payload.within}", by: k, payload: {last: "${payload.v}", from: "${k}"}}
              - publish: out
        """)
    )
    host.get("in/a", {"v": 1, "within": "10s"})
    host.get("in/b", {"v": 2, "within": "5s"})
    host.after(5)
    assert host.outcome.sent[2:] == [("out", {"last": 2, "from": "b"})]
    host.after(5)
    assert host.outcome.sent[3:] == [("out", {"last": 1, "from": "a"})]


def test_a_payload_that_fails_is_an_error_with_its_place() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - timeout: {after: 5s, by: topic, payload: "${payload.gone}"}
              - publish: out
        """)
    )
    host.get("in", {"v": 1})
    host.after(5)
    assert (host.outcome.error.code, host.outcome.error.span.line) == ("missing-field", 4)


def test_an_edit_keeps_the_watch() -> None:
    host = flow()
    host.get("in/a", 1)
    host.after(100)
    host = host.edit("""
        subscribe: in/+k
        steps:
          - json
          - timeout: {after: 2m, payload: gone, by: k}
          - publish: out/${k}
    """)
    host.after(20)
    assert out(host) == [("a", "1"), ("a", "gone")]


def test_an_edit_does_not_arm_a_watch_that_has_barked() -> None:
    host = flow("repeat: false")
    host.get("in/a", 1)
    host.after(120)
    host = host.edit(host.flow)
    host.after(3600)
    assert out(host) == [("a", "1"), ("a", "silent")]


def test_a_forgotten_key_is_watched_no_more() -> None:
    host = flow("by: k, max_keys: 1")
    for key in "ab":
        host.get(f"in/{key}", 1)
    host.after(120)
    assert out(host) == [("a", "1"), ("b", "1"), ("b", "silent")]
    assert len(host.outcome.logged) == 1


def test_a_jump_of_the_clock_on_the_wall_is_no_silence() -> None:
    host = flow()
    host.get("in/a", 1)
    host.clock.jump(86_400)
    host.after(119)
    host.clock.jump(-2 * 86_400)
    assert out(host) == [("a", "1")]
    host.after(1)
    assert out(host) == [("a", "1"), ("a", "silent")]


def test_a_time_to_live_that_ends_before_is_a_mistake() -> None:
    found = refused(
        "subscribe: in/+k\nsteps:\n  - timeout: {after: 2m, payload: x, by: k, ttl: 1m}\n  - publish: out\n"
    )
    assert found.message == "`ttl` of `timeout` must be longer than `after`"


def test_what_is_armed_at_the_start_needs_a_time_that_is_known_then() -> None:
    found = refused(
        "subscribe: in\nsteps:\n  - json\n  - timeout: {after: '${payload.t}', payload: x}\n  - publish: out\n"
    )
    assert found.message == "without `by` the time runs from the start, so `after` must be a fixed duration"
