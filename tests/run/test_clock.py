import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.clock import VirtualClock
from flowrunner.run.backoff import Backoff
from flowrunner.run.clock import LoopClock
from flowrunner.run.ticks import Ticks
from flowrunner.sources import Every


def ticked(source: Every, *advances: float, chance: float = 0.0) -> list[tuple[float, int]]:
    """Times and numbers of the ticks while a virtual clock advances."""
    clock = VirtualClock()
    found: list[tuple[float, int]] = []
    Ticks(source, clock, lambda number: found.append((clock.time(), number)), chance=lambda: chance)
    for seconds in advances:
        clock.advance(seconds)
    return found


def test_the_virtual_clock_starts_in_2000_and_moves_when_told() -> None:
    clock = VirtualClock()
    assert clock.now() == 946_684_800.0
    clock.advance(1.5)
    assert clock.now() == 946_684_801.5


def test_calls_are_made_in_order_and_each_at_its_time() -> None:
    clock = VirtualClock()
    made: list[tuple[str, float]] = []
    clock.call_at(2, lambda: made.append(("two", clock.time())))
    clock.call_at(1, lambda: made.append(("one", clock.time())))
    clock.call_at(1, lambda: clock.call_at(1.5, lambda: made.append(("inner", clock.time()))))
    clock.call_at(5, lambda: made.append(("late", clock.time())))
    clock.call_at(1.2, lambda: made.append(("never", clock.time()))).cancel()
    clock.advance(3)
    assert made == [("one", 1.0), ("inner", 1.5), ("two", 2.0)]


async def test_the_clock_of_the_loop_calls_back() -> None:
    clock, called = LoopClock(), asyncio.Event()
    clock.call_at(clock.time(), called.set)
    async with asyncio.timeout(5):
        await called.wait()


def test_ticks_come_after_each_interval() -> None:
    assert ticked(Every(2.0), 6.5) == [(2.0, 1), (4.0, 2), (6.0, 3)]


def test_the_first_tick_may_come_at_once() -> None:
    assert ticked(Every(2.0, immediately=True), 0, 4.5) == [(0.0, 1), (2.0, 2), (4.0, 3)]


def test_ticks_end_with_the_count() -> None:
    assert ticked(Every(1.0, count=2), 10) == [(1.0, 1), (2.0, 2)]


def test_jitter_delays_single_ticks_and_does_not_add_up() -> None:
    assert ticked(Every(10.0, jitter=4.0), 35, chance=0.5) == [(12.0, 1), (22.0, 2), (32.0, 3)]


class LateClock(VirtualClock):
    """A clock whose calls come late, because the program is busy until `busy`."""

    busy = 0.0

    def time(self) -> float:
        return max(super().time(), self.busy)


def test_a_flow_that_is_too_slow_misses_ticks_and_keeps_the_beat() -> None:
    clock = LateClock()
    found: list[float] = []

    def work(number: int) -> None:
        found.append(clock.time())
        if number == 1:
            clock.busy = 4.7

    Ticks(Every(1.0), clock, work)
    clock.advance(6)
    assert found == [1.0, 4.7, 5.0, 6.0]


def test_no_tick_comes_after_the_end() -> None:
    clock = VirtualClock()
    found: list[int] = []
    ticks = Ticks(Every(1.0), clock, found.append)
    clock.advance(1)
    ticks.stop()
    clock.advance(5)
    assert found == [1]


@given(st.floats(0.1, 1e4), st.floats(0, 100), st.floats(0, 1), st.lists(st.floats(0, 1e5), max_size=5))
def test_numbers_count_and_times_never_go_back(
    interval: float, jitter: float, chance: float, advances: list[float]
) -> None:
    found = ticked(Every(interval, jitter=jitter, count=50), *advances, chance=chance)
    assert [number for _, number in found] == list(range(1, len(found) + 1))
    assert [time for time, _ in found] == sorted(time for time, _ in found)


def test_waits_double_up_to_the_cap_and_begin_anew() -> None:
    backoff = Backoff(first=1, most=5, chance=lambda: 0)
    assert [backoff.wait() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.wait() == 1


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_chance_shortens_a_wait_by_up_to_a_half(chance: float) -> None:
    assert 4 <= Backoff(first=8, most=8, chance=lambda: chance).wait() <= 8
