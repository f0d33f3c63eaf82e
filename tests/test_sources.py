"""Where the messages of a flow come from."""

import pytest

from flowrunner.sources import Retained, Subscribe
from flowrunner.topics import parse_filter


@pytest.mark.parametrize(
    ("retained", "live", "kept"), [("all", True, True), ("new", True, False), ("only", False, True)]
)
def test_a_subscription_takes_live_and_retained_messages_as_it_says(retained: Retained, live: bool, kept: bool) -> None:
    subscribe = Subscribe(parse_filter("a/#"), retained=retained)
    assert (subscribe.takes(retain=False), subscribe.takes(retain=True)) == (live, kept)
