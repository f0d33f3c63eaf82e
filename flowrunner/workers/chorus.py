"""Turns what several workers report into lines: what all of them say is said once."""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from flowrunner.clock import Clock, Timer
from flowrunner.diagnostics import Diagnostic
from flowrunner.records import dataclass
from flowrunner.run.failures import FOLD
from flowrunner.run.live import base_name
from flowrunner.run.report import Report
from flowrunner.run.traffic import MOST_AT_ONCE, MOST_LINES, MOST_LOG_LINES, SECOND
from flowrunner.workers.orders import Said

#: News that is the same for all workers, mostly: seconds to wait for the others before it is said of some.
PATIENCE = 0.5
ECHO = 5.0  # for which a client of a worker says nothing that its other one has said
CHORAL = frozenset(
    {
        "connected",
        "away",
        "lost",
        "not-subscribed",
        "session-lost",
        "limit",
        "unknown-paho",
        "not-started",
        "stale",
        "not-reloadable",
        "loop",
        "state-away",
        "state-back",
        "state-connected",
        "state-failed",
        "state-kept",
        "state-broken",
    }
)
#: News that holds for one worker alone only where all the others say it too, however long that takes.
UNANIMOUS = frozenset({"silence"})

_MORE_LINES = "and {count} more in the last second"
_MORE_LOGGED = "and {count} more lines of `log`"


@dataclass(slots=True)
class _Voices:
    """News, and who has told it."""

    event: str
    text: str
    level: str
    flow: str
    fields: Mapping[str, Any]
    workers: set[int] = field(default_factory=set)
    clients: set[tuple[int, str]] = field(default_factory=set)
    timer: Timer | None = None


class Chorus:
    """Shows what workers have to say. `there` gives the numbers of those that are there."""

    def __init__(self, report: Report, clock: Clock, there: Callable[[], frozenset[int]]) -> None:
        self._report = report
        self._clock = clock
        self._there = there
        self._voices: dict[tuple[object, ...], _Voices] = {}
        self._frames: dict[tuple[object, ...], tuple[int, Timer]] = {}
        self._told: dict[tuple[object, ...], tuple[float, set[tuple[int, str]]]] = {}
        self._lines = _Allowance(clock, MOST_LINES, MOST_AT_ONCE)
        self._logged = _Allowance(clock, MOST_LOG_LINES, MOST_LOG_LINES)
        self._more: dict[str, int] = {}
        self._more_timer: Timer | None = None

    def hear(self, worker: int, said: Said) -> None:
        """Show lines of a worker, now or when others have told the same."""
        for method, given, named in said.lines:
            match method:
                case "say":
                    self._hear_news(worker, *given, **named)
                case "frame":
                    self._hear_frame(worker, *given, **named)
                case "message":
                    if self._lines.take():
                        self._report.message(*given, **named, worker=worker)
                    else:
                        self._count(_MORE_LINES, 1)
                case "logged":
                    if self._logged.take():
                        self._report.logged(*given, **named, worker=worker)
                    else:
                        self._count(_MORE_LOGGED, 1)
                case "more":
                    self._count(*given, **named)
                case _:
                    self._report.show(*given)

    def stop(self) -> None:
        """Say what was not said yet."""
        for key in list(self._voices):
            self._tell(key)
        for _, timer in self._frames.values():
            timer.cancel()
        self._frames.clear()
        self._say_more()

    def _hear_news(
        self, worker: int, event: str, text: str, *, level: str = "info", flow: str = "", **fields: Any
    ) -> None:
        if event not in CHORAL | UNANIMOUS:
            text = f"  worker {worker}:{text}" if event == "protocol" else text
            self._report.say(event, text, level=level, flow=flow, **fields, worker=worker)
            return
        name = str(fields.get("connection", ""))
        base = base_name(name)
        if base != name:
            text = text.replace(f"{name}: ", "" if base == "default" else f"{base}: ", 1)
            fields["connection"] = base
        key = (event, flow, base, fields.get("filter"), "" if "away" in fields else text)
        if self._is_echo(key, worker, name):
            return
        voices = self._voices.get(key)
        if voices is None:
            voices = self._voices[key] = _Voices(event, text, level, flow, fields)
            if event in CHORAL:
                voices.timer = self._clock.call_at(self._clock.time() + PATIENCE, lambda: self._tell(key))
        voices.workers.add(worker)
        voices.clients.add((worker, name))
        if voices.workers >= self._there():
            self._tell(key)

    def _is_echo(self, key: tuple[object, ...], worker: int, name: str) -> bool:
        """Whether a worker has said it just now, of its other client."""
        at, clients = self._told.get(key, (0.0, set[tuple[int, str]]()))
        others = {client for client in clients if client[0] == worker}
        return bool(others) and (worker, name) not in others and self._clock.time() - at < ECHO

    def _tell(self, key: tuple[object, ...]) -> None:
        voices = self._voices.pop(key)
        if voices.timer is not None:
            voices.timer.cancel()
        there = self._there()
        if voices.event in UNANIMOUS:
            if voices.workers >= there:
                self._report.say(voices.event, voices.text, level=voices.level, flow=voices.flow, **voices.fields)
            return
        self._told[key] = (self._clock.time(), voices.clients)
        whole = len(voices.workers) > 1 and voices.workers >= there
        text = f"{voices.text} ({f'{len(voices.workers)} workers' if whole else _named(voices.workers)})"
        numbers = sorted(voices.workers)
        named = {"worker": numbers[0]} if len(numbers) == 1 else {"workers": numbers}
        self._report.say(voices.event, text, level=voices.level, flow=voices.flow, **voices.fields, **named)

    def _hear_frame(self, worker: int, diagnostic: Diagnostic, *, event: str, flow: str = "", **fields: Any) -> None:
        """Show a frame, once for all workers; after a while it is news again."""
        span = diagnostic.span
        key = (event, flow, diagnostic.code, span.source.name, span.line)
        known = self._frames.get(key)
        if known is not None and known[0] != worker:
            self._count(f"and {{count}} more like this in `{flow}` in the last {FOLD:.0f} s", int(event == "failed"))
            return
        if known is None:
            timer = self._clock.call_at(self._clock.time() + FOLD, lambda: self._frames.pop(key, None))
            self._frames[key] = (worker, timer)
        self._report.frame(diagnostic, event=event, flow=flow, **fields, worker=worker)

    def _count(self, text: str, count: int) -> None:
        """Add up what was not shown, and say so once a second."""
        if count:
            self._more[text] = self._more.get(text, 0) + count
            if self._more_timer is None:
                self._more_timer = self._clock.call_at(self._clock.time() + SECOND, self._say_more)

    def _say_more(self) -> None:
        if self._more_timer is not None:
            self._more_timer.cancel()
            self._more_timer = None
        more, self._more = self._more, {}
        for text, count in more.items():
            self._report.more(text, count=count)


class _Allowance:
    """So many lines in a second, and at once after a pause."""

    def __init__(self, clock: Clock, rate: int, most: int) -> None:
        self._clock = clock
        self._rate = rate
        self._most = most
        self._left = float(most)
        self._filled_at = clock.time()

    def take(self) -> bool:
        """Take a line, if there is one."""
        now = self._clock.time()
        self._left = min(self._left + (now - self._filled_at) * self._rate, self._most)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _named(workers: set[int]) -> str:
    numbers = ", ".join(map(str, sorted(workers)))
    return f"worker{'' if len(workers) == 1 else 's'} {numbers}"
