"""Turns a checked flow into what a browser draws: its sources, its steps with their branches, and what they say."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowrunner.compile.function import name_steps
from flowrunner.expressions import Expression, Template
from flowrunner.options.nested import Handling
from flowrunner.read.flow import Flow
from flowrunner.remembering import KeepingStep
from flowrunner.sources import AtStart, Cron, Every, Source, Subscribe
from flowrunner.step import Step, walk
from flowrunner.steps.call import Call
from flowrunner.steps.fork import Fork
from flowrunner.steps.switch import Switch

#: Characters of what a step says that are shown on it.
_MOST = 80
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OUT = frozenset({"publish", "reply"})
_CHOICE = frozenset({"switch", "fork", "filter", "split", "stop", "call", "retry"})

Drawn = dict[str, Any]
"""What is drawn, as JSON."""


def draw(flow: Flow) -> Drawn:
    """The picture of a flow."""
    names = name_steps(flow)
    return {
        "sources": [draw_source(source) for source in flow.sources],
        "steps": draw_steps(flow.steps, names),
        "on_error": draw_handling(flow.on_error, names),
    }


def draw_source(source: Source) -> Drawn:
    """Where messages come from."""
    match source:
        case Subscribe():
            return {
                "kind": "subscribe",
                "label": source.filter.text,
                "qos": source.qos,
                "connection": source.connection,
                "retained": source.retained,
            }
        case Every():
            return {"kind": "every", "label": _one_line(source.span.text if source.span else f"{source.interval:g}s")}
        case Cron():
            return {"kind": "cron", "label": _one_line(source.span.text if source.span else "")}
        case AtStart():
            return {"kind": "at_start", "label": "once"}


def draw_steps(steps: Sequence[Step], names: Mapping[int, str]) -> list[Drawn]:
    """A list of steps."""
    return [draw_step(step, names) for step in steps]


def draw_step(step: Step, names: Mapping[int, str]) -> Drawn:
    """One step with all that is inside."""
    at = step.at
    return {
        "name": names[id(step)],
        "kind": step.KEY,
        "group": group_of(step),
        "label": label_of(step),
        "id": at.id,
        "when": at.when.passage.text if at.when else "",
        "yaml": at.span.text.rstrip(),
        "file": at.span.source.name,
        "line": at.span.line,
        "end_line": at.span.end_line,
        "ends": step.KEY == "stop",
        "branches": list(draw_branches(step, names)),
        "on_error": draw_handling(at.on_error, names),
    }


def draw_handling(handling: Handling | None, names: Mapping[int, str]) -> Drawn | None:
    """What becomes of messages on which a step fails, if that is something else than to drop them."""
    if handling is None or handling.how == "drop":
        return None
    return {"how": handling.how, "steps": draw_steps(handling.steps, names)}


def draw_branches(step: Step, names: Mapping[int, str]) -> Iterator[Drawn]:
    """The lists of steps inside of a step. A branch `joins` if the message goes on behind the step from its end."""
    labels = list(branch_labels(step))
    for index, inner in enumerate(step.inner()):
        if inner:
            label = labels[index] if index < len(labels) else ""
            joins = step.KEY != "filter" and (step.IS_ON_THE_WAY or step.IS_CALL or step.KEY == "retry")
            yield {"label": label, "joins": joins, "steps": draw_steps(inner, names)}


def branch_labels(step: Step) -> Iterator[str]:
    """What stands at the beginning of each branch."""
    match step:
        case Switch():
            yield from ("else" if case.when is None else _one_line(case.when.passage.text) for case in step.cases)
        case Fork():
            yield from (f"copy {number}" for number, _ in enumerate(step.branches, 1))
        case Call():
            yield step.called.name
        case _:
            yield "else" if step.KEY == "filter" else "again and again" if step.KEY == "retry" else ""


def group_of(step: Step) -> str:
    """What sort of step it is, for its colour: `out`, `time`, `outside`, `choice` or `work`."""
    if step.KEY in _OUT:
        return "out"
    if isinstance(step, KeepingStep):
        return "time"
    if step.KEY in _CHOICE or any(True for _ in step.inner()):
        return "choice"
    return "outside" if step.IS_OUTSIDE or step.KEY in {"write", "log"} else "work"


def label_of(step: Step) -> str:
    """What a step says, in a line: its topic, its condition, or its options as they are written."""
    if isinstance(step, Call):
        return step.called.name
    main: Expression | Template | None = next(iter(step.parts()), None)
    if step.KEY in {"publish", "filter"} and main is not None:
        return _one_line(main.passage.text)
    if any(True for _ in step.inner()):
        return ""
    text = step.at.span.text
    text = text[step.at.key_span.end - step.at.span.start :] if text.startswith(step.KEY) else _behind_key(step)
    return _one_line(text.lstrip().removeprefix(":"))


def _behind_key(step: Step) -> str:
    """What is written behind the key of a step whose `when` or `id` stands first."""
    source, start, end = step.at.span.source, step.at.key_span.end, step.at.span.end
    lines = source.text[start:end].splitlines() or [""]
    indent = step.at.key_span.column - 1
    kept = [lines[0]]
    for line in lines[1:]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        kept.append(line)
    return "\n".join(kept)


def _one_line(text: str) -> str:
    """A text of several lines in one, without comments, and cut."""
    lines = [_COMMENT.sub("", line).strip() for line in text.splitlines()] or [""]
    shown = "  ".join(line for line in lines if line).strip()
    if len(shown) > 1 and shown[0] == shown[-1] and shown[0] in "\"'" and shown.count(shown[0]) == 2:
        shown = shown[1:-1]
    return shown if len(shown) <= _MOST else shown[: _MOST - 1] + "…"


def step_at(flow: Flow, file: str, line: int) -> str:
    """The name of the innermost step that stands at a line; empty if none does."""
    names = name_steps(flow)
    found = ""
    for step in walk([*flow.steps, *flow.on_error.steps]):
        span = step.at.span
        if span.source.name == file and span.line <= line <= span.end_line:
            found = names[id(step)]
    return found
