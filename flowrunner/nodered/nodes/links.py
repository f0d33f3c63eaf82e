"""Turns calls of links and instances of subflows into the steps that they stand for."""

from typing import Any

from flowrunner.nodered import calls
from flowrunner.nodered.constants import constant_of
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Steps
from flowrunner.nodered.surroundings import variables_around, variables_of
from flowrunner.nodered.values import Uncertain
from flowrunner.nodered.walk import Frame, Target, Walk, Way

_DEEPEST = 10


def call(way: Way, known: Known) -> Steps:
    """`link call`: the nodes behind a `link in`, up to the `link out` that returns."""
    node, frame = way.node, way.target.frame
    links = [way.walk.export.nodes[id] for id in node.texts("links") if id in way.walk.export.nodes]
    if node.text("linkType") == "dynamic" or len(links) != 1 or links[0].type != "link in":
        raise Uncertain("a link that the message names")
    if frame.depth > _DEEPEST:
        raise Uncertain("calls of links so deep inside of each other")
    origin = way.target

    def back(_port: int) -> list[Target]:
        return way.walk.targets(origin, 0)

    inner = Frame(f"{frame.key}/{node.id}", frame.env, back, frame.depth + 1)
    way.done()
    way.walk.outcomes.done(links[0], way.flow.name)
    return way.walk.fan(way, way.walk.targets(Target(links[0], inner), 0), known)


def frame_of(walk: Walk, target: Target) -> Frame:
    """Where the nodes of an instance of a subflow stand: with its variables, and its outputs as theirs."""
    node, frame = target.node, target.frame
    if frame.depth > _DEEPEST:
        raise Uncertain("subflows so deep inside of each other")
    subflow = walk.export.subflows[node.type.removeprefix("subflow:")]
    outside = variables_around(walk.export, target.node, target.frame.env)
    env: dict[str, Any] = {**outside, **variables_of(subflow, outside)}
    for variable in node.maps("env"):
        word, kind = variable.get("name"), str(variable.get("type", "str"))
        if isinstance(word, str):
            try:
                given = variable.get("value")
                env[word] = outside[str(given)] if kind == "env" else constant_of(given, kind)
            except (Uncertain, KeyError):
                env.pop(word, None)

    def back(port: int) -> list[Target]:
        return walk.targets(target, port)

    return Frame(f"{frame.key}/{node.id}", env, back, frame.depth + 1)


def subflow(way: Way, known: Known) -> Steps:
    """An instance of a subflow: its nodes stand where it stood."""
    walk = way.walk
    found = walk.export.subflows.get(way.node.type.removeprefix("subflow:"))
    if found is None:
        raise Uncertain("the subflow is not in the file")
    frame = frame_of(walk, way.target)
    called = calls.call(way, known, found, frame.env)
    if called is not None:
        way.done("calls a flow")
        return called
    walk.outcomes.done(found, way.flow.name)
    way.done("its nodes stand where it stood")
    steps = walk.fan(way, walk.entrances(found, frame), known)
    if steps:
        steps[0].notes.insert(0, f"subflow {way.node.name or found.name}".strip())
    return steps


def end(way: Way, known: Known) -> Steps:
    """The end of a subflow that is reached in a branch: such a one cannot be called. Raises Uncertain."""
    raise Uncertain(f"{way.node.type} of {known.kind}")


TRANSLATORS = {"link call": call, "subflow": subflow, "subflow end": end}
