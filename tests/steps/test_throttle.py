"""`throttle` at its edges: at most so many in any stretch of the time."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flow_host import FlowHost, read, refused


def flow(options: str) -> FlowHost:
    return FlowHost(read(f"subscribe: in\nsteps:\n  - json\n  - throttle: {{{options}}}\n  - publish: out\n"))


def passed(host: FlowHost) -> list[int]:
    return [value for _, value in host.outcome.sent]


def test_the_next_one_passes_exactly_when_the_time_is_over() -> None:
    host = flow("rate: 5s")
    host.get("in", 1)
    host.after(4.999)
    host.get("in", 2)
    host.after(0.001)
    host.get("in", 3)
    assert passed(host) == [1, 3]


def test_those_that_were_dropped_do_not_count() -> None:
    host = flow("rate: 10s")
    for number in range(21):
        host.get("in", number)
        host.after(1)
    assert passed(host) == [0, 10, 20]


def test_ten_in_any_second() -> None:
    host = flow("rate: 10/s")
    for number in range(40):
        host.get("in", number)
        host.after(0.05)
    assert passed(host) == [*range(10), *range(20, 30)]


@pytest.mark.parametrize("keep", ["first", "last"])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 4))
def test_never_more_than_the_rate_in_any_stretch(keep: str, waits: list[int], most: int) -> None:
    host = flow(f"rate: {most}/s, keep: {keep}")
    times: list[float] = []
    seen = 0
    for number, wait in enumerate([*waits, 5000]):
        if number < len(waits):
            host.get("in", number)
        for _ in range(wait if wait < 1000 else 500):
            times += [host.clock.time()] * (len(host.outcome.published) - seen)
            seen = len(host.outcome.published)
            host.after(0.1)
    times += [host.clock.time()] * (len(host.outcome.published) - seen)
    for first, second in zip(times, times[most:], strict=False):
        assert second - first > 0.999
    assert passed(host) == sorted(set(passed(host)))
    if keep == "last" and waits:
        assert passed(host)[-1] == len(waits) - 1


def test_the_last_one_is_held_and_passes_as_soon_as_it_may() -> None:
    host = flow("rate: 5s, keep: last")
    for number in (1, 2, 3):
        host.get("in", number)
        host.after(1)
    assert passed(host) == [1]
    host.after(1.999)
    assert passed(host) == [1]
    host.after(0.001)
    assert passed(host) == [1, 3]
    host.get("in", 4)
    assert passed(host) == [1, 3]
    host.after(5)
    assert passed(host) == [1, 3, 4]


def test_a_message_that_comes_when_one_is_due_does_not_overtake() -> None:
    host = flow("rate: 5s, keep: last")
    for number in (1, 2):
        host.get("in", number)
    host.clock._time = 5.0  # the timer is due, and was not served yet
    host.get("in", 3)
    host.after(0)
    assert passed(host) == [1, 3]


def test_every_key_has_a_rate_of_its_own() -> None:
    text = "subscribe: in/+k\nsteps:\n  - json\n  - throttle: {rate: 5s, by: k, keep: last}\n  - publish: out/${k}\n"
    host = FlowHost(read(text))
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("b", 4)):
        host.get(f"in/{key}", value)
        host.after(1)
    host.after(10)
    assert host.outcome.sent == [("out/a", 1), ("out/b", 2), ("out/a", 3), ("out/b", 4)]


def test_a_held_message_that_is_forgotten_for_want_of_room_is_told() -> None:
    text = "subscribe: in/+k\nsteps:\n  - throttle: {rate: 5s, by: k, keep: last, max_keys: 1}\n  - publish: out/${k}\n"
    host = FlowHost(read(text))
    for key in ("a", "a", "b"):
        host.get(f"in/{key}", 1)
    host.after(10)
    assert [topic for topic, _ in host.outcome.sent] == ["out/a", "out/b"]
    assert len(host.outcome.logged) == 1


def test_an_edit_keeps_what_passed_and_what_is_held() -> None:
    host = flow("rate: 10s, keep: last")
    for number in (1, 2):
        host.get("in", number)
    host.after(4)
    host = host.edit(host.flow)
    host.after(5.999)
    assert passed(host) == [1]
    host.after(0.001)
    assert passed(host) == [1, 2]


def test_an_edited_rate_holds_at_once() -> None:
    host = flow("rate: 3/m")
    for number in (1, 2, 3):
        host.get("in", number)
        host.after(1)
    host = host.edit("subscribe: in\nsteps:\n  - json\n  - throttle: {rate: 2/m}\n  - publish: out\n")
    assert host.kept == ["throttle 1"]
    host.get("in", 4)
    host.after(57)
    host.get("in", 5)
    assert passed(host) == [1, 2, 3]
    host.after(1)
    host.get("in", 6)
    assert passed(host) == [1, 2, 3, 6]


def test_other_messages_of_too_many_are_another_step() -> None:
    host = flow("rate: 10s, keep: last")
    host = host.edit("subscribe: in\nsteps:\n  - json\n  - throttle: {rate: 10s}\n  - publish: out\n")
    assert host.reset == ["throttle 1"]


def test_a_jump_of_the_clock_on_the_wall_changes_nothing() -> None:
    host = flow("rate: 5s, keep: last")
    for number in (1, 2):
        host.get("in", number)
    host.clock.jump(-1000)
    host.after(4)
    host.clock.jump(5000)
    assert passed(host) == [1]
    host.after(1)
    assert passed(host) == [1, 2]


def test_a_time_to_live_that_ends_before_is_a_mistake() -> None:
    found = refused("subscribe: in\nsteps:\n  - throttle: {rate: 10/m, ttl: 59s}\n  - publish: out\n")
    assert found.message == "`ttl` of `throttle` must be longer than `rate`"


def test_the_times_that_pass_are_in_order() -> None:
    host = flow("rate: 2/s, keep: last")
    for number in range(100):
        host.get("in", number)
        host.after(0.07)
    host.after(10)
    assert all(one < two for one, two in pairwise(passed(host)))
    assert passed(host)[-1] == 99
