"""The page on scale shows what the code computes, and the formulas behind it hold when queues are played."""

from itertools import pairwise
from statistics import fmean

import pytest

from tests.benchmarks import queueing, scale

COSTS = scale.measured()
ANEW = "run `python -m tests.benchmarks.scale --write`"


def test_the_page_shows_what_is_computed() -> None:
    page = scale.PAGE.read_text(encoding="utf-8")
    assert page == scale.written(page, COSTS), ANEW
    assert f"{COSTS.waiting:.0f} bytes each with mosquitto" in page


def test_the_plot_shows_what_is_computed() -> None:
    assert scale.PLOT.read_text(encoding="utf-8") == scale.draw([scale.need(size, COSTS) for size in scale.SIZES]), ANEW


@pytest.mark.parametrize("devices", scale.SIZES)
def test_no_runner_is_busier_than_was_planned(devices: int) -> None:
    need = scale.need(devices, COSTS)
    assert need.busy <= scale.LOAD
    assert need.runners == 1 or need.alone > scale.LOAD  # one less would be too few
    assert need.mosquitto <= scale.LOAD or need.brokers >= scale.FEWEST_BROKERS


def test_more_devices_need_no_less() -> None:
    needs = [scale.need(size, COSTS) for size in scale.SIZES]
    for less, more in pairwise(needs):
        for name in ("runners", "memory", "mosquitto", "brokers", "network", "redis"):
            assert getattr(less, name) <= getattr(more, name), name


@pytest.mark.parametrize(("members", "load"), [(3, 0.5), (3, 0.9), (25, 0.5)])
def test_messages_wait_as_long_as_the_formula_says(members: int, load: float) -> None:
    work = 0.001
    rate = load / work
    played = queueing.play_waiting(rate * members, work, members, messages=300_000, seed=7)
    assert played == pytest.approx(queueing.mean_wait(rate, work), rel=0.06)


@pytest.mark.parametrize(("load", "away"), [(0.5, 2.0), (0.8, 1.0)])
def test_a_member_catches_up_as_fast_as_the_formula_says(load: float, away: float) -> None:
    work = 0.001  # seconds: few messages, for the same proportions
    played = fmean(queueing.play_absence(load / work, work, away, seed=seed) for seed in range(10))
    assert played == pytest.approx(queueing.time_to_catch_up(load / work, work, away), rel=0.06)


@pytest.mark.parametrize(("topics", "members"), [(100_000, 25), (10_000, 3)])
def test_a_hash_of_the_topic_spreads_as_evenly_as_the_formula_says(topics: int, members: int) -> None:
    expected = queueing.excess_by_hash(topics, members)
    played = [queueing.play_hash(topics, members, seed) for seed in range(5)]
    assert sum(played) / len(played) < expected * 1.1
    assert max(played) > expected / 4
    if (topics, members) == (100_000, 25):
        assert f"{expected:.0%}" == "4%"  # as the page says
