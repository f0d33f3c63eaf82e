"""Turns the name of a step, as somebody types it, into the steps that are meant."""

from flowrunner.compile.function import name_steps
from flowrunner.diagnostics import name_list, suggest
from flowrunner.read.flow import Flow
from flowrunner.run.visits import places_of
from flowrunner.step import Step, walk


class NoSuchStep(LookupError):
    """A step that a flow does not have; `help` is what to type instead."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def find_steps(flow: Flow, name: str) -> frozenset[str]:
    """The names of a step and of those inside it; `name` is as in `name_steps`, or a kind that is there once.

    Raises NoSuchStep.
    """
    names = name_steps(flow)
    places = {place.name: place.step for place in places_of(flow)}
    found = [name] if name in places else [one for one, other in places.items() if name == other.KEY]
    if len(found) == 1:
        step: Step = places[found[0]]
        inside = [inner for steps in step.inner() for inner in walk(steps)]
        return frozenset({found[0], *(names[id(one)] for one in inside if id(one) in names)})
    if found:
        listed = ", ".join(f"`{flow.name}/{one}` (line {places[one].at.key_span.line})" for one in found[:12])
        raise NoSuchStep(f"there are {len(found)} steps `{name}` in `{flow.name}`", f"say which: {listed}")
    near = suggest(name, list(places))
    help = f"did you mean `{flow.name}/{near}`?" if near else f"there are {name_list(list(places))}"
    raise NoSuchStep(f"there is no step `{name}` in `{flow.name}`", help)
