from collections.abc import Sequence

import pytest

from flowrunner.run.asks import Ask, objection, plan
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Want
from flowrunner.sources import Subscribe
from tests.run.fakes import FakeProgram, subscribe


def wants(name: str, *sources: Subscribe) -> list[Want]:
    flow = LiveFlow(FakeProgram(name, *sources))
    return [Want(flow, entry, source) for entry, source in enumerate(sources)]


def flows_of(*groups: Sequence[Want]) -> frozenset[LiveFlow]:
    return frozenset(want.flow for group in groups for want in group)


def test_a_filter_is_asked_for_once_with_the_highest_qos() -> None:
    one, two = wants("one", subscribe("a", qos=1)), wants("two", subscribe("a", qos=2), subscribe("b"))
    fresh = flows_of(one, two)
    assert plan([*one, *two], {}, fresh) == [
        Ask("a", 2, False, fresh, True),
        Ask("b", 0, False, flows_of(two), True),
    ]


def held(mqtt: str, qos: int = 0, *, no_local: bool = False) -> dict[str, Ask]:
    return {mqtt: Ask(mqtt, qos, no_local, frozenset(), True)}


@pytest.mark.parametrize(
    ("source", "is_asked_again"),
    [
        (subscribe("a"), True),
        (subscribe("a", retained="only"), True),
        (subscribe("a", retained="new"), False),
        (subscribe("a", retained="new", qos=2), True),
        (subscribe("a", retained="new", qos=0), False),
        (subscribe("$share/g/a"), False),
    ],
)
def test_a_filter_that_is_held_is_asked_for_again_only_for_what_a_newcomer_needs(
    source: Subscribe, is_asked_again: bool
) -> None:
    old, new = wants("old", subscribe(source.filter.text, qos=1)), wants("new", source)
    asks = plan([*old, *new], held(source.filter.mqtt, 1), flows_of(new))
    assert bool(asks) == is_asked_again
    assert all(ask.newcomers == flows_of(new) and ask.qos >= 1 for ask in asks)


def test_nothing_is_asked_for_again_because_a_flow_went() -> None:
    assert plan(wants("old", subscribe("a")), held("a", 2), frozenset()) == []


def test_what_the_broker_kept_is_not_sent_where_nobody_wants_it() -> None:
    new = wants("new", subscribe("a", retained="new"))
    assert [ask.wants_retained for ask in plan(new, {}, flows_of(new))] == [False]


def test_no_local_holds_only_where_all_want_it() -> None:
    deaf, open_ = wants("deaf", subscribe("a", no_local=True)), wants("open", subscribe("a"))
    assert [ask.no_local for ask in plan(deaf, {}, flows_of(deaf))] == [True]
    assert [ask.no_local for ask in plan([*deaf, *open_], held("a", no_local=True), flows_of(open_))] == [False]


@pytest.mark.parametrize(
    ("source", "terms", "words"),
    [
        (subscribe("$share/g/a"), Terms(has_shared=False), "has no shared subscriptions"),
        (subscribe("a/+"), Terms(has_wildcards=False), "does not take wildcards"),
        (subscribe("a/b"), Terms(has_wildcards=False), ""),
        (subscribe("a", no_local=True), Terms(version=4), "needs MQTT 5"),
        (subscribe("a", no_local=True), Terms(), ""),
    ],
)
def test_what_a_broker_does_not_have_is_not_asked_for(source: Subscribe, terms: Terms, words: str) -> None:
    reason = objection(wants("flow", source)[0], terms, ())
    assert words in reason
    assert bool(reason) == bool(words)
