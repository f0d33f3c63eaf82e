"""`sample` at its edges."""

from typing import Any

from tests.flow_host import FlowHost, read, refused


def flow(options: str) -> FlowHost:
    return FlowHost(read(f"subscribe: in/+k\nsteps:\n  - json\n  - sample: {options}\n  - publish: out/${{k}}\n"))


def out(host: FlowHost) -> list[Any]:
    return [value for _, value in host.outcome.sent]


def test_every_third_message() -> None:
    host = flow("3")
    for number in range(1, 11):
        host.get("in/a", number)
    assert out(host) == [3, 6, 9]


def test_every_message() -> None:
    host = flow("1")
    for number in (1, 2):
        host.get("in/a", number)
    assert out(host) == [1, 2]


def test_counting_by_key() -> None:
    host = flow("{every: 2, by: k}")
    for key in "abab":
        host.get(f"in/{key}", 1)
    assert [topic for topic, _ in host.outcome.sent] == ["out/a", "out/b"]


def test_the_latest_once_per_time() -> None:
    host = flow("1s")
    for number in range(1, 8):
        host.get("in/a", number)
        host.after(0.4)
    assert out(host) == [3, 6]  # the time begins with a message: 0 to 1 s, 1.2 to 2.2 s
    host.after(1)
    assert out(host) == [3, 6, 7]


def test_a_message_exactly_at_the_end_begins_another_time() -> None:
    host = flow("1s")
    host.get("in/a", 1)
    host.after(1)
    host.get("in/a", 2)
    assert out(host) == [1]
    host.after(0.999)
    assert out(host) == [1]
    host.after(0.001)
    assert out(host) == [1, 2]


def test_a_time_that_is_over_counts_although_nobody_was_woken_yet() -> None:
    host = flow("1s")
    host.get("in/a", 1)
    host.clock._time = 1.5
    host.get("in/a", 2)
    assert out(host) == [1]
    host.after(1)
    assert out(host) == [1, 2]


def test_where_none_came_nothing_passes() -> None:
    host = flow("1s")
    host.get("in/a", 1)
    host.after(100)
    assert out(host) == [1]


def test_keys_have_times_of_their_own() -> None:
    host = flow("{every: 1s, by: k}")
    host.get("in/a", 1)
    host.after(0.5)
    host.get("in/b", 2)
    host.after(0.5)
    assert host.outcome.sent == [("out/a", 1)]
    host.after(0.5)
    assert host.outcome.sent == [("out/a", 1), ("out/b", 2)]


def test_an_edit_keeps_the_count_and_a_held_message() -> None:
    host = flow("3")
    for number in (1, 2):
        host.get("in/a", number)
    host = host.edit(host.flow)
    host.get("in/a", 3)
    assert out(host) == [3]
    timed = flow("2s")
    timed.get("in/a", 1)
    timed.after(1)
    timed = timed.edit("subscribe: in/+k\nsteps:\n  - json\n  - sample: 10s\n  - publish: other\n")
    timed.after(1)
    assert timed.outcome.sent == [("other", 1)]


def test_from_a_number_to_a_time_the_state_begins_anew() -> None:
    host = flow("3")
    host.get("in/a", 1)
    host = host.edit("subscribe: in/+k\nsteps:\n  - json\n  - sample: 1s\n  - publish: out\n")
    assert host.reset == ["sample 1"]
    host.get("in/a", 2)
    host.after(1)
    assert out(host) == [2]


def test_a_lower_number_holds_at_once() -> None:
    host = flow("10")
    for number in range(5):
        host.get("in/a", number)
    host = host.edit("subscribe: in/+k\nsteps:\n  - json\n  - sample: 3\n  - publish: out\n")
    host.get("in/a", 6)
    assert out(host) == [6]


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow("1s")
    host.get("in/a", 1)
    host.clock.jump(3600)
    host.after(0.999)
    assert out(host) == []
    host.after(0.001)
    assert out(host) == [1]


def test_a_time_to_live_that_ends_before_is_a_mistake() -> None:
    found = refused("subscribe: in\nsteps:\n  - sample: {every: 2s, ttl: 1s}\n  - publish: out\n")
    assert found.message == "`ttl` of `sample` must be longer than `every`"


def test_with_a_number_the_time_to_live_begins_anew() -> None:
    host = flow("{every: 2, ttl: 1s}")
    host.get("in/a", 1)
    host.after(1)
    host.get("in/a", 2)
    assert out(host) == []
    host.get("in/a", 3)
    assert out(host) == [3]
