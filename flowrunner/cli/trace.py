"""Turns what was seen of a message on its way through a flow into lines for a terminal."""

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowrunner.cli.terminal import paint
from flowrunner.diagnostics import render
from flowrunner.message import Message
from flowrunner.run.rehearsal import Note, Trace
from flowrunner.run.trace_json import visit_as_json
from flowrunner.run.visits import Visit

_LONGEST = 400  # characters of a value

_RED, _GREEN, _YELLOW, _CYAN, _BOLD, _DIM = "31", "32", "33", "36", "1", "2"


class Lines:
    """Draws what messages meet."""

    def __init__(self, *, color: bool) -> None:
        self.color = color

    def draw(self, trace: Trace, visits: Sequence[Visit]) -> Iterator[str]:
        """All lines: what arrived, every step, and what it came to."""
        arrival = trace.arrival
        yield f"{self.paint(trace.flow.name, _BOLD)} ← {shown_message(arrival.message)}"
        yield from self.names(visits)
        at = 0.0
        for visit in visits:
            if visit.at > at:
                at = visit.at
                yield self.paint(f"  after {round(at, 3):g} s", _DIM)
            yield from self.visit(visit)
        yield ""
        yield from self.summary(trace)

    def names(self, visits: Sequence[Visit]) -> Iterator[str]:
        """The names that the message has from the start: the levels of its topic."""
        if visits:
            usual = ("topic", "payload", "qos", "retain", "properties")
            for name, value in visits[0].before.items():
                if name not in usual:
                    yield f"    {name} = {shown(value)}"

    def told(self, told: Mapping[str, Any]) -> Iterator[str]:
        """What a runner tells of a flow that is tapped (see `flowrunner.run.local.Desk`); of most things, nothing."""
        flow = self.paint(told["flow"], _BOLD)
        match told["event"]:
            case "message":
                yield from self.live(flow, told)
            case "too-large":
                words = f"a message too large to be shown: {told['bytes']} bytes"
                yield f"{flow} {self.paint(words, _DIM)}\n"
            case "missed":
                yield self.paint(f"... {told['count']} more came too fast to be shown\n", _DIM)
            case "edited":
                since = time.strftime("%H:%M:%S", time.localtime(told["since"]))
                yield self.paint(f"{told['flow']} was edited: the version of {since} from here on\n", _YELLOW)
            case "gone":
                yield self.paint(f"{told['flow']} does not run any more; if it comes back, it is shown\n", _YELLOW)
            case "step-gone":
                words = f"{told['flow']} has no step `{told['step']}` any more; if it comes back, it is shown\n"
                yield self.paint(words, _YELLOW)

    def live(self, flow: str, told: Mapping[str, Any]) -> Iterator[str]:
        """A message in a flow that runs."""
        steps = told["steps"]
        later = steps[0]["at"] if told["is_continued"] else 0.0
        at = self.paint(time.strftime("%H:%M:%S", time.localtime(told["time"] + later)), _DIM)
        given = shown_message(message_from_json(told["given"]))
        if told["is_continued"]:
            yield f"{at} {flow} {self.paint(f'… goes on {round(later, 3):g} s after', _DIM)} {given}"
        else:
            yield f"{at} {flow} ← {given}"
        for name, value in told.get("names", {}).items():
            yield f"    {name} = {shown(value)}"
        for step in steps:
            yield from self.step(step)
        yield ""

    def visit(self, visit: Visit) -> Iterator[str]:
        """The lines of a step."""
        return self.step(visit_as_json(visit, lambda found: render([found], color=self.color)))

    def step(self, step: Mapping[str, Any]) -> Iterator[str]:
        """The lines of a step, from the object for other programs with its frames (see `visit_as_json`)."""
        pad = "    " * step["depth"]
        is_later = step["result"] == "later"
        if "way" in step and not is_later:
            condition = f": {step['condition']}" if "condition" in step else ""
            yield f"{pad[:-2]}{self.paint(step['way'] + condition, _CYAN)}"
        head = self.paint(step["text"], _BOLD) + ("  (a message goes on)" if is_later else "")
        yield f"{pad}{self.mark(step)} {head}  {self.paint('{file}:{line}'.format_map(step), _DIM)}"
        for line in self.about(step):
            yield f"{pad}    {line}"

    def mark(self, step: Mapping[str, Any]) -> str:
        """A sign for how the visit ended."""
        if any({"failed", "handled", "tried"} & effect.keys() for effect in step["effects"]):
            return self.paint("✗", _RED)
        if step["result"] == "skipped":
            return self.paint("-", _DIM)
        return self.paint("■", _YELLOW) if step["result"] == "ended" and "reason" in step else self.paint("✓", _GREEN)

    def about(self, step: Mapping[str, Any]) -> Iterator[str]:
        """What a step did with the message."""
        if step["result"] == "skipped":
            yield self.paint("not run: `when` is false", _DIM)
        for name, value in step.get("read", {}).items():
            yield self.paint(f"{name} is {shown(value)}", _DIM)
        for change in step["changes"]:
            yield from self.change(change)
        for effect in step["effects"]:
            for kind, about in effect.items():
                yield from self.effect(kind, about)
        if "reason" in step:
            yield self.paint(step["reason"], _YELLOW if step["result"] == "ended" else _DIM)

    def change(self, change: Mapping[str, Any]) -> Iterator[str]:
        """A change as the lines of a diff."""
        if "old" in change:
            yield self.paint(f"- {change['name']}: {shown(change['old'])}", _RED)
        if "new" in change:
            yield self.paint(f"+ {change['name']}: {shown(change['new'])}", _GREEN)

    def effect(self, kind: str, about: Mapping[str, Any]) -> Iterator[str]:
        """What happened at a step."""
        match kind:
            case "published":
                to = f" (connection `{about['connection']}`)" if "connection" in about else ""
                yield f"{self.paint('→', _CYAN)} {shown_message(message_from_json(about))}{to}"
            case "logged":
                yield f"{self.paint('·', _CYAN)} {about['level']}: {about['text']}"
            case "foretold":
                yield f"{self.paint('…', _CYAN)} would: {cut(about['text'])}"
            case "stopped":
                yield f"stopped: {about['reason']}"
            case "queue":
                yield self.paint(f"too many messages wait before `{about['place']}`: one was dropped", _RED)
            case "failed" | "handled" | "tried":
                yield from about["frame"].splitlines()
                if kind != "failed":
                    yield self.paint(f"`{'on_error' if kind == 'handled' else 'retry'}` takes care of it", _DIM)

    def summary(self, trace: Trace) -> Iterator[str]:
        """What it came to, in a line or two."""
        notes = [note for note in trace.seen if isinstance(note, Note)]
        sent = sum(note.kind == "published" for note in notes)
        failed = sum(note.kind == "failed" for note in notes)
        words = {0: "nothing would be published", 1: "1 message would be published"}
        text = words.get(sent, f"{sent} messages would be published")
        if failed:
            text += f"; {self.paint('a step failed' if failed == 1 else f'{failed} failures', _RED)}"
        yield text
        if trace.is_cut_short:
            yield self.paint(f"after {round(trace.lasted, 3):g} s there is still something to come (`--for`)", _DIM)

    def paint(self, text: str, style: str) -> str:
        """The text in a colour, if there are colours."""
        return paint(text, style, color=self.color)


