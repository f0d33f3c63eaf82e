"""Turns the last messages of an edited flow into what they would have become before and after the edit."""

from collections.abc import Iterator, Sequence
from typing import Any

from flowrunner.compile import Program, compile_flow
from flowrunner.frame import visible
from flowrunner.records import dataclass
from flowrunner.run.dry import Outcome, run_dry
from flowrunner.run.dry_host import Effect, Effects
from flowrunner.run.preview import preview
from flowrunner.run.recent import Arrived
from flowrunner.run.report import Report

#: Seconds that the messages may take with one version: nothing else runs meanwhile.
PATIENCE = 0.02

#: Seconds that pass behind the last message, so that what waits for silence comes out.
AFTERWARDS = 60.0

#: Messages that are shown, and what each became.
_MOST_SHOWN = 3
_MOST_EFFECTS = 5
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Pair:
    """What one message became, or (None) what came when its time had come, with both versions."""

    arrived: Arrived | None
    old: Effects
    new: Effects

    @property
    def is_same(self) -> bool:
        """Whether the edit makes no difference."""
        return self.old == self.new


@dataclass(frozen=True, slots=True)
class Preview:
    """What the last messages of a flow became with both versions, as far as there was time to try them."""

    flow: str
    pairs: tuple[Pair, ...]

    @property
    def messages(self) -> int:
        """How many messages were tried."""
        return sum(pair.arrived is not None for pair in self.pairs)

    @property
    def differing(self) -> tuple[Pair, ...]:
        """Those for which the edit makes a difference."""
        return tuple(pair for pair in self.pairs if not pair.is_same)


def compare(old: Program, new: Program, arrived: Sequence[Arrived], *, until: float, now: float) -> Preview:
    """Run the messages through both versions, on the side, each with an empty memory, and let a minute pass then.

    `until` is the time of the clock by which they arrived, `now` (seconds since 1970) what a watch says at that time.
    """
    until, now = until + AFTERWARDS, now + AFTERWARDS
    old, new = (compile_flow(one.flow) if one.is_remote else one for one in (old, new))
    with_old = run_dry(old, arrived, until=until, now=now, seconds=PATIENCE)
    tried = arrived[: len(with_old.messages)]
    with_new = run_dry(new, tried, until=until, now=now, seconds=PATIENCE)
    return Preview(new.flow.name, tuple(_pairs(arrived, with_old, with_new)))


def _pairs(arrived: Sequence[Arrived], old: Outcome, new: Outcome) -> Iterator[Pair]:
    is_complete = len(old.messages) == len(new.messages) == len(arrived)
    for message, before, after in zip(arrived, old.messages, new.messages, strict=False):
        yield Pair(message, before, after)
    if is_complete and (old.later or new.later):
        yield Pair(None, old.later, new.later)


def show(preview: Preview, report: Report) -> None:
    """Show a short difference to people; nothing where no message is known."""
    if preview.messages:
        report.show("".join(f"{line}\n" for line in lines_of(preview, report)))


def lines_of(preview: Preview, report: Report) -> Iterator[str]:
    """The lines of a difference: a message, and what it became before (`-`) and becomes now (`+`)."""
    last = f"the last {preview.messages} messages" if preview.messages > 1 else "the last message"
    differing = preview.differing
    if not differing:
        yield report.paint(f"         {last} of {preview.flow} would have come to the same", "dim")
        return
    yield f"{last} of {preview.flow} before and after the edit, on the side:"
    for pair in differing[:_MOST_SHOWN]:
        yield from _lines_of_pair(pair, report)
    more = [f"{len(differing) - _MOST_SHOWN} more differ"] if len(differing) > _MOST_SHOWN else []
    same = sum(pair.is_same and pair.arrived is not None for pair in preview.pairs)
    more += [f"{same} come to the same"] if same else []
    if more:
        yield report.paint(f"  ... {', '.join(more)}", "dim")


def _lines_of_pair(pair: Pair, report: Report) -> Iterator[str]:
    if pair.arrived is None:
        yield report.paint("  when their time had come", "dim")
    else:
        yield "  " + report.paint(f"← {_shown(pair.arrived.topic, pair.arrived.payload)}", "in")
    gone = [effect for effect in pair.old if effect not in pair.new]
    come = [effect for effect in pair.new if effect not in pair.old]
    if not gone and not come:  # the same in another order, or not as often
        gone, come = list(pair.old), list(pair.new)
    yield from _side("-", gone, "error", report, is_nothing=not pair.old)
    yield from _side("+", come, "good", report, is_nothing=not pair.new)


def _side(sign: str, effects: Sequence[Effect], style: str, report: Report, *, is_nothing: bool) -> Iterator[str]:
    shown = [text_of(effect) for effect in effects[:_MOST_EFFECTS]]
    shown += [f"... and {len(effects) - _MOST_EFFECTS} more"] if len(effects) > _MOST_EFFECTS else []
    shown += ["nothing"] if is_nothing else []
    for text in shown:
        yield report.paint(f"{sign}   {text}", style)


def text_of(effect: Effect) -> str:
    """An effect in a line."""
    if effect.payload is None:
        return f"{effect.mark} {visible(effect.text)[:_WIDTH]}"
    qos, retain, _, connection = effect.rest if isinstance(effect.rest, tuple) else (0, False, "", "default")
    notes = [f"QoS {qos}"] if qos else []
    notes += ["retain"] if retain else []
    notes += [f"on {connection}"] if connection != "default" else []
    shown = f"  ({', '.join(notes)})" if notes else ""
    return f"{effect.mark} {_shown(effect.text, effect.payload)}{shown}"


def _shown(topic: str, payload: Any) -> str:
    topic = visible(topic)
    return f"{topic}  {preview(payload, most=max(_WIDTH - len(topic), 16))}"


def as_json(preview: Preview) -> dict[str, Any]:
    """A difference for other programs: how many messages, and those that differ with what became of them."""
    shown = [
        {
            "topic": pair.arrived.topic if pair.arrived else None,
            "before": [text_of(effect) for effect in pair.old[:_MOST_EFFECTS]],
            "after": [text_of(effect) for effect in pair.new[:_MOST_EFFECTS]],
        }
        for pair in preview.differing[:_MOST_SHOWN]
    ]
    differing = sum(pair.arrived is not None for pair in preview.differing)
    return {"flow": preview.flow, "messages": preview.messages, "differing": differing, "shown": shown}
