"""Shows the first of many equal errors in full, and counts the rest."""

import logging
from dataclasses import field
from types import TracebackType

from flowrunner.clock import Clock, Timer
from flowrunner.diagnostics import Diagnostic
from flowrunner.message import Message
from flowrunner.records import dataclass
from flowrunner.run.live import LiveFlow
from flowrunner.run.report import Report

#: Seconds for which equal errors are counted instead of shown; different ones that are told apart at a time.
FOLD = 10.0
MOST_KINDS = 500

#: Errors at the place of one that was shown that are looked at meanwhile, and seconds between two looks: an error for
#: another reason is shown, too.
MOST_REASONS = 3
CALM = 0.3

_log = logging.getLogger("flowrunner.run")
_DEEPEST = 12
_LONGEST = 6  # turns after which an error that goes on is shown in full again
_Key = tuple[object, ...]


@dataclass(slots=True)
class Tally:
    """Errors of one kind at one place since the start: the frame of one of the last, how many, and when the last was.

    `last` is in seconds since 1970.
    """

    flow: str
    diagnostic: Diagnostic
    count: int = 0
    last: float = 0.0


@dataclass(slots=True)
class _Fold:
    flow: str
    tally: Tally | None = None
    count: int = 0
    turns: int = 0
    looks: int = 0
    looked: float = 0.0
    shown: list[str] = field(default_factory=list)


class Failures:
    """Errors of messages. Two are equal if the same flow raised the same type at the same place, for the same reason.

    Reasons are compared now and then only: who tries out one payload after the other sees what is wrong with each, and
    of a flood nobody wants to know it.

    `tallies` are for those who look at a runner or measure it, by flow, code, file and line.
    """

    def __init__(self, report: Report, clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._folds: dict[_Key, _Fold] = {}
        self._timers: dict[_Key, Timer] = {}
        self.tallies: dict[tuple[str, str, str, int], Tally] = {}

    def failed(self, flow: LiveFlow, error: Exception, origin: Message) -> None:
        """Count and report a message that a flow dropped."""
        flow.counting.dropped += 1
        key = (flow.name, type(error), *_place(error.__traceback__))
        is_first = self._is_first(key, flow.name)
        fold = self._folds[key]
        now = self._clock.time()
        if is_first or (fold.looks < MOST_REASONS and now - fold.looked >= CALM):
            fold.looks += not is_first
            fold.looked = now
            self._show(flow, error, origin, fold)
        if fold.tally is not None:
            fold.tally.count += 1
            fold.tally.last = self._clock.now()

    def _show(self, flow: LiveFlow, error: Exception, origin: Message, fold: _Fold) -> None:
        """Show an error, unless the same was shown."""
        diagnostic: Diagnostic | None = None
        try:
            diagnostic = flow.explain(error, origin)
        except Exception:  # noqa: BLE001 - a mistake of ours, which must not cost more than its frame
            reason = f"{flow.name}: {type(error).__name__}: {error}"
        else:
            reason = diagnostic.message
            fold.tally = self._tally(flow.name, diagnostic)
        if reason in fold.shown:
            return
        if fold.shown:
            fold.count -= 1
        fold.shown.append(reason)
        if diagnostic is None:
            self._report.say("failed", reason, level="error", flow=flow.name)
        else:
            self._report.frame(diagnostic, event="failed", flow=flow.name)

    def tell(self, event: str, text: str, *, alike: object, level: str = "error") -> None:
        """Report trouble that has no place in a file; what is `alike` is folded in the same way."""
        if self._is_first((event, alike), ""):
            self._report.say(event, text, level=level)

    def stop(self) -> None:
        """Say what was counted and not yet said."""
        for key, fold in list(self._folds.items()):
            self._say_more(fold)
            self._forget(key)

    def _tally(self, flow: str, diagnostic: Diagnostic) -> Tally:
        """Where errors like this one are counted."""
        key = (flow, diagnostic.code, diagnostic.span.source.name, diagnostic.span.line)
        if key not in self.tallies and len(self.tallies) >= MOST_KINDS:
            del self.tallies[next(iter(self.tallies))]
        tally = self.tallies.setdefault(key, Tally(flow, diagnostic))
        tally.diagnostic = diagnostic
        return tally

    def _is_first(self, key: _Key, flow: str) -> bool:
        fold = self._folds.get(key)
        if fold is not None:
            fold.count += 1
            return False
        if len(self._folds) >= MOST_KINDS:
            oldest = next(iter(self._folds))
            self._say_more(self._folds[oldest])
            self._forget(oldest)
        self._folds[key] = _Fold(flow)
        self._wait(key)
        return True

    def _wait(self, key: _Key) -> None:
        self._timers[key] = self._clock.call_at(self._clock.time() + FOLD, lambda: self._turn(key))

    def _turn(self, key: _Key) -> None:
        fold = self._folds[key]
        fold.turns += 1
        fold.looks = 0
        is_going_on = fold.count > 0 and fold.turns < _LONGEST
        self._say_more(fold)
        if is_going_on:
            self._wait(key)
        else:
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        del self._folds[key]
        self._timers.pop(key).cancel()

    def _say_more(self, fold: _Fold) -> None:
        if fold.count:
            name = f" in `{fold.flow}`" if fold.flow else ""
            self._report.more(f"and {{count}} more like this{name} in the last {FOLD:.0f} s", count=fold.count)
            fold.count = 0


def _place(trace: TracebackType | None) -> list[int]:
    """Where an error was raised, as numbers that are cheap to compare: instructions of the code outside this room."""
    place: list[int] = []
    while trace is not None and len(place) < _DEEPEST:
        code = trace.tb_frame.f_code
        if trace.tb_frame.f_globals.get("__package__") != __package__:
            place += (id(code), trace.tb_lasti)
        trace = trace.tb_next
    return place
