"""`state`: named values that outlive a message."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.errors import StepError
from flowrunner.jsons import loads
from flowrunner.stores import MISSING, Row, Store, key_of
from tests.flow_host import FlowHost, diagnose, read, refused


class Kept:
    """A journal that keeps in memory what a file would."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, float, float | None]] = {}

    def rows(self) -> Iterator[Row]:
        for key, (value, since, until) in sorted(self.kept.items(), key=lambda item: item[1][1]):
            yield Row(key, loads(value), since, until)

    def put(self, key: bytes, value: bytes, since: float, until: float | None) -> None:
        self.kept[key] = (value, since, until)

    def forget(self, key: bytes) -> None:
        self.kept.pop(key, None)


def flow(step: str, out: str = "${v}", *, journal: Kept | None = None) -> FlowHost:
    text = f"subscribe: in/+k\nsteps:\n  - json\n  - state: {{{step}}}\n  - publish: {{topic: out, payload: '{out}'}}\n"
    return FlowHost(read(text), journal=journal)


def out(host: FlowHost) -> list[Any]:
    return [value for _, value in host.outcome.sent]


def test_what_one_message_sets_the_next_one_gets() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - state: {get: last, default: none yet}
              - publish: {topic: before, payload: {last: "${last}"}}
              - state: {set: last, value: "${payload.t}"}
              - publish: {topic: after, payload: {last: "${last}"}}
        """)
    )
    for value in (1, None, [2]):
        host.get("in", {"t": value})
    assert [value["last"] for topic, value in host.outcome.sent if topic == "before"] == ["none yet", 1, None]
    assert [value["last"] for topic, value in host.outcome.sent if topic == "after"] == [1, None, [2]]


def test_without_a_value_the_payload_is_set() -> None:
    host = flow("set: v")
    host.get("in/a", {"x": 1})
    assert out(host) == [{"x": 1}]


def test_counting_up_by_one_and_by_more() -> None:
    host = flow("increment: v")
    for _ in range(3):
        host.get("in/a", 0)
    assert out(host) == [1, 2, 3]
    host = flow("increment: v, amount: '${payload}', default: 10")
    for amount in (2.5, -1, 0):
        host.get("in/a", amount)
    assert out(host) == [12.5, 11.5, 11.5]


@pytest.mark.parametrize("value", ["1", None, True, [1], {"n": 1}])
def test_only_a_number_can_be_counted_up(value: Any) -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - state: {set: v, value: "${payload.v}"}
                when: '"v" in payload'
              - state: {increment: v, as: n}
                when: '"v" not in payload'
        """)
    )
    host.get("in", {"v": value})
    host.get("in", {})
    assert host.outcome.error.code == "not-a-number"
    assert host.outcome.error.span.line == 6


@pytest.mark.parametrize("amount", ["1", None, True, [1]])
def test_only_a_number_can_be_added(amount: Any) -> None:
    host = flow("increment: v, amount: '${payload.a}'")
    host.get("in/a", {"a": amount})
    assert host.outcome.error.code == "wrong-value"
    host.get("in/a", {"a": 2})
    assert out(host) == [2]


def test_a_number_without_end_is_refused_and_the_value_stays() -> None:
    host = flow("increment: v, amount: '${payload}'")
    for amount in (1e308, 1e308, 1):
        host.get("in/a", amount)
    assert host.outcome.error.code == "too-large"
    assert out(host) == [1e308, 1e308]


def test_one_value_for_each_key() -> None:
    host = flow("increment: v, key: k")
    for key in "abab":
        host.get(f"in/{key}", 0)
    assert out(host) == [1, 1, 2, 2]


def test_keys_of_any_kind() -> None:
    host = flow("increment: v, key: payload.x")
    for key in [1, 1.0, "1", True, None, [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}, 1.5, "x" * 9999, "x" * 9998]:
        host.get("in/a", {"x": key})
    assert out(host) == [1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1]


def test_another_name_for_the_value() -> None:
    host = flow("increment: v, as: total", "${total}")
    host.get("in/a", 0)
    assert out(host) == [1]


