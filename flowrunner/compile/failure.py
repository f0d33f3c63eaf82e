"""Turns an exception of a compiled flow into the diagnostic that points at the word in the YAML that failed."""

import ast
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from itertools import islice
from types import CodeType, TracebackType
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label
from flowrunner.errors import StepError
from flowrunner.expressions import explain_failure as explain_expression
from flowrunner.expressions import node_at
from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.step import Step, walk
from flowrunner.text import Source, Span

_SHOWN = 80  # characters of a payload that an error shows


def explain_failure(flow: Flow, code: CodeType, error: Exception, origin: Message) -> Diagnostic:
    """The diagnostic of a step that failed on a message.

    The place comes from the exception's own traceback: its frame tells the instruction, the code object the position of
    that instruction, and those positions are places in the YAML file.
    """
    span, values = find_place(flow, code, error)
    step = step_at(flow, span)
    failure, span = words_for(flow, step, span, error, values)
    if failure.place is not None:
        return elsewhere(failure, failure.place, step, origin)
    labels: tuple[Label, ...] = ()
    label = ""
    if step is not None:
        key = step.at.key_span
        label = f"in `{step.KEY}`" if span.line == key.line else ""
        labels = () if span.line == key.line else (Label(key, "in this step"),)
    helps = tuple(text for text in failure.help.split("\n") if text)
    notes = (*calls_around(flow, span), show_origin(origin))
    return Diagnostic(failure.code, failure.message, span.first_line(), label, labels, helps, notes)


def elsewhere(failure: StepError, place: Span, step: Step | None, origin: Message) -> Diagnostic:
    """The diagnostic of a failure in another file than the flow's, with the step that led there."""
    key = step.at.key_span if step is not None else None
    called = (f"called by `{step.KEY}` in {key.source.name}:{key.line}:{key.column}",) if step and key else ()
    helps = tuple(text for text in failure.help.split("\n") if text)
    notes = (*called, show_origin(origin))
    return Diagnostic(failure.code, failure.message, place.first_line(), helps=helps, notes=notes)


def describe_failure(flow: Flow, code: CodeType, error: Exception) -> dict[str, Any]:
    """What `error` is inside of `on_error`: message, code, help, step, file and line."""
    span, values = find_place(flow, code, error)
    step = step_at(flow, span)
    failure, span = words_for(flow, step, span, error, values)
    return {
        "message": failure.message,
        "code": failure.code,
        "help": failure.help,
        "step": (step.at.id or step.KEY) if step else "",
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
    }


def words_for(
    flow: Flow, step: Step | None, span: Span, error: Exception, values: dict[str, Any]
) -> tuple[StepError, Span]:
    """The error in words, with what was noted about it (which attempt it was), and its place."""
    failure, span = own_words_for(flow, step, span, error, values)
    if notes := getattr(error, "__notes__", None):
        message = f"{failure.message} ({'; '.join(notes)})"
        failure = StepError(message, code=failure.code, help=failure.help, place=failure.place)
    return failure, span


def own_words_for(
    flow: Flow, step: Step | None, span: Span, error: Exception, values: dict[str, Any]
) -> tuple[StepError, Span]:
    """The error in words, and its place."""
    if isinstance(error, StepError):
        return error, span
    part = expression_at(flow, span)
    if part is None and step is not None and (own := step.explain(error, values)):
        return own, span
    failure = explain_expression(error, part, values)
    return StepError(failure.message, code=failure.code, help="\n".join(failure.helps)), span


def find_place(flow: Flow, code: CodeType, error: Exception) -> tuple[Span, dict[str, Any]]:
    """Where in the file an exception came from, and the local values there (of all functions of the flow)."""
    ours = set(_all_code(code))
    sources = {step.at.span.source.name: step.at.span.source for step in steps_of(flow)}
    sources[flow.source.name] = flow.source
    values: dict[str, Any] = {}
    span = flow.span
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in ours:
            values |= {name: value for name, value in trace.tb_frame.f_locals.items() if not name.startswith("_")}
            span = _span_of(sources[trace.tb_frame.f_code.co_filename], trace) or span
        trace = trace.tb_next
    return span, values | {name: value for name, value in flow.constants.items() if name not in values}


def _all_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_code(constant)


def _span_of(source: Source, trace: TracebackType) -> Span | None:
    positions = trace.tb_frame.f_code.co_positions()
    line, end_line, column, end_column = next(islice(positions, trace.tb_lasti // 2, None))
    if line is None or end_line is None or column is None or end_column is None:
        return None
    start = source.offset_of_bytes(line=line, byte_column=column)
    return source.span(start, source.offset_of_bytes(line=end_line, byte_column=end_column))


def steps_of(flow: Flow) -> Iterator[Step]:
    """Every step of a flow, also those of the flows that it calls."""
    return walk([*flow.steps, *flow.on_error.steps])


def calls_around(flow: Flow, span: Span) -> tuple[str, ...]:
    """Notes that say from where the step at a place is called, the nearest call first."""
    calls = [step for step in steps_of(flow) if step.IS_CALL and any(_holds(inner, span) for inner in step.inner())]
    keys = [call.at.key_span for call in reversed(calls)]
    return tuple(f"called in {key.source.name}:{key.line}:{key.column}" for key in keys)


def _holds(steps: Sequence[Step], span: Span) -> bool:
    return any(step.at.span.holds(span) for step in walk(steps))


def step_at(flow: Flow, span: Span) -> Step | None:
    """The innermost step that holds a place."""
    found = None
    for step in steps_of(flow):
        if step.at.span.holds(span) and (found is None or found.at.span.holds(step.at.span)):
            found = step
    return found


def expression_at(flow: Flow, span: Span) -> ast.expr | None:
    """The part of the user's expressions that stands at a place."""
    source = span.source
    columns = source.byte_column_of(span.start), source.byte_column_of(span.end)
    position = (span.line, span.end_line, *columns)
    for step in steps_of(flow):
        if step.at.span.holds(span):
            for part in [*step.parts(), *([step.at.when] if step.at.when else [])]:
                if found := node_at(part, position):
                    return found
    return None


def show_origin(origin: Message) -> str:
    """The note below an error: the topic and the payload's beginning."""
    begin = origin.payload[: 4 * (_SHOWN + 2)]  # no character has more than four bytes; the last one may be cut here
    text = getincrementaldecoder("utf-8")("backslashreplace").decode(begin, final=begin == origin.payload)
    payload = f"`{_cut(text)}`" if text else "empty"
    return f"topic `{_cut(origin.topic)}`, payload {payload}"


def _cut(text: str) -> str:
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text
