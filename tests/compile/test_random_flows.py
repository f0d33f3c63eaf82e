"""A compiled flow does what the plainest possible interpreter does, whatever the flow and the message."""

from copy import deepcopy
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, has_errors, render
from flowrunner.read.flow import Flow
from flowrunner.step import walk
from tests.compile.random_flows import Drawing, random_payload, yaml_of
from tests.compile.reference import Reference
from tests.compile.smaller import smallest
from tests.flow_host import FlowHost, diagnose

TOPIC = "in/attic"
seeds = st.integers(0, 2**64 - 1)
without_shrinking = settings(max_examples=120, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def failed_step(flow: Flow, error: Diagnostic) -> str:
    """The id of the innermost step that holds the place of an error."""
    holding = [step for step in walk([*flow.steps, *flow.on_error.steps]) if step.at.span.holds(error.span)]
    return min(holding, key=lambda step: len(step.at.span.text)).at.id


def differences(flow: dict[str, Any], source: dict[str, Any], arriving: Any, names: dict[str, Any]) -> dict[str, Any]:
    """What the compiled flow does otherwise than the reference: (compiled, reference)."""
    found, diagnostics = diagnose(yaml_of(flow, source))
    if has_errors(diagnostics):  # of random steps some take bytes for a map; nothing else may be wrong with them
        codes = {diagnostic.code for diagnostic in diagnostics if diagnostic.severity == "error"}
        return {"refused": render(diagnostics)} if codes - {"bytes-payload", "bytes-field"} else {}
    reference = Reference(flow)
    reference.run({"payload": deepcopy(arriving), "topic": TOPIC, **deepcopy(names)})
    host = FlowHost(found[0])
    host.enter(TOPIC, arriving)
    outcome = host.outcome
    pairs = {
        "published": ([(message.topic, message.value) for message in outcome.published], reference.published),
        "failed": ([failed_step(found[0], error) for error in outcome.errors], reference.failed),
        "handled": (len(outcome.handled), len(reference.handled)),
        "stopped": (outcome.stopped, reference.stopped),
        "shared": (found[0].constants, names),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def explain(flow: dict[str, Any], source: dict[str, Any], arriving: Any, names: dict[str, Any]) -> str:
    def fails(candidate: dict[str, Any]) -> bool:
        try:
            return bool(differences(candidate, source, deepcopy(arriving), names))
        except KeyError:  # the smaller flow lacks a name
            return False

    least = smallest(flow, fails)
    return f"{yaml_of(least, source)}\n{arriving!r}\n{differences(least, source, deepcopy(arriving), names)}"


@without_shrinking
@given(seeds)
def test_compiled_flow_does_what_the_reference_does(seed: int) -> None:
    chance = Random(seed)
    flow, data = Drawing(chance).flow(is_parsed=True), orjson.dumps(random_payload(chance))
    arguments: Any = (flow, {"subscribe": "in/+room"}, data, {})
    if differences(*arguments):
        pytest.fail(explain(*arguments))


@without_shrinking
@given(seeds)
def test_no_step_changes_what_another_branch_still_sees(seed: int) -> None:
    """The value of a tick and those of constants are shared by all runs: whoever changed one in place is seen here."""
    chance = Random(seed)
    flow, payload, shared = Drawing(chance).flow(is_parsed=False), random_payload(chance), random_payload(chance)
    before = deepcopy(payload)
    source = {"at_start": True, "vars": {"shared": deepcopy(shared)}}
    arguments: Any = (flow, source, payload, {"shared": shared})
    if differences(*arguments):
        pytest.fail(explain(flow, source, before, {"shared": shared}))
    assert payload == before


def test_reference_and_random_flows_do_something() -> None:
    """Else the comparison would prove nothing."""
    published = failed = handled = 0
    for seed in range(300):
        chance = Random(seed)
        reference = Reference(Drawing(chance).flow(is_parsed=True))
        reference.run({"payload": orjson.dumps(random_payload(chance)), "topic": TOPIC})
        published += len(reference.published)
        failed += len(reference.failed)
        handled += len(reference.handled)
    assert min(published, failed, handled) > 200
