"""Turns a flow as a whole into what is wrong with it: endless loops, filters that hear too little, ids that clash."""

import ast
from collections.abc import Sequence

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.expressions import Template
from flowrunner.sources import Source, Subscribe
from flowrunner.step import Step, trees_of, walk
from flowrunner.topics import BadTopic, Filter, overlaps, parse_filter


def find_loops(sources: Sequence[Source], steps: Sequence[Step]) -> list[Diagnostic]:
    """A warning for every `publish` to a topic that the flow itself subscribes to (on the same connection)."""
    heard = [source for source in sources if isinstance(source, Subscribe) and not source.no_local]
    found: list[Diagnostic] = []
    for step in walk(steps):
        topic = getattr(step, "topic", None)
        if step.KEY != "publish" or not isinstance(topic, Template):
            continue
        for source in heard:
            if getattr(step, "connection", "") == source.connection and may_reach(topic, source.filter):
                found.append(_loop(topic, source))
                break
    return found


def may_reach(topic: Template, heard: Filter) -> bool:
    """Whether a message published to this topic may come back through the filter."""
    pattern = pattern_of(topic, heard)
    if pattern is None:
        return False
    try:
        return overlaps(parse_filter(pattern), parse_filter("/".join(heard.levels)))
    except BadTopic:
        return False


def pattern_of(topic: Template, heard: Filter) -> str | None:
    """A filter that covers what the topic may become: an inserted value is one level, `${topic}` what came."""
    text = ""
    for part in topic.parts:
        if isinstance(part, str):
            text += part
        elif part.expression.passage.text.strip() == "topic":
            text += "/".join(level if level != "#" else "+" for level in heard.levels)
        else:
            text += "+"
    return "/".join("+" if "+" in level else level for level in text.split("/"))


def _loop(topic: Template, source: Subscribe) -> Diagnostic:
    labels = (Label(source.span, "what the flow subscribes to"),) if source.span else ()
    helps = (
        "publish to another topic, such as `.../out`",
        "if it is meant: `subscribe: {topic: ..., no_local: true}`, which skips all that this connection publishes",
    )
    message = "the flow publishes to a topic that it hears itself: an endless loop"
    return Diagnostic(
        "possible-loop", message, topic.passage.span().first_line(), "", labels, helps, severity="warning"
    )


def find_silence(sources: Sequence[Source], steps: Sequence[Step]) -> list[Diagnostic]:
    """A warning where a flow looks for `$SYS` and hears `#`, which does not cover it (MQTT 5.0 section 4.7.2)."""
    wide = [source for source in sources if isinstance(source, Subscribe) and source.filter.levels[0] in {"#", "+"}]
    if not wide or not wide[0].span or not any(_speaks_of_sys(step) for step in walk(steps)):
        return []
    first = wide[0].filter.levels[0]
    message = f"`{first}` does not cover topics that start with `$`"
    helps = ("subscribe to both: `subscribe: ['#', '$SYS/#']`",)
    return [Diagnostic("dollar-topics", message, wide[0].span, helps=helps, severity="warning")]


def _speaks_of_sys(step: Step) -> bool:
    parts = [*step.parts(), *([step.at.when] if step.at.when else [])]
    constants = (
        found.value
        for part in parts
        for tree in trees_of(part)
        for found in ast.walk(tree)
        if isinstance(found, ast.Constant)
    )
    return any(isinstance(value, str) and value.startswith("$") for value in constants)


def same_ids(steps: Sequence[Step]) -> list[Diagnostic]:
    """A diagnostic for every step whose `id` another one has: its state could not be told from the other's."""
    known: dict[str, Step] = {}
    found: list[Diagnostic] = []
    for step in walk(steps):
        if step.at.id and (first := known.setdefault(step.at.id, step)) is not step:
            labels = (Label(first.at.key_span, "the first one"),)
            message = f"two steps have the id `{step.at.id}`"
            helps = ("choose another id",)
            found.append(Diagnostic("duplicate-id", message, step.at.key_span, labels=labels, helps=helps))
    return found
