"""Turns a stretch of a recording into a test of a flow: what came is given, what the flow makes of it is expected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowrunner.compile import Program
from flowrunner.errors import FlowrunnerError
from flowrunner.quantities import format_duration
from flowrunner.read.cases import After, Given
from flowrunner.read.document import read_document
from flowrunner.read.flow import Flow
from flowrunner.read.nodes import List, Map, Node
from flowrunner.run.recording import Recorded, read_recording
from flowrunner.sources import Cron, Every
from flowrunner.text import Source, Span
from flowrunner.trial.beside import Beside
from flowrunner.trial.case import Outcome, run_given
from flowrunner.trial.host import hears
from flowrunner.trial.yaml_text import message_text, value_text

#: Seconds that pass behind the last message, so that what waits for silence comes out.
AFTERWARDS = 60.0


class BadRecording(FlowrunnerError):
    """No test can be made of a recording."""


@dataclass(frozen=True, slots=True)
class NewCase:
    """A test that was made: its text, a line each (not indented), and what the flow did."""

    lines: tuple[str, ...]
    outcome: Outcome
    messages: int


def read_file(path: Path) -> list[Recorded]:
    """The messages of a recording. Raises FlowError, with the place of what is none."""
    with path.open("rb") as lines:
        return list(read_recording(lines, str(path)))


def make_case(program: Program, recorded: Sequence[Recorded], name: str) -> NewCase:
    """A test out of the messages that the flow hears; what is expected is what it does with them now.

    Raises BadRecording where it hears none of them, and FlowError where the flow cannot begin.
    """
    flow = program.flow
    heard = [one for one in recorded if hears(flow, one.message.topic, retain=one.message.retain)]
    if not heard:
        raise BadRecording(f"no message of this stretch is for the flow `{flow.name}`")
    given = list(_given(heard, flow.span))
    with Beside() as beside:
        if not any(isinstance(source, Every | Cron) for source in flow.sources):
            begin = sum(one.seconds for one in given if isinstance(one, After))
            later = run_given(program, [*given, After(AFTERWARDS, flow.span)], beside).published
            if later and later[-1].time > begin:
                given.append(After(round(later[-1].time - begin, 3), flow.span))
        outcome = run_given(program, given, beside)
    return NewCase(tuple(_lines(name, given, outcome)), outcome, len(heard))


def _given(heard: Sequence[Recorded], span: Span) -> Iterator[Given | After]:
    """The messages, and the time between them in milliseconds."""
    before = 0
    for one in heard:
        now = max(round((one.time - heard[0].time) * 1000), before)
        if now > before:
            yield After((now - before) / 1000, span)
            before = now
        message = one.message
        yield Given(message.topic, message.payload, message.qos, message.retain, dict(message.properties), span)


def _lines(name: str, given: Sequence[Given | After], outcome: Outcome) -> Iterator[str]:
    yield f"- name: {value_text(name)}"
    yield "  given:"
    for one in given:
        if isinstance(one, After):
            yield f"    - {{after: {format_duration(one.seconds)}}}"
        else:
            text = message_text(
                one.topic, one.payload, qos=one.qos, retain=one.retain, properties=one.properties, is_given=True
            )
            yield f"    - {text}"
    yield "  expect:" if outcome.published else "  expect: []"
    for message in outcome.published:
        text = message_text(
            message.topic,
            message.payload,
            qos=message.qos,
            retain=message.retain,
            properties=message.properties,
            is_given=False,
        )
        yield f"    - {text}"


def add_case(flow: Flow, text: str, lines: Sequence[str]) -> str:
    """The text of the file of a flow with one more test. Raises FlowrunnerError where that cannot be written."""
    source = Source(flow.source.name, text)
    node, mistakes = read_document(source)
    if mistakes or not isinstance(node, Map):
        raise FlowrunnerError(f"`{flow.source.name}` was edited meanwhile, and holds a mistake")
    own = _node_of(flow, node)
    tests = own.get("tests")
    if tests is None:
        indent = own.entries[0].key.span.column - 1
        added = [f"{' ' * indent}tests:", *(f"{' ' * (indent + 2)}{line}" for line in lines)]
        return _behind(source, own, added)
    if isinstance(tests.value, List) and tests.value.span.text.startswith("-"):
        indent = tests.value.span.column - 1
        return _behind(source, tests.value, [f"{' ' * indent}{line}" for line in lines])
    if isinstance(tests.value, List) and not tests.value.items:
        indent = tests.key.span.column + 1
        end = _line_end(source)
        begun = text[: tests.value.span.start].rstrip(" ")
        return begun + "".join(f"{end}{' ' * indent}{line}" for line in lines) + text[tests.value.span.end :]
    raise FlowrunnerError(f"the tests in `{flow.source.name}` are not a list with dashes: add this one by hand")


def _node_of(flow: Flow, node: Map) -> Map:
    """The map of a flow in its file."""
    several = node.get("flows")
    if several is None:
        return node
    entry = several.value.get(flow.name) if isinstance(several.value, Map) else None
    if entry is None or not isinstance(entry.value, Map):
        raise FlowrunnerError(f"`{flow.source.name}` was edited meanwhile: it has no flow `{flow.name}`")
    return entry.value


def _behind(source: Source, node: Node, lines: Sequence[str]) -> str:
    """The text with lines behind the last line of a node."""
    text, end = source.text, _line_end(source)
    last = node.span.end_line
    place = source.line_starts[last - 1] + len(source.lines[last - 1])
    return text[:place] + "".join(f"{end}{line}" for line in lines) + (text[place:] or end)


def _line_end(source: Source) -> str:
    """How lines end in this file."""
    return "\r\n" if "\r\n" in source.text else "\n"
