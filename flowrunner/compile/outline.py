"""Turns a flow into what can be compared with another version of it, kept in a file, and said in a line."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from flowrunner.compile.failure import steps_of
from flowrunner.compile.fingerprint import digest, fingerprint, form
from flowrunner.compile.function import name_steps
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.remembering import KeepingStep
from flowrunner.sources import Subscribe


@dataclass(frozen=True, slots=True, order=True)
class Subscription:
    """What a broker is asked for: the filter as it is sent, and the name of the connection."""

    connection: str
    filter: str


@dataclass(frozen=True, slots=True)
class Memory:
    """A step that remembers: what it is called in its flow, its kind, and what shapes its state.

    `parts` are the options that take part in the shape, by name, each with what it contributes.
    """

    name: str
    kind: str
    shape: str
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A flow without its code.

    `text` changes with every character of its file (and of those of flows that it calls), `fingerprint` with what it
    does.
    """

    name: str
    file: str
    text: str
    fingerprint: str
    subscriptions: tuple[Subscription, ...] = ()
    memories: tuple[Memory, ...] = ()


def outline(flow: Flow) -> Outline:
    """The outline of a flow."""
    return Outline(
        flow.name,
        flow.source.name,
        digest(tuple(sorted(texts_of(flow).items()))),
        fingerprint(flow),
        tuple(sorted(subscriptions_of(flow))),
        memories_of(flow),
    )


def texts_of(flow: Flow) -> dict[str, str]:
    """The texts that a flow was made of, by the names of their files: its own, and those of the flows that it calls."""
    texts = {flow.source.name: flow.source.text}
    return texts | {step.at.span.source.name: step.at.span.source.text for step in steps_of(flow)}


def subscriptions_of(flow: Flow) -> set[Subscription]:
    """What a broker is asked for because of a flow."""
    wanted = [source for source in flow.sources if isinstance(source, Subscribe)]
    return {Subscription(source.connection, source.filter.mqtt) for source in wanted}


def memories_of(flow: Flow) -> tuple[Memory, ...]:
    """Every step of a flow that remembers and that messages can reach, under the name by which its state is kept.

    Behind them stand the values that steps share: these are kept as long as a step uses them.
    """
    names = name_steps(flow)
    reached = [step for step in steps_of(flow) if id(step) in flow.scopes]
    own = [
        Memory(names[id(step)], step.KEY, shape_of(step), shaping_options(step))
        for step in reached
        if isinstance(step, KeepingStep)
    ]
    shared = dict.fromkeys((step.memory(), step.KEY) for step in reached if step.memory())
    return (*own, *(Memory(name, kind, "") for name, kind in shared))


def shape_of(step: KeepingStep) -> str:
    """The shape of a step's state as a short text."""
    return digest(form(step.shape()))


def shaping_options(step: KeepingStep) -> tuple[tuple[str, str], ...]:
    """The options that shape the state of a step: those with which an empty step would have another shape."""
    none: dict[str, Any] = {option.field: None for option in step.options()}
    empty = replace(step, **none)
    nothing = _shape(empty)
    given = [option for option in step.options() if getattr(step, option.field) is not None]
    shapes = [_shape(replace(empty, **{option.field: getattr(step, option.field)})) for option in given]
    found = zip(given, shapes, strict=True)
    return tuple((option.name, digest(form(shape))) for option, shape in found if shape != nothing)


def _shape(step: KeepingStep) -> Hashable:
    """The shape of a step, of which most options are left out; None where it has none without them."""
    try:
        return step.shape()
    except (TypeError, ValueError, AttributeError, LookupError):
        return None


def as_json(outline: Outline) -> dict[str, Any]:
    """An outline as an object for a file."""
    return asdict(outline)


def read_outline(data: Mapping[str, Any]) -> Outline:
    """An outline out of a file. Raises LookupError, TypeError or ValueError for what is none."""
    subscriptions = tuple(Subscription(_text(one, "connection"), _text(one, "filter")) for one in data["subscriptions"])
    memories = tuple(
        Memory(_text(one, "name"), _text(one, "kind"), _text(one, "shape"), _pairs(one["parts"]))
        for one in data["memories"]
    )
    name, file, text, fingerprint = (_text(data, key) for key in ("name", "file", "text", "fingerprint"))
    return Outline(name, file, text, fingerprint, subscriptions, memories)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _pairs(data: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in data)
