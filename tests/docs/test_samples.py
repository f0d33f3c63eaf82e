"""The flows in `flows/`: they run as they are, together, and do what their tests say."""

from pathlib import Path

import pytest

from flowrunner.diagnostics import render
from flowrunner.expressions import Template
from flowrunner.read.cases import After
from flowrunner.read.flow import Flow
from flowrunner.read.load import load
from flowrunner.read.loops import may_reach
from flowrunner.sources import Every, Subscribe
from flowrunner.step import walk
from tests.docs.markdown import ROOT
from tests.flow_host import FlowHost, meets, run_cases

LOADED = load([ROOT / "flows"], environment={})
FLOWS = {flow.name: flow for flow in LOADED.flows}


def test_the_samples_have_no_mistakes() -> None:
    # The first lesson's topic begins with `/`, and that is pointed out on purpose.
    assert [found.code for found in LOADED.diagnostics] == ["odd-topic-filter"], render(LOADED.diagnostics)


def test_there_are_eight_files_and_each_flow_is_described_and_tested() -> None:
    assert len(LOADED.files) == 8
    for flow in FLOWS.values():
        assert flow.description
        assert not flow.description.endswith(".")
        assert flow.tests
        assert flow.is_enabled


@pytest.mark.parametrize("name", [name for name, flow in FLOWS.items() if not isinstance(flow.sources[0], Every)])
def test_a_sample_does_what_its_tests_say(name: str) -> None:
    run_cases(FLOWS[name])


def test_the_rooms_report_with_each_tick() -> None:
    flow = FLOWS["rooms"]
    host = FlowHost(flow)
    (every,), (case,) = flow.sources, flow.tests
    assert isinstance(every, Every)
    assert [given.seconds for given in case.given if isinstance(given, After)] == [every.interval]
    host.enter("every/rooms", 1)
    assert len(host.outcome.published) == len(case.expect)
    for sent, expected in zip(host.outcome.published, case.expect, strict=True):
        assert meets(sent, expected)
        assert 16 <= sent.value["temperature"] <= 32
        assert sent.value["device"].startswith("sim-")


def test_the_rooms_feed_the_others() -> None:
    host = FlowHost(FLOWS["rooms"])
    host.enter("every/rooms", 1)
    fed = {name for name in FLOWS for sent in host.outcome.published if hears(FLOWS[name], sent.topic)}
    assert {"overheat", "to_fahrenheit", "comfort"} <= fed


def hears(flow: Flow, topic: str) -> bool:
    heard = FlowHost(flow)
    for entry, source in enumerate(flow.sources):
        if isinstance(source, Subscribe) and may_reach(_constant(topic), source.filter):
            heard.enter(topic, b'{"temperature": 31, "humidity": 40}', entry=entry)
            return True
    return False


def _constant(topic: str) -> Template:
    from flowrunner.expressions import parse_template
    from flowrunner.text import Passage, Source

    return parse_template(Passage.verbatim(Source("topic", topic).span(0, len(topic))))


def topics_of(flow: Flow) -> list[Template]:
    """What a flow publishes to, also when a step fails."""
    steps = [*walk(flow.steps), *walk(flow.on_error.steps)]
    return [topic for step in steps if isinstance(topic := getattr(step, "topic", None), Template)]


def test_no_message_can_come_back_to_a_flow_through_others() -> None:
    after = {
        name: {
            other
            for other, hearer in FLOWS.items()
            for source in hearer.sources
            for topic in topics_of(flow)
            if isinstance(source, Subscribe) and may_reach(topic, source.filter)
        }
        for name, flow in FLOWS.items()
    }
    for name in FLOWS:
        reached: set[str] = set()
        waiting = set(after[name])
        while waiting:
            one = waiting.pop()
            if one not in reached:
                reached.add(one)
                waiting |= after[one]
        assert name not in reached


def test_the_first_lesson_answers_on_another_topic() -> None:
    text = Path(ROOT, "README.md").read_text(encoding="utf-8")
    assert "/random/topic" in text
    assert hears(FLOWS["greeting"], "/random/topic")
