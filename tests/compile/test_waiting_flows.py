"""A step that waits changes when a flow goes on, and nothing else: a flow with `wait` does what it does with `map`."""

import json
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import has_errors
from tests.compile.random_flows import Drawing, random_payload, yaml_of
from tests.compile.smaller import smallest
from tests.flow_host import FlowHost
from tests.waiting_step import diagnose_waiting

seeds = st.integers(0, 2**64 - 1)
without_shrinking = settings(max_examples=120, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def renamed(value: Any, key: str) -> Any:
    """The flow with every `map` under another key; it stands in steps only, and is drawn more often than `encode`."""
    if isinstance(value, dict):
        return {key if name == "map" else name: renamed(inner, key) for name, inner in value.items()}
    return [renamed(item, key) for item in value] if isinstance(value, list) else value


def with_more_maps(flow: dict[str, Any]) -> dict[str, Any]:
    """The flow with a `map` for every `encode`."""
    more: dict[str, Any] = json.loads(
        json.dumps(flow).replace('"encode": "json"', '"map": ["field", ["name", "payload"], "a"]')
    )
    return more


def seen(flow: Any, payload: bytes) -> tuple[Any, ...] | None:
    """What a flow does with a message; None for one that is refused.

    The copies that a `fork` or `split` makes do not wait for each other, so what comes of them is sorted.
    """
    found, diagnostics = diagnose_waiting(json.dumps(flow, indent=1))
    if has_errors(diagnostics):
        return None
    host = FlowHost(found[0])
    host.enter("in/attic", payload)
    assert not (host.waits and host.waits.is_busy)
    outcome = host.outcome
    errors = sorted((error.code, error.message, error.helps) for error in outcome.errors)
    handled = sorted(type(error).__name__ for error in outcome.handled)
    return sorted(outcome.sent, key=repr), errors, handled, sorted(outcome.stopped)


def differences(flow: dict[str, Any], payload: bytes) -> dict[str, tuple[Any, Any]]:
    """What the flow does with `map`, and with another step in its place where that is not the same."""
    text = json.loads(yaml_of(with_more_maps(flow), {"subscribe": "in/+room"}))
    plain = seen(text, payload)
    waiting = {key: seen(renamed(text, key), payload) for key in ("wait", "waitlate")}
    return {key: (plain, found) for key, found in waiting.items() if found != plain}


@without_shrinking
@given(seeds)
def test_a_flow_that_waits_does_what_one_does_that_does_not(seed: int) -> None:
    chance = Random(seed)
    flow, payload = Drawing(chance).flow(is_parsed=True), orjson.dumps(random_payload(chance))
    if differences(flow, payload):
        least = smallest(flow, lambda candidate: bool(differences(candidate, payload)))
        text = yaml_of(with_more_maps(least), {"subscribe": "in/+room"})
        pytest.fail(f"{text}\n{payload!r}\n{differences(least, payload)}")


def test_random_flows_wait_often_enough() -> None:
    waiting = 0
    for seed in range(100):
        text = json.dumps(with_more_maps(Drawing(Random(seed)).flow(is_parsed=True)))
        waiting += '"map"' in text
    assert waiting > 50
