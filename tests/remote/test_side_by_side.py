"""A memory in the process and one in Redis, side by side: whatever comes, the same passes."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from flowrunner.clock import VirtualClock
from flowrunner.run.redis_state import RedisState
from flowrunner.run.report import Report
from tests.beside import shared_loop
from tests.flow_host import FlowHost, read
from tests.redis_server import RedisServer, common_redis

__all__ = ["common_redis"]

pytestmark = pytest.mark.redis

_numbers = count(1)
_servers: list[RedisServer] = []

STEPS = {
    "dedupe": "dedupe: {key: payload.v, within: 5s, by: payload.k, max_keys: 3}",
    "dedupe computed": "dedupe: {key: payload.v, within: '${payload.w}', ttl: 30s, max_keys: 4}",
    "changed": "changed: {value: payload.v, by: payload.k, max_keys: 2}",
    "changed by much": "changed: {value: payload.v, by: payload.k, deadband: 1.5, max_age: 4s, ttl: 9s}",
    "throttle": "throttle: {rate: 2/s, by: payload.k, max_keys: 2}",
    "throttle last": "throttle: {rate: 2s, by: payload.k, keep: last}",
    "window": "window: {every: 3s, last: 7s, by: payload.k, max_keys: 2}",
    "gap": "window: {gap: 2s, by: payload.k, max_items: 3, ttl: 20s}",
    "timeout": "timeout: {after: 3s, payload: {v: -1}, by: payload.k, repeat: true, ttl: 8s}",
    "increment": "state: {increment: n, key: payload.k, amount: '${payload.v if payload.v is not none else 1}', ttl: 4s}",
}
VALUES = st.sampled_from([0, 1, 1.0, 2, 2.5, -1, 10**6, "a", "", None, True, [1], {"a": 1}])
WAITS = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0])


@pytest.fixture(scope="module", autouse=True)
def server(common_redis: RedisServer) -> Iterator[None]:
    _servers.append(common_redis)
    yield
    _servers.clear()


def by_key(host: FlowHost) -> dict[str, list[Any]]:
    """What came out, for each key in its order: nobody says in which order the keys of one instant go."""
    found: dict[str, list[Any]] = {}
    for _, value in host.outcome.sent:
        first = value[0] if isinstance(value, list) else value
        found.setdefault(first.get("k", ""), []).append(value)
    return found


class Pair(RuleBasedStateMachine):
    """One flow twice."""

    step = ""

    @initialize()
    def begin(self) -> None:
        text = STEPS[self.step].replace("none", "None")
        flow = read(f"subscribe: in\nsteps:\n  - json\n  - {text}\n  - publish: out\n")
        self.here = FlowHost(flow)
        self.made: RedisState | None = None
        FlowHost.remote = self.remote
        try:
            self.there = FlowHost(flow)
        finally:
            FlowHost.remote = None

    def remote(self, clock: VirtualClock) -> RedisState:
        now = lambda: VirtualClock.START + clock.time()  # noqa: E731
        self.made = RedisState(_servers[0].settings, f"pair-{next(_numbers)}", Report(lambda _: None), now=now)
        return self.made

    @rule(key=st.sampled_from("abc"), value=VALUES, within=st.sampled_from(["1s", "4s"]))
    def message(self, key: str, value: Any, within: str) -> None:
        for host in (self.here, self.there):
            host.get("in", {"k": key, "v": value, "w": within})

    @rule(seconds=WAITS)
    def wait(self, seconds: float) -> None:
        for host in (self.here, self.there):
            host.after(seconds)

    @invariant()
    def the_same_passed(self) -> None:
        if hasattr(self, "there"):
            assert by_key(self.there) == by_key(self.here)
            assert len(self.there.outcome.errors) == len(self.here.outcome.errors)

    def teardown(self) -> None:
        made: RedisState | None = getattr(self, "made", None)
        if made is not None:
            shared_loop().run_until_complete(made.aclose())


@pytest.mark.parametrize("step", STEPS)
def test_the_same_passes(step: str) -> None:
    machine = type("Machine", (Pair,), {"step": step})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
