"""Turns a test that failed into text: the frame, expected and published messages side by side, the step's own error."""

from collections.abc import Iterator

from flowrunner.frame import draw, visible
from flowrunner.jsons import to_payload
from flowrunner.quantities import format_duration
from flowrunner.read.cases import Expected
from flowrunner.trial.case import Result
from flowrunner.trial.compare import Pair, differences, shown_payload
from flowrunner.trial.host import Published

#: Messages, differences, errors and lines of `log` that one test shows.
_MOST_PAIRS = 40
_MOST_DIFFERENCES = 10
_MOST_ERRORS = 3
_MOST_LOGGED = 10

_STYLES = {"-": "31", "+": "32", "~": "33", " ": "2"}


def show(result: Result, *, color: bool = False) -> str:
    """All that helps with a test that failed; ends with a line end."""
    assert result.failure is not None
    parts = [draw(result.failure, color=color)]
    if result.pairs:
        parts.append("".join(f"{line}\n" for line in _lines(result, color=color)))
    if notes := [*_notes(result)]:
        parts.append("".join(f"note: {note}\n" for note in notes))
    if logged := result.outcome.logged[:_MOST_LOGGED]:
        parts.append("".join(f"log: {level}: {visible(text)}\n" for level, text in logged))
    shown = list(dict.fromkeys(result.outcome.errors))
    if shown:
        count = f" ({len(result.outcome.errors)} times)" if len(result.outcome.errors) > 1 else ""
        parts.append(f"\na step failed in this test{count}:\n\n")
        parts += ["\n".join(draw(error, color=color) for error in shown[:_MOST_ERRORS])]
    return "".join(parts)


def _notes(result: Result) -> Iterator[str]:
    for topic in dict.fromkeys(result.outcome.unheard):
        yield f"no `subscribe` of the flow `{result.flow.name}` takes the topic `{visible(topic)}`"
    rest = result.outcome.rest
    if rest is not None and any(pair.got is None for pair in result.pairs):
        after = format_duration(round(rest, 3))
        yield f"a step waits when the test ends, and would go on in {after}: `given` may need `{{after: {after}}}`"


def _lines(result: Result, *, color: bool) -> Iterator[str]:
    yield _paint("expected (-) and published (+):", "1", color=color)
    shown = result.pairs[:_MOST_PAIRS]
    for pair in shown:
        for mark, text in _lines_of(pair):
            yield _paint(f"  {mark} {text}".rstrip(), _STYLES[mark], color=color)
    if len(result.pairs) > len(shown):
        yield f"    ... and {len(result.pairs) - len(shown)} more"


def _lines_of(pair: Pair) -> Iterator[tuple[str, str]]:
    if pair.is_same:
        assert pair.got is not None
        yield " ", shown_message(pair.got)
        return
    if pair.expected is not None:
        yield "-", shown_expected(pair.expected)
    if pair.got is not None:
        yield "+", shown_message(pair.got)
    if pair.expected is not None and pair.got is not None:
        found = list(differences(pair.expected, pair.got))
        for text in found[:_MOST_DIFFERENCES]:
            yield "~", f"  {visible(text)}"
        if len(found) > _MOST_DIFFERENCES:
            yield "~", f"  ... and {len(found) - _MOST_DIFFERENCES} more differences"


def shown_expected(expected: Expected) -> str:
    """An expected message in a line, as far as it says what it is."""
    parts = [visible(expected.topic) if expected.topic is not None else "(any topic)"]
    if expected.has_payload:
        parts.append(shown_payload(to_payload(expected.payload)))
    if expected.qos is not None:
        parts.append(f"QoS {expected.qos}")
    if expected.retain is not None:
        parts.append("retain" if expected.retain else "not retained")
    if expected.properties is not None:
        parts.append(f"properties {expected.properties}")
    return "  ".join(parts)


def shown_message(message: Published) -> str:
    """A published message in a line."""
    parts = [visible(message.topic), shown_payload(message.payload)]
    parts += [f"QoS {message.qos}"] if message.qos else []
    parts += ["retain"] if message.retain else []
    parts += [f"properties {dict(message.properties)}"] if message.properties else []
    parts += [f"on {message.connection}"] if message.connection != "default" else []
    parts += [f"(after {format_duration(round(message.time, 3))})"] if message.time >= 0.001 else []
    return "  ".join(parts)


def _paint(text: str, style: str, *, color: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if color else text
