"""Topics that are near a filter which hears nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.topics import matches, parse_filter
from flowrunner.topics.near import MOST_FILTERS, near_filters, nearest, nearness


@pytest.mark.parametrize(
    ("wanted", "topic"),
    [
        ("sensor/+/temp", "sensors/kitchen/temp"),
        ("sensors/+/temperatur", "sensors/attic/temperature"),
        ("Sensors/+/temp", "sensors/kitchen/temp"),
        ("sensors/+/temp", "/sensors/kitchen/temp"),
        ("sensors/+/temp", "home/sensors/kitchen/temp"),
        ("sensors/+/temp/", "sensors/kitchen/temp"),
        ("sensors/+/temp", "sensors/kitchen/temp/state"),
        ("zigbee/#", "zigbee2mqtt/lamp/set"),
        ("a/b/c", "a/c"),
    ],
)
def test_what_is_near_is_heard_and_found(wanted: str, topic: str) -> None:
    parsed = parse_filter(wanted, named=True)
    assert nearness(parsed, topic) > 0
    assert any(matches(parse_filter(near), topic) for near in near_filters(parsed))
    assert nearest(parsed, [topic, "something/else/altogether/here"]) == [topic]


@pytest.mark.parametrize(
    ("wanted", "topic"),
    [
        ("sensors/+/temp", "sensors/kitchen/temp"),  # it is heard
        ("sensors/+/temp", "sensors/kitchen/humidity"),
        ("sensors/+/temp", "lights/kitchen/state"),
        ("#", "a"),
        ("+", "a/b"),
        ("a/b", "x/y/z/a/b"),
    ],
)
def test_what_is_not_near(wanted: str, topic: str) -> None:
    assert nearness(parse_filter(wanted), topic) == 0


def test_the_nearest_comes_first() -> None:
    found = nearest(parse_filter("sensor/+/temp"), ["sensors/a/temp", "Sensor/a/temp", "tensors/a/temp", "x"])
    assert found == ["Sensor/a/temp", "sensors/a/temp", "tensors/a/temp"]


levels = st.sampled_from(["a", "b", "+", "", "ab", "abc"])


@given(st.lists(levels, min_size=1, max_size=30), st.booleans(), st.lists(levels, min_size=1, max_size=6))
def test_any_filter_has_some_near_ones_that_can_be_sent(parts: list[str], has_rest: bool, topic: list[str]) -> None:
    text = "/".join([*parts, "#"] if has_rest else parts)
    if not text:
        return
    parsed = parse_filter(text)
    near = near_filters(parsed)
    assert len(near) <= MOST_FILTERS
    for one in near:
        parse_filter(one)
    assert 0 <= nearness(parsed, "/".join(topic).replace("+", "p")) <= 1
