"""What the tests of steps say of a memory in the process holds of one in Redis, too: they are run once more."""

from collections.abc import Iterator
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from flowrunner.clock import VirtualClock
from flowrunner.remote import holding_worker
from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.beside import shared_loop
from tests.flow_host import FlowHost
from tests.redis_server import RedisServer, common_redis
from tests.steps import test_changed, test_dedupe, test_state, test_throttle, test_timeout, test_window

__all__ = ["common_redis"]

pytestmark = pytest.mark.redis

_numbers = count(1)

#: What is not the same, each with its reason.
_STORE = "it looks into the store of the process"
_JOURNAL = "it looks into the journal, and values in Redis need none"
_NAMES = "the name of what is remembered says that it begins anew, not the host: see `test_runners`"
LEFT_OUT: dict[str, str] = {
    "state: test_of_several_bounds_for_one_name_the_largest_counts": _STORE,
    "state: test_what_is_shared_is_not_the_flow_s_own": _STORE,
    "state: test_many_distinct_keys_stay_within_the_bound": _STORE,
    "state: test_a_million_distinct_keys_stay_within_the_bound": _STORE,
    "state: test_what_is_kept_is_there_after_a_restart": _JOURNAL,
    "state: test_keeping_may_begin_with_an_edit": _JOURNAL,
    "state: test_what_is_over_or_evicted_is_not_kept_either": _JOURNAL,
    "throttle: test_other_messages_of_too_many_are_another_step": _NAMES,
    "window: test_another_kind_of_window_begins_anew": _NAMES,
    "window: test_the_wall_clock_aligns_and_no_jump_of_it_cuts_or_stretches_a_window": "Redis has a wall of its own",
}


@pytest.fixture(scope="module", autouse=True)
def remote(common_redis: RedisServer) -> Iterator[None]:
    """Have every flow of this module remember in Redis, each under a name of its own."""
    made: list[RedisState] = []

    def make(clock: VirtualClock) -> RedisState:
        now = lambda: VirtualClock.START + clock.time()  # noqa: E731 - what a watch on this wall says moves nobody else's
        settings = common_redis.settings
        made.append(RedisState(settings, f"same-{next(_numbers)}", Report(lambda _: None), now=now))
        return made[-1]

    FlowHost.remote = make
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding_worker, "LOOK", 600.0)  # nobody else leaves anything behind, and virtual hours pass
        yield
    FlowHost.remote = None
    for one in made:
        shared_loop().run_until_complete(one.aclose())


def _all_of(*modules: ModuleType) -> Iterator[tuple[str, Any]]:
    for module in modules:
        step = module.__name__.rpartition("test_")[2]
        for name, value in vars(module).items():
            if name.startswith("test_") and callable(value) and f"{step}: {name}" not in LEFT_OUT:
                yield f"test_{step}_{name.removeprefix('test_')}", value


globals().update(_all_of(test_changed, test_dedupe, test_state, test_throttle, test_timeout, test_window))