def test_a_value_holds_for_so_long_after_it_was_set() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - state: {set: v, ttl: 10s}
                when: payload
              - state: {get: v, as: now_it_is, default: gone}
              - publish: {topic: out, payload: ["${now_it_is}"]}
        """)
    )
    host.get("in", 1)
    host.after(9.999)
    host.get("in", 0)
    host.after(0.001)
    host.get("in", 0)
    assert out(host) == [[1], [1], ["gone"]]


def test_getting_only_what_is_young_enough() -> None:
    host = FlowHost(
        read("""
            subscribe: in
            steps:
              - json
              - state: {set: v}
                when: payload
              - state: {get: v, as: young, ttl: "${'5s'}"}
              - state: {get: v, as: old}
              - publish: {topic: out, payload: ["${young}", "${old}"]}
        """)
    )
    host.get("in", 1)
    host.after(4.999)
    host.get("in", 0)
    host.after(0.001)
    host.get("in", 0)
    assert out(host) == [[1, 1], [1, 1], [None, 1]]


def test_a_count_begins_anew_when_it_was_not_touched_for_so_long() -> None:
    host = flow("increment: v, ttl: 10s")
    for wait in (0, 9, 9, 10):
        host.after(wait)
        host.get("in/a", 0)
    assert out(host) == [1, 2, 3, 1]


def test_the_oldest_key_goes_when_there_are_too_many() -> None:
    host = flow("increment: v, key: k, max_keys: 2")
    for key in "aabca":
        host.get(f"in/{key}", 0)
    assert out(host) == [1, 2, 1, 1, 1]


def test_of_several_bounds_for_one_name_the_largest_counts() -> None:
    host = FlowHost(
        read("""
            subscribe: in/+k
            steps:
              - state: {get: v, key: k, as: old}
              - state: {set: v, key: k, max_keys: 3}
              - state: {get: v, key: k, as: again, max_keys: 2}
        """)
    )
    for key in "abcdef":
        host.get(f"in/{key}", 0)
    assert len(host.stores.open("flow", "v")) == 3
    assert host.stores.open("flow", "w").memory.max_keys == 10_000


def test_an_edit_keeps_the_value_and_the_new_bound_holds() -> None:
    host = flow("increment: v, key: k")
    for key in "aabb":
        host.get(f"in/{key}", 0)
    host = host.edit("""
        subscribe: in/+k
        steps:
          - log: something else before it
          - json
          - state: {increment: v, key: k, amount: 10, max_keys: 1}
          - publish: {topic: out, payload: "${v}"}
    """)
    host.get("in/a", 0)
    assert out(host)[-1] == 12
    host.get("in/b", 0)
    assert out(host)[-1] == 10


def test_what_is_shared_is_not_the_flow_s_own() -> None:
    host = flow("increment: v, scope: shared")
    host.get("in/a", 0)
    assert host.stores.open("", "v").get(b"") == 1
    assert host.stores.open("flow", "v").get(b"") is MISSING


def test_what_is_kept_is_there_after_a_restart() -> None:
    journal = Kept()
    host = flow("increment: v, key: k, persist: true", journal=journal)
    for key in "aab":
        host.get(f"in/{key}", 0)
    host = flow("increment: v, key: k, persist: true", journal=journal)
    for key in "abc":
        host.get(f"in/{key}", 0)
    assert out(host) == [3, 2, 1]


def test_what_is_not_to_be_kept_is_not() -> None:
    journal = Kept()
    host = flow("increment: v", journal=journal)
    host.get("in/a", 0)
    assert journal.kept == {}


def test_keeping_may_begin_with_an_edit() -> None:
    journal = Kept()
    host = flow("increment: v, key: k", journal=journal)
    for key in "ab":
        host.get(f"in/{key}", 0)
    journal.put(key_of("b"), b"50", 0.0, None)
    journal.put(key_of("c"), b"70", 0.0, None)
    host = host.edit(read("subscribe: in/+k\nsteps:\n  - json\n  - state: {increment: v, key: k, persist: true}\n"))
    assert journal.kept[key_of("a")][0] == b"1"
    for key in "abc":
        host.get(f"in/{key}", 0)
    assert [journal.kept[key_of(key)][0] for key in "abc"] == [b"2", b"2", b"71"]


def test_what_json_cannot_hold_is_not_kept_and_the_value_stays() -> None:
    journal = Kept()
    host = FlowHost(
        read("subscribe: in\nsteps:\n  - state: {set: v, persist: true}\n  - publish: {topic: out}\n"), journal=journal
    )
    host.get("in", b"\xff")
    assert host.outcome.error.code == "not-json-able"
    assert host.outcome.published == []
    assert journal.kept == {}


def test_what_is_over_or_evicted_is_not_kept_either() -> None:
    journal = Kept()
    host = flow("increment: v, key: k, persist: true, max_keys: 2, ttl: 10s", journal=journal)
    for key in "abc":
        host.get(f"in/{key}", 0)
    assert journal.kept.keys() == {key_of("b"), key_of("c")}
    host.after(10)
    store = host.stores.open("flow", "v")
    assert store.get(key_of("b")) is MISSING
    assert journal.kept.keys() == {key_of("c")}


def kept_store(clock: VirtualClock, journal: Kept) -> Store:
    store = Store(clock)
    store.keep_in(journal)
    return store


def test_the_age_of_a_value_goes_on_while_nothing_runs() -> None:
    journal = Kept()
    clock = VirtualClock(1000.0)
    kept_store(clock, journal).set(b"k", 1, 60.0)
    later = VirtualClock(1059.0)
    store = kept_store(later, journal)
    assert (store.get(b"k"), store.get(b"k", 59.0), store.get(b"k", 59.5)) == (1, MISSING, 1)
    later.advance(1)
    assert store.get(b"k") is MISSING


def test_a_watch_that_was_set_back_while_nothing_ran_makes_no_value_younger_than_now() -> None:
    journal = Kept()
    kept_store(VirtualClock(5000.0), journal).set(b"k", 1, 60.0)
    clock = VirtualClock(1000.0)
    store = kept_store(clock, journal)
    assert store.get(b"k") == 1
    clock.advance(60)
    assert store.get(b"k") is MISSING


def test_more_kept_values_than_are_allowed_now_go_with_the_next_one() -> None:
    journal = Kept()
    clock = VirtualClock()
    store = kept_store(clock, journal)
    for key in b"abcde":
        clock.advance(1)
        store.set(bytes([key]), key)
    store = kept_store(clock, journal)
    store.claim("somebody", 2)
    assert len(store) == 5
    store.set(b"f", 1)
    assert list(store.memory) == [b"e", b"f"]
    assert set(journal.kept) == {b"e", b"f"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), VALUES, st.booleans()), max_size=30))
def test_a_kept_store_is_the_same_after_every_restart(changes: list[tuple[str, Any, bool]]) -> None:
    journal = Kept()
    clock = VirtualClock()
    store, plain = kept_store(clock, journal), Store(clock)
    for user in (store, plain):
        user.claim("us", 4)
    for key, value, is_restart in changes:
        clock.advance(1)
        for each in (store, plain):
            each.set(key_of(key), value)
        if is_restart:
            store = kept_store(clock, journal)
            store.claim("us", 4)
        assert [store.get(key_of(one)) for one in "abcdef"] == [plain.get(key_of(one)) for one in "abcdef"]
        assert list(store.memory) == list(plain.memory)


def test_keys_are_told_apart_by_their_kind() -> None:
    different = ["1", b"1", 1, True, [1], "[1]", None, "", 1.5, float("inf"), float("nan"), ["a"], ("t", b"x") and "t"]
    assert len({key_of(value) for value in different}) == len(different)
    assert key_of(2) == key_of(2.0)
    assert isinstance(key_of(2**100_000), bytes)
    with pytest.raises(StepError):
        key_of([b"x"])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("key: k", "missing-key", "`state` needs one of `get`, `set` and `increment`"),
        ("get: a, set: b", "missing-key", "`state` needs one of `get`, `set` and `increment`"),
        ("get: a, value: 1", "wrong-value", "`value` goes with `set`, not with `get`"),
        ("set: a, amount: 1", "wrong-value", "`amount` goes with `increment`, not with `set`"),
        ("set: a, default: 1", "wrong-value", "`default` goes with `get`, not with `set`"),
        ("increment: a, default: none", "wrong-value", "the `default` of what is counted up must be a number"),
        ("get: a-b", "bad-name", "`a-b` is no name: letters, digits and `_`, a letter first"),
        ("get: payload", "reserved-name", "`payload` has a meaning of its own in expressions"),
        ("get: a, as: site", "reserved-name", "`site` is a constant of `vars` and cannot be set"),
    ],
)
def test_options_that_do_not_go_together(options: str, code: str, message: str) -> None:
    found = refused(f"vars: {{site: x}}\nsubscribe: in/+k\nsteps:\n  - state: {{{options}}}\n  - publish: out\n")
    assert (found.code, found.message) == (code, message)


def test_the_value_is_unknown_where_it_was_not_looked_at() -> None:
    _, found = diagnose(
        "subscribe: in\nsteps:\n  - state: {get: v}\n    when: topic\n  - publish: {topic: out, payload: '${v}'}\n"
    )
    assert [one.code for one in found] == ["unknown-name"]


def test_what_is_counted_is_no_bytes_for_check() -> None:
    assert diagnose("subscribe: in\nsteps:\n  - state: {increment: v}\n  - filter: v == 3\n  - publish: out\n")[1] == []


def check_bound(keys: int) -> None:
    journal = Kept()
    host = flow("increment: v, key: k, max_keys: 100, persist: true", journal=journal)
    store = host.stores.open("flow", "v")
    for key in range(keys):
        host.get(f"in/{key}", 0)
        assert len(store) <= 100
        if key % 10_000 == 0:
            host.outcome.published.clear()
    assert len(journal.kept) == 100
    assert store.memory.evicted == keys - 100


def test_many_distinct_keys_stay_within_the_bound() -> None:
    check_bound(2000)


@pytest.mark.soak
def test_a_million_distinct_keys_stay_within_the_bound() -> None:
    check_bound(1_000_000)
