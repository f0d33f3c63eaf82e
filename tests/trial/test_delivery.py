"""A test delivers as a runner does: to the same flow, through the same subscription."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.read.flow import read_flows
from flowrunner.read.settings import Settings
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Table, Want
from flowrunner.sources import Subscribe
from flowrunner.steps import all_steps
from flowrunner.text import Source
from flowrunner.trial.beside import Beside
from flowrunner.trial.host import TrialHost, hears

STEPS = all_steps()
levels = st.sampled_from(["a", "b", "+", ""])
filters = st.lists(levels, min_size=1, max_size=3).map("/".join).filter(bool) | st.sampled_from(["#", "a/#", "+/#"])
subscriptions = st.lists(
    st.tuples(filters, st.sampled_from(["all", "new", "only"]), st.integers(0, 2)), min_size=1, max_size=4
)
topics = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=3).map("/".join).filter(bool)


@given(subscriptions=subscriptions, topic=topics, retain=st.booleans(), qos=st.integers(0, 2))
def test_the_same_subscription_takes_the_message(
    subscriptions: list[tuple[str, Any, int]], topic: str, retain: bool, qos: int
) -> None:
    wanted = [f"{{topic: {filter!r}, retained: {kept}, qos: {most}}}" for filter, kept, most in subscriptions]
    text = f"subscribe: [{', '.join(wanted)}]\nsteps: []\n"
    (flow,), _ = read_flows(Source("flow.yaml", text), name="flow", folder=Path(), settings=Settings(), steps=STEPS)
    program = compile_flow(flow)
    live = LiveFlow(program)
    sources = [source for source in flow.sources if isinstance(source, Subscribe)]
    table = Table(Want(live, entry, source) for entry, source in enumerate(sources))
    routes = [entry for _, entry in table.route(topic, retain, ())]

    entered: list[tuple[Any, ...]] = []
    host = TrialHost(program, Beside())
    host.handler = lambda *arguments: entered.append(arguments)
    host.arrive(topic, b"x", qos, retain=retain, properties={})
    assert [arguments[5] for arguments in entered] == routes
    assert [arguments[2] for arguments in entered] == [min(qos, sources[entry].qos) for entry in routes]
    assert hears(flow, topic, retain=retain) is bool(routes)
    assert host.unheard == ([] if routes else [topic])
