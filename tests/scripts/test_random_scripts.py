"""Ejected scripts of random flows publish what the flows publish, whatever arrives; what is refused is refused at once."""

from random import Random
from typing import Any

import orjson
import pytest

from flowrunner.scripts import CannotEject
from tests.compile.random_flows import Drawing, random_payload, yaml_of
from tests.flow_host import Published, diagnose, message, run
from tests.scripts.ejected import Ejected

SEEDS = 60


def without_handlers(part: Any, *, kept: tuple[str, ...]) -> Any:
    """A flow without the `on_error` that most scripts refuse."""
    if isinstance(part, dict):
        left = {key: inner for key, inner in part.items() if key != "on_error" or inner in kept}
        return {key: without_handlers(inner, kept=kept) for key, inner in left.items()}
    return [without_handlers(inner, kept=kept) for inner in part] if isinstance(part, list) else part


def shown(published: list[Published]) -> list[tuple[str, Any]]:
    """Topics, and payloads as JSON: how many digits a number has is no matter."""
    return [(one.topic, repr(one.value)) for one in published]


@pytest.mark.parametrize("block", range(4))
def test_random_scripts_do_what_their_flows_do(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = published = 0
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        chance = Random(seed)
        drawn, payload = Drawing(chance).flow(is_parsed=True), orjson.dumps(random_payload(chance))
        flow = without_handlers(drawn, kept=("continue", "drop") if seed % 2 else ())
        found, _ = diagnose(yaml_of(flow, {"subscribe": "in/+room"}))
        if not found:  # a random step may take bytes for a map
            continue
        try:
            script = Ejected(found[0], monkeypatch)
        except CannotEject:
            continue
        given = message("in/attic", payload)
        script.get(given)
        expected = shown(run(found[0], given).published)
        assert shown(script.client.published) == expected, f"seed {seed}\n{yaml_of(flow, {})}\n{script.text}"
        compared += 1
        published += len(expected)
    assert compared > SEEDS / 3
    assert published > 3
