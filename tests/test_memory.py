"""What steps remember: keys, their bounds, and the times at which something is due."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.errors import StepError
from flowrunner.memory import Deadlines, Memory, as_key, has_passed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equal_values_are_one_key(one: object, other: object) -> None:
    def exact(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f"{key!r}:{exact(value[key])}" for key in sorted(value)) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(exact, value)) + "]"
        return repr(value)

    if exact(one) == exact(other):
        assert as_key(one) == as_key(other)
    elif type(one) is not type(other):
        is_numbers = isinstance(one, int | float) and isinstance(other, int | float)
        assert (as_key(one) == as_key(other)) <= (is_numbers and one == other)


def test_keys_that_look_alike_are_told_apart() -> None:
    alike = ["1", b"1", 1, True, [1], "[1]", None, "null", "", [], {}, float("nan"), "NaN", False, 0, "true"]
    assert len({as_key(value) for value in alike}) == len(alike)


def test_whole_numbers_and_their_floats_are_one_key() -> None:
    assert as_key(1) == as_key(1.0)
    assert as_key(0.0) == as_key(-0.0)


def test_nan_is_one_key() -> None:
    assert as_key(float("nan")) == as_key(-float("nan"))


def test_the_order_of_fields_does_not_make_another_key() -> None:
    assert as_key({"a": 1, "b": [2]}) == as_key({"b": [2], "a": 1})


@pytest.mark.parametrize("long", ["x" * 100_000, b"x" * 100_000, ["x"] * 100_000])
def test_a_long_key_is_remembered_by_its_hash(long: str | bytes | list[str]) -> None:
    key = as_key(long)
    assert len(repr(key)) < 100
    assert key == as_key(long[:])
    assert key != as_key(long[:-1])
    assert isinstance(hash(key), int)


def test_a_half_character_is_a_key_too() -> None:
    assert as_key("\ud800" * 1000) != as_key("\ud801" * 1000)


def test_bytes_inside_a_list_are_no_key() -> None:
    with pytest.raises(StepError, match="JSON holds no bytes"):
        as_key([b"x"])


def remembered(**options: float) -> tuple[Memory[str], VirtualClock, list[object]]:
    clock = VirtualClock()
    memory: Memory[str] = Memory(clock, **options)  # type: ignore[arg-type]
    forgotten: list[object] = []
    memory.on_forget = lambda key, _: forgotten.append(key)
    return memory, clock, forgotten


def test_the_oldest_goes_when_there_are_too_many() -> None:
    memory, _, forgotten = remembered(max_keys=2)
    for key in ("a", "b", "a", "c"):
        memory.set(key, key)
    assert list(memory) == ["a", "c"]
    assert forgotten == ["b"]
    assert memory.evicted == 1


def test_the_first_that_must_go_is_told_and_no_other() -> None:
    memory, _, _ = remembered(max_keys=1)
    told: list[int] = []
    memory.on_full = lambda: told.append(memory.evicted)
    for key in "abcdef":
        memory.set(key, key)
    assert told == [1]
    assert memory.evicted == 5


def test_a_bound_that_became_smaller_holds_from_the_next_value_on() -> None:
    memory, _, _ = remembered(max_keys=10)
    for key in range(10):
        memory.set(key, "")
    memory.max_keys = 3
    memory.set(99, "")
    assert list(memory) == [8, 9, 99]


def test_a_key_is_forgotten_exactly_when_its_time_is_over() -> None:
    memory, clock, _ = remembered(ttl=10.0)
    memory.set("a", "x")
    clock.advance(9.999)
    assert memory.get("a") == "x"
    clock.advance(0.001)
    assert memory.get("a") is None


def test_setting_a_key_starts_its_time_anew_and_reading_does_not() -> None:
    memory, clock, forgotten = remembered(ttl=10.0)
    memory.set("a", "1")
    clock.advance(6)
    memory.set("a", "2")
    clock.advance(6)
    assert memory.get("a") == "2"
    clock.advance(4)
    assert memory.get("a") is None
    assert forgotten == ["a"]


def test_what_is_too_old_cannot_be_taken_out_either() -> None:
    memory, clock, _ = remembered(ttl=10.0)
    memory.set("a", "1")
    clock.advance(10)
    assert memory.pop("a") is None


def test_old_keys_make_room_when_a_new_one_comes() -> None:
    memory, clock, forgotten = remembered(ttl=10.0)
    for key in "abc":
        memory.set(key, key)
        clock.advance(4)
    assert list(memory) == ["a", "b", "c"]
    memory.set("d", "d")
    assert list(memory) == ["b", "c", "d"]
    assert forgotten == ["a"]
    assert memory.evicted == 0


def test_a_million_keys_stay_within_the_bound() -> None:
    memory, _, _ = remembered(max_keys=1000)
    memory.on_forget = lambda *_: None
    most = 0
    for key in range(1_000_000):
        memory.set(key, "")
        most = max(most, len(memory))
    assert most == 1000
    assert memory.evicted == 999_000
    assert list(memory) == list(range(999_000, 1_000_000))


def ringing() -> tuple[Deadlines, VirtualClock, list[tuple[float, object]]]:
    clock = VirtualClock()
    rung: list[tuple[float, object]] = []
    return Deadlines(clock, lambda key: rung.append((clock.time(), key))), clock, rung


def test_deadlines_ring_in_the_order_of_their_times_and_each_at_its_time() -> None:
    deadlines, clock, rung = ringing()
    deadlines.start()
    for key, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0)):
        deadlines.set(key, when)
    clock.advance(10)
    assert rung == [(1.0, "a"), (1.0, "a2"), (2.0, "b"), (3.0, "c")]


def test_a_moved_deadline_rings_once_at_the_last_time() -> None:
    deadlines, clock, rung = ringing()
    deadlines.start()
    for when in (5.0, 2.0, 9.0, 2.0, 7.0):
        deadlines.set("a", when)
    clock.advance(20)
    assert rung == [(7.0, "a")]


def test_a_discarded_deadline_does_not_ring() -> None:
    deadlines, clock, rung = ringing()
    deadlines.start()
    deadlines.set("a", 1.0)
    deadlines.discard("a")
    deadlines.discard("never there")
    clock.advance(5)
    assert rung == []


def test_nothing_rings_before_the_start_and_after_the_end() -> None:
    deadlines, clock, rung = ringing()
    deadlines.set("a", 1.0)
    clock.advance(5)
    deadlines.ring_due()
    assert rung == []
    deadlines.start()
    clock.advance(0)
    assert rung == [(5.0, "a")]
    deadlines.set("b", 6.0)
    deadlines.stop()
    clock.advance(5)
    deadlines.ring_due()
    assert [key for _, key in rung] == ["a"]


def test_what_rings_may_stop_the_rest() -> None:
    clock = VirtualClock()
    rung: list[object] = []

    def ring(key: object) -> None:
        rung.append(key)
        deadlines.stop()

    deadlines = Deadlines(clock, ring)
    deadlines.start()
    for key in "abc":
        deadlines.set(key, 1.0)
    clock.advance(2)
    assert rung == ["a"]


def test_a_deadline_may_be_set_while_it_rings() -> None:
    clock = VirtualClock()
    rung: list[float] = []

    def ring(key: object) -> None:
        rung.append(clock.time())
        deadlines.set(key, clock.time() + 10)

    deadlines = Deadlines(clock, ring)
    deadlines.start()
    deadlines.set("a", 10.0)
    clock.advance(35)
    assert rung == [10.0, 20.0, 30.0]


def test_a_deadline_that_is_moved_for_ever_does_not_fill_the_memory() -> None:
    deadlines, clock, rung = ringing()
    deadlines.start()
    for when in range(1, 100_000):
        deadlines.set("a", float(when))
    assert len(deadlines.heap) < 200
    clock.advance(200_000)
    assert rung == [(99_999.0, "a")]


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 50))), max_size=40), st.randoms())
def test_deadlines_are_what_a_naive_list_of_times_is(
    changes: list[tuple[int, int | None]], chance: random.Random
) -> None:
    deadlines, clock, rung = ringing()
    deadlines.start()
    expected: dict[int, float] = {}
    heard: list[tuple[float, int]] = []
    for key, when in changes:
        if when is None:
            deadlines.discard(key)
            expected.pop(key, None)
        else:
            deadlines.set(key, float(when))
            expected[key] = float(when)
        step = chance.choice([0, 0, 1, 7])
        now = clock.time() + step
        due = sorted((max(when, clock.time()), key) for key, when in expected.items() if when <= now)
        clock.advance(step)
        heard += due
        for _, gone in due:
            del expected[gone]
    assert sorted(rung) == sorted(heard)


def test_decimal_fractions_meet_their_times_exactly() -> None:
    assert has_passed(0.2, 0.1, 0.3)
    assert has_passed(1.0, 0.1, 1.1)
    assert not has_passed(1.0, 0.1, 1.0999)


def test_ten_steps_of_100_ms_are_a_second() -> None:
    clock = VirtualClock()
    rung: list[float] = []
    clock.call_at(1.0, lambda: rung.append(clock.time()))
    for _ in range(10):
        clock.advance(0.1)
    assert clock.time() == 1.0
    assert rung == [1.0]


def test_the_watch_on_the_wall_can_jump_while_no_time_passes() -> None:
    clock = VirtualClock()
    clock.jump(3600)
    assert (clock.now() - VirtualClock.START, clock.time()) == (3600, 0)
    clock.jump(-7200)
    clock.advance(60)
    assert (clock.now() - VirtualClock.START, clock.time()) == (-3540, 60)