def shown_message(message: Message) -> str:
    """A message in a line."""
    rest = [f"QoS {message.qos}"] if message.qos else []
    rest += ["retained"] if message.retain else []
    rest += [f"{name}: {shown(value)}" for name, value in message.properties.items()]
    try:
        text = message.payload.decode()
    except UnicodeDecodeError:
        text = repr(message.payload)
    if not text.isprintable():
        text = repr(message.payload)
    return " ".join([message.topic, cut(text) or "(empty)", *([f"({', '.join(rest)})"] if rest else [])])


def message_from_json(shown: Mapping[str, Any]) -> Message:
    """The message of an object (see `message_as_json`); properties are as they are shown."""
    coded = shown.get("payload_base64")
    payload = shown["payload"].encode() if coded is None else base64.b64decode(coded)
    return Message(shown["topic"], payload, shown["qos"], shown["retain"], shown.get("properties", {}))


def shown(value: Any) -> str:
    """A value as JSON; bytes (see `plain`) as Python writes them, which tells them from text."""
    match value:
        case {"bytes": str(text), **rest} if not rest:
            value = text.encode()
        case {"bytes_base64": str(coded), **rest} if not rest:
            value = base64.b64decode(coded)
    if isinstance(value, bytes):
        return cut(repr(value))
    if isinstance(value, Mapping) or value is None or isinstance(value, str | int | float | list | tuple):
        return cut(json.dumps(value, ensure_ascii=False, default=repr))
    return cut(repr(value))


def cut(text: str) -> str:
    """A text, cut where it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
