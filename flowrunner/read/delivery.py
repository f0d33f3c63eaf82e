"""Turns a flow into when it acknowledges what it gets at QoS 1 and 2: behind its last step, or before that."""

from collections.abc import Iterator, Sequence

from flowrunner.diagnostics import Diagnostic, Label, name_list
from flowrunner.read.flow import Flow
from flowrunner.remembering import KeepingStep
from flowrunner.sources import Subscribe
from flowrunner.step import Step, walk
from flowrunner.waiting import WaitingStep


def all_steps_of(flow: object) -> Iterator[Step]:
    """The steps of a flow and those inside of them, also those for errors."""
    yield from walk(getattr(flow, "steps", ()))
    yield from walk(getattr(getattr(flow, "on_error", None), "steps", ()))


def finishes_later(flow: object) -> bool:
    """Whether something of a message may go on when the flow's function has returned.

    That is a step that waits, and a publish at QoS 1 or 2. Of what is no flow out of a file nobody knows.
    """
    if not hasattr(flow, "steps"):
        return True
    return any(waits_in(step, flow) or step.IS_CALL or getattr(step, "qos", 0) != 0 for step in all_steps_of(flow))


def waits_in(step: Step, flow: object) -> bool:
    """Whether messages of a flow wait for a step: for the world outside, or for the memory of the step in Redis."""
    return isinstance(step, WaitingStep) or (step.CAN_BE_SHARED and getattr(flow, "is_remote", False))


def lends(flow: object) -> bool:
    """Whether a flow lets messages go on that Redis held for it, and has to say there when it has done with them."""
    if not getattr(flow, "is_remote", False) or not hasattr(flow, "steps"):
        return False
    return any(isinstance(step, KeepingStep) and step.CAN_BE_SHARED and step.is_cut() for step in all_steps_of(flow))


def steps_of_intake(steps: Sequence[Step]) -> list[Step]:
    """The steps that keep a message for later: with them it is acknowledged, and lost in a crash."""
    return [step for step in walk(steps) if isinstance(step, KeepingStep) and step.is_cut()]


def waits(steps: Sequence[Step]) -> list[Step]:
    """The steps that wait for the world outside, and hold back acknowledgements until they are done."""
    return [step for step in walk(steps) if isinstance(step, WaitingStep)]


def reliable(sources: Sequence[object]) -> list[Subscribe]:
    """The subscriptions at QoS 1 or 2."""
    return [source for source in sources if isinstance(source, Subscribe) and source.qos > 0]


def shared_connections(flows: Sequence[Flow]) -> Iterator[Diagnostic]:
    """A warning for every flow whose waiting holds back the acknowledgements of another flow.

    They leave in the order of arrival (MQTT 5.0 section 4.6), which is that of a connection.
    """
    hearing: dict[str, dict[str, Subscribe]] = {}
    for flow in flows:
        for source in reliable(flow.sources) if flow.is_enabled else ():
            hearing.setdefault(source.connection, {}).setdefault(flow.name, source)
    for flow in flows:
        waiting = waits(flow.steps)
        for source in reliable(flow.sources) if waiting and flow.is_enabled else ():
            others = [name for name in hearing[source.connection] if name != flow.name]
            if others and source.span is not None:
                yield _shared(flow, source, waiting[0], others)
                break


def _shared(flow: Flow, source: Subscribe, step: Step, others: Sequence[str]) -> Diagnostic:
    also = f"`{others[0]}`" if len(others) == 1 else f"{len(others)} other flows"
    helps = (
        f"give it a connection of its own in `flowrunner.yaml`, and name it: `connection: {flow.name[:24]}`",
        "or subscribe at QoS 0, where nothing is acknowledged",
    )
    message = f"while `{step.KEY}` waits, no message of {also} is acknowledged either"
    assert source.span is not None
    labels = (Label(step.at.key_span, "this step waits"),) if step.at.key_span.source is source.span.source else ()
    return Diagnostic("shared-connection", message, source.span, "", labels, helps, severity="warning")


def acknowledged_early(flows: Sequence[Flow]) -> Iterator[str]:
    """A line for every flow that acknowledges messages at QoS 1 and 2 before it is done with them, or may drop them."""
    for flow in flows:
        early = steps_of_intake(flow.steps) if reliable(flow.sources) else []
        early = [step for step in early if not waits_in(step, flow)]
        if early and flow.is_enabled:
            names = name_list(list(dict.fromkeys(step.KEY for step in early)))
            yield f"{flow.name} acknowledges messages when they reach {names}: what waits there is lost in a crash"
        elif reliable(flow.sources) and waits(flow.steps) and flow.is_enabled and flow.queue.policy != "block":
            first = waits(flow.steps)[0].KEY
            words = f"drops messages at QoS 1 and 2 when more than {flow.queue.size} wait for `{first}`"
            yield f"{flow.name} {words}; `policy: block` keeps them"
