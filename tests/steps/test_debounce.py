"""`debounce` at its edges."""

from typing import Any

import pytest

from tests.flow_host import FlowHost, read, refused


def flow(options: str = "for: 2s") -> FlowHost:
    return FlowHost(read(f"subscribe: in\nsteps:\n  - json\n  - debounce: {{{options}}}\n  - publish: out\n"))


def out(host: FlowHost) -> list[Any]:
    return [value for _, value in host.outcome.sent]


def test_silence_that_is_exactly_long_enough() -> None:
    host = flow()
    host.get("in", 1)
    host.after(1.999)
    assert out(host) == []
    host.after(0.001)
    assert out(host) == [1]
    host.after(100)
    assert out(host) == [1]


def test_a_message_just_before_the_end_starts_the_time_anew() -> None:
    host = flow()
    for number in range(5):
        host.get("in", number)
        host.after(1.999)
    assert out(host) == []
    host.after(0.001)
    assert out(host) == [4]


def test_a_message_exactly_at_the_end_begins_another_burst() -> None:
    host = flow()
    host.get("in", 1)
    host.after(2)
    host.get("in", 2)
    host.after(2)
    assert out(host) == [1, 2]


def test_silence_that_is_over_counts_although_nobody_was_woken_yet() -> None:
    host = flow()
    host.get("in", 1)
    host.clock._time = 2.5  # the loop was busy
    host.get("in", 2)
    assert out(host) == [1]
    host.after(2)
    assert out(host) == [1, 2]


def test_a_burst_without_end_goes_out_at_the_latest_after_max_wait() -> None:
    host = flow("for: 2s, max_wait: 5s")
    for number in range(12):
        host.get("in", number)
        host.after(1)
    assert out(host) == [4, 9]
    host.after(5)
    assert out(host) == [4, 9, 11]


def test_max_wait_exactly_when_silence_ends() -> None:
    host = flow("for: 2s, max_wait: 2s")
    host.get("in", 1)
    host.after(1)
    host.get("in", 2)
    host.after(1)
    assert out(host) == [2]
    host.after(10)
    assert out(host) == [2]


def test_keys_wait_by_themselves() -> None:
    text = "subscribe: in/+k\nsteps:\n  - json\n  - debounce: {for: 2s, by: k}\n  - publish: out/${k}\n"
    host = FlowHost(read(text))
    host.get("in/a", 1)
    host.after(1)
    host.get("in/b", 2)
    host.after(0.5)
    host.get("in/a", 3)
    host.after(10)
    assert host.outcome.sent == [("out/b", 2), ("out/a", 3)]


def test_times_may_be_computed() -> None:
    host = flow('for: "${payload.wait}", max_wait: "${payload.most}"')
    host.get("in", {"wait": "5s", "most": "1m"})
    host.after(4)
    host.get("in", {"wait": "1s", "most": "1m"})
    host.after(1)
    assert out(host) == [{"wait": "1s", "most": "1m"}]
    host.get("in", {"wait": "1h", "most": "3s"})
    host.after(3)
    assert len(out(host)) == 2


@pytest.mark.parametrize("wait", [5, "5", "-5s", None, True, "1w", ["5s"]])
def test_what_is_computed_must_be_a_duration(wait: Any) -> None:
    host = flow('for: "${payload.wait}"')
    host.get("in", {"wait": wait})
    host.after(86_400)
    assert out(host) == []
    assert host.outcome.error.code == "wrong-value"


def test_a_computed_time_that_fails_leaves_what_is_held() -> None:
    host = flow('for: "${payload.wait}"')
    host.get("in", {"wait": "5s"})
    host.get("in", {})
    host.after(5)
    assert out(host) == [{"wait": "5s"}]
    assert host.outcome.error.code == "missing-field"


def test_what_comes_behind_works_on_the_message_as_it_was() -> None:
    host = FlowHost(
        read("""
            subscribe: in/+k
            steps:
              - json
              - let: {double: "${payload * 2}"}
              - debounce: 1s
              - publish: {topic: "out/${k}", payload: "${double}"}
        """)
    )
    host.get("in/a", 2)
    host.get("in/b", 3)
    host.after(1)
    assert host.outcome.sent == [("out/b", 6)]


def test_a_failure_behind_it_is_that_of_the_message() -> None:
    host = FlowHost(
        read("subscribe: in\nsteps:\n  - json\n  - debounce: 1s\n  - filter: payload.x > 1\n  - publish: out\n")
    )
    host.get("in", {"y": 1})
    host.after(1)
    assert host.outcome.error.code == "missing-field"
    assert host.outcome.error.span.line == 5
    assert '{"y":1}' in host.outcome.error.notes[0]


def test_several_in_one_flow() -> None:
    host = FlowHost(read("subscribe: in\nsteps:\n  - json\n  - debounce: 1s\n  - debounce: 2s\n  - publish: out\n"))
    host.get("in", 1)
    host.after(2.999)
    assert out(host) == []
    host.after(0.001)
    assert out(host) == [1]


def test_the_oldest_burst_is_given_up_for_want_of_room_and_that_is_told() -> None:
    text = "subscribe: in/+k\nsteps:\n  - debounce: {for: 2s, by: k, max_keys: 2}\n  - publish: out/${k}\n"
    host = FlowHost(read(text))
    for key in "abc":
        host.get(f"in/{key}")
    host.after(10)
    assert [topic for topic, _ in host.outcome.sent] == ["out/b", "out/c"]
    assert len(host.outcome.logged) == 1


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow()
    host.get("in", 1)
    host.clock.jump(3600)
    host.after(1.999)
    assert out(host) == []
    host.clock.jump(-7200)
    host.after(0.001)
    assert out(host) == [1]


def test_a_time_to_live_that_ends_before_is_a_mistake() -> None:
    found = refused("subscribe: in\nsteps:\n  - debounce: {for: 2s, ttl: 2s}\n  - publish: out\n")
    assert found.message == "`ttl` of `debounce` must be longer than `for`"
