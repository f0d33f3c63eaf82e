"""`window` at its edges: which message belongs to which window, and when it ends."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flow_host import FlowHost, read, refused


def flow(options: str) -> FlowHost:
    return FlowHost(read(f"subscribe: in/+k\nsteps:\n  - json\n  - window: {{{options}}}\n  - publish: out/${{k}}\n"))


def out(host: FlowHost) -> list[Any]:
    return [value for _, value in host.outcome.sent]


def test_a_message_exactly_at_the_end_belongs_to_the_next_window() -> None:
    host = flow("every: 10s")
    for number in range(5):
        host.get("in/a", number)
        host.after(5)
    assert out(host) == [[0, 1], [2, 3]]
    host.after(5)
    assert out(host) == [[0, 1], [2, 3], [4]]


def test_windows_are_aligned_to_multiples_since_1970() -> None:
    host = flow("every: 1m")
    host.after(59)
    host.get("in/a", 1)
    assert out(host) == []
    host.after(1)
    assert out(host) == [[1]]
    host.get("in/a", 2)
    host.after(59.999)
    assert out(host) == [[1]]
    host.after(0.001)
    assert out(host) == [[1], [2]]


@pytest.mark.parametrize("every", [0.1, 0.3, 0.7, 60, 3600])
def test_decimal_times_end_where_they_should(every: float) -> None:
    unit = f"{round(every * 1000)}ms"
    host = flow(f"every: {unit}")
    first = host.clock.START
    host.after(round(((first // every) + 1) * every - first, 6))
    for number in range(40):
        host.get("in/a", number)
        host.after(every)
    assert out(host) == [[number] for number in range(40)]


def test_an_empty_window_emits_nothing() -> None:
    host = flow("every: 1s")
    host.get("in/a", 1)
    host.after(100)
    assert out(host) == [[1]]


def test_a_window_that_is_over_ends_before_the_next_message() -> None:
    host = flow("every: 1s")
    host.get("in/a", 1)
    host.clock._time = 1.5  # the loop was busy
    host.get("in/a", 2)
    assert out(host) == [[1]]


def test_the_wall_clock_aligns_and_no_jump_of_it_cuts_or_stretches_a_window() -> None:
    host = flow("every: 1m")
    host.get("in/a", 1)
    host.clock.jump(3600)
    host.after(59)
    host.get("in/a", 2)
    assert out(host) == []
    host.after(1)
    assert out(host) == [[1, 2]]
    host.clock.jump(-30)
    host.get("in/a", 3)
    host.after(29)
    assert len(out(host)) == 1
    host.after(1)
    assert out(host) == [[1, 2], [3]]


def test_a_sliding_window_holds_what_came_in_the_last_time() -> None:
    host = flow("every: 1s, last: 3s")
    for number in range(5):
        host.get("in/a", number)
        host.after(1)
    assert out(host) == [[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    host.after(10)
    assert out(host)[5:] == [[3, 4], [4]]


def test_a_sliding_window_begins_again_after_it_was_empty() -> None:
    host = flow("every: 1s, last: 1s")
    host.get("in/a", 1)
    host.after(10)
    host.get("in/a", 2)
    host.after(10)
    assert out(host) == [[1], [2]]


def test_looking_back_less_than_the_time_between_two_ends() -> None:
    host = flow("every: 10s, last: 2s")
    for number in range(12):
        host.get("in/a", number)
        host.after(1)
    assert out(host) == [[8, 9]]


def test_so_many_at_a_time() -> None:
    host = flow("count: 3")
    for number in range(8):
        host.get("in/a", number)
        host.after(3600)
    assert out(host) == [[0, 1, 2], [3, 4, 5]]


def test_a_count_is_not_stopped_by_the_most_messages_of_a_window() -> None:
    host = flow("count: 12000")
    for first in range(0, 12_000, 1_000):
        host.get_all("in/a", range(first, first + 1_000))
    assert [len(items) for items in out(host)] == [12_000]


def test_a_gap_ends_a_session() -> None:
    host = flow("gap: 30s")
    for number, wait in enumerate([29, 29.999, 30, 31]):
        host.get("in/a", number)
        host.after(wait)
    assert out(host) == [[0, 1, 2], [3]]


def test_keys_have_windows_of_their_own() -> None:
    host = flow("every: 10s, by: k")
    for number, key in enumerate("abab"):
        host.get(f"in/{key}", number)
    host.after(10)
    assert host.outcome.sent == [("out/a", [0, 2]), ("out/b", [1, 3])]


def test_topic_and_names_are_those_of_the_last_message() -> None:
    host = FlowHost(
        read("""
            subscribe: in/+k
            steps:
              - json
              - let: {twice: "${payload * 2}"}
              - window: {count: 2}
              - publish: {topic: "out/${k}", payload: {topic: "${topic}", twice: "${twice}", all: "${payload}"}}
        """)
    )
    for key, number in (("a", 1), ("b", 2)):
        host.get(f"in/{key}", number)
    assert host.outcome.sent == [("out/b", {"topic": "in/b", "twice": 4, "all": [1, 2]})]


def test_a_full_window_loses_its_oldest_messages() -> None:
    host = flow("every: 10s, max_items: 3")
    for number in range(5):
        host.get("in/a", number)
    host.after(10)
    assert out(host) == [[2, 3, 4]]


def test_an_edit_of_later_steps_keeps_the_values() -> None:
    host = flow("every: 10s")
    host.get("in/a", 1)
    host.after(5)
    host = host.edit("""
        subscribe: in/+k
        steps:
          - json
          - window: {every: 10s}
          - map: {sum: "${sum(payload)}"}
          - publish: sums
    """)
    host.get("in/a", 2)
    host.after(5)
    assert host.outcome.sent == [("sums", {"sum": 3})]


def test_an_edited_time_holds_from_the_next_window_on() -> None:
    host = flow("every: 10s")
    host.get("in/a", 1)
    host = host.edit("subscribe: in/+k\nsteps:\n  - json\n  - window: {every: 4s}\n  - publish: out\n")
    assert host.kept == ["window 1"]
    host.after(9)
    assert out(host) == []
    host.after(1)
    host.get("in/a", 2)
    host.after(2)
    assert out(host) == [[1], [2]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("every: 10s", "count: 3"),
        ("every: 10s", "every: 10s, last: 20s"),
        ("gap: 1s", "every: 1s"),
        ("count: 1", "count: 1, by: k"),
    ],
)
def test_another_kind_of_window_begins_anew(before: str, after: str) -> None:
    host = flow(before)
    assert host.edit(flow(after).flow).reset == ["window 1"]


def test_times_may_be_computed() -> None:
    host = flow('gap: "${payload.gap}"')
    host.get("in/a", {"gap": "5s", "n": 1})
    host.after(4)
    host.get("in/a", {"gap": "1s", "n": 2})
    host.after(1)
    assert [[item["n"] for item in items] for items in out(host)] == [[1, 2]]
    host.get("in/a", {"gap": 1})
    assert host.outcome.error.code == "wrong-value"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("by: k", "`window` needs one of `every`, `count` and `gap`"),
        ("every: 1s, gap: 1s", "`window` needs one of `every`, `count` and `gap`"),
        ("gap: 1s, last: 5s", "`last` of `window` needs `every`: when to emit"),
        ("every: 0s", "the time of a `window` must be longer than nothing"),
        ("every: 5s, ttl: 5s", "`ttl` of `window` must be longer than `every`"),
        ("every: 1s, last: 5s, ttl: 2s", "`ttl` of `window` must be longer than `last`"),
        ("gap: 5s, ttl: 4s", "`ttl` of `window` must be longer than `gap`"),
    ],
)
def test_options_that_do_not_go_together(options: str, message: str) -> None:
    found = refused(f"subscribe: in/+k\nsteps:\n  - json\n  - window: {{{options}}}\n  - publish: out\n")
    assert found.message == message


def test_an_unfinished_count_is_forgotten_with_its_time_to_live() -> None:
    host = flow("count: 2, ttl: 10s")
    host.get("in/a", 1)
    host.after(10)
    host.get("in/a", 2)
    host.after(1)
    host.get("in/a", 3)
    assert out(host) == [[2, 3]]


def test_the_oldest_window_is_given_up_for_want_of_room() -> None:
    host = flow("every: 10s, by: k, max_keys: 2")
    for key in "abc":
        host.get(f"in/{key}", 1)
    host.after(10)
    assert [topic for topic, _ in host.outcome.sent] == ["out/b", "out/c"]
    assert len(host.outcome.logged) == 1


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.sampled_from("ab")), max_size=40), st.integers(1, 10))
def test_every_message_is_in_exactly_one_tumbling_window(arrivals: list[tuple[int, str]], every: int) -> None:
    host = flow(f"every: {every}s, by: k")
    expected: dict[tuple[int, str], list[int]] = {}
    for number, (wait, key) in enumerate(arrivals):
        host.after(wait)
        host.get(f"in/{key}", number)
        expected.setdefault((int(host.clock.now()) // every, key), []).append(number)
    host.after(2 * every)
    assert sorted(host.outcome.sent) == sorted((f"out/{key}", items) for (_, key), items in expected.items())
