"""Turns messages that go round through the broker faster than anybody could want into a line that names the ring."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from flowrunner.clock import Clock, Timer
from flowrunner.diagnostics import name_list
from flowrunner.expressions import Template
from flowrunner.read.delivery import all_steps_of
from flowrunner.read.loops import may_reach
from flowrunner.records import dataclass
from flowrunner.run.live import LiveFlow
from flowrunner.run.report import Report
from flowrunner.sources import Subscribe

#: Messages in a turn (of so many seconds) that are suspicious, and turns in a row for which they must come.
LEAST = 100
PATIENCE = 3
TURN = 1.0

#: Seconds of a closer look, for which a ring is cut, and between two closer looks that find nothing.
LOOK = 1.0
CUT = 1.0
PAUSE = 30.0

#: The part of what comes into a ring that may come from elsewhere: in a ring it is the same messages again and again.
MOST_FOREIGN = 0.1

#: Flows that are looked at together, and topics of each.
MOST_FLOWS = 50
MOST_TOPICS = 1_000


class Watched(Protocol):
    """What shows every message while somebody looks; see `Traffic`."""

    def look_closely(self, sample: "Sample | None") -> None:
        """Give a sample all messages from now on; None ends that."""


@dataclass(slots=True)
class Sample:
    """What went in and out of flows during a closer look, by flow and topic; what is in `cut` does not get in."""

    came: dict[str, Counter[str]] = field(default_factory=dict)
    went: dict[str, Counter[str]] = field(default_factory=dict)
    cut: frozenset[tuple[str, str]] = frozenset()
    dropped: int = 0

    def comes(self, flow: str, topic: str) -> bool:
        """Count a message that comes to a flow; whether it gets in."""
        if (flow, topic) in self.cut:
            self.dropped += 1
            return False
        _count(self.came, flow, topic)
        return True

    def goes(self, flow: str, topic: str) -> None:
        """Count a message that a flow publishes."""
        _count(self.went, flow, topic)


@dataclass(frozen=True, slots=True)
class Ring:
    """Flows that feed each other, through these topics, with so many messages during the closer look."""

    flows: tuple[str, ...]
    ways: frozenset[tuple[str, str]]
    count: int


class LoopGuard:
    """Looks once a second whether much comes in; only then closer, and only where flows may hear what they publish."""

    def __init__(
        self, watched: Watched, clock: Clock, report: Report, flows: Callable[[], Mapping[str, LiveFlow]]
    ) -> None:
        self._watched = watched
        self._clock = clock
        self._report = report
        self._flows = flows
        self._before: dict[LiveFlow, int] = {}
        self._seconds = 0
        self._rest_until = 0.0
        self._sample: Sample | None = None
        self._timer: Timer | None = clock.call_at(clock.time() + TURN, self._turn)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watched.look_closely(None)

    def _turn(self) -> None:
        hot = self._hot()
        self._seconds = self._seconds + 1 if hot else 0
        if self._seconds >= PATIENCE and self._clock.time() >= self._rest_until and may_go_round(hot):
            self._sample = Sample()
            self._watched.look_closely(self._sample)
            self._wait(LOOK, self._judge)
        else:
            self._wait(TURN, self._turn)

    def _hot(self) -> list[LiveFlow]:
        """The flows to which much came in the last second; none where it is not much together."""
        flows = list(self._flows().values())
        rates = {flow: flow.received - self._before.get(flow, flow.received) for flow in flows}
        self._before = {flow: flow.received for flow in flows}
        if sum(rates.values()) < LEAST:
            return []
        hot = sorted((flow for flow in flows if rates[flow] * 10 >= LEAST), key=lambda flow: -rates[flow])
        return hot[:MOST_FLOWS]

    def _judge(self) -> None:
        """Look at what was counted, and cut what goes round."""
        assert self._sample is not None
        rings = rings_in(self._sample.came, self._sample.went)
        self._seconds = 0
        if not rings:
            self._rest_until = self._clock.time() + PAUSE
            self._end(())
            return
        self._sample = Sample(cut=frozenset(way for ring in rings for way in ring.ways))
        self._watched.look_closely(self._sample)
        self._wait(CUT, lambda: self._end(rings))

    def _end(self, rings: Sequence[Ring]) -> None:
        dropped = self._sample.dropped if self._sample is not None else 0
        self._sample = None
        self._watched.look_closely(None)
        for ring in rings:
            topics = sorted({topic for _, topic in ring.ways})
            shown = ", ".join(f"`{topic[:60]}`" for topic in topics[:3]) + (" ..." if len(topics) > 3 else "")
            verb = "hears itself" if len(ring.flows) == 1 else "hear each other"
            words = (
                f"{name_list(ring.flows)} {verb} through {shown}, {ring.count} messages a second: the ring was cut, "
                f"and they dropped {dropped}; publish elsewhere, or subscribe with `no_local`"
            )
            self._report.say("loop", words, level="error", flows=list(ring.flows), topics=topics[:20], dropped=dropped)
        self._hot()
        self._wait(TURN, self._turn)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = self._clock.call_at(self._clock.time() + seconds, then)


def may_go_round(flows: Sequence[LiveFlow]) -> bool:
    """Whether messages of these flows may come back to them, over whatever connection; what is unknown may."""
    return bool(_knots({flow.name: [other.name for other in flows if _may_feed(flow, other)] for flow in flows}))


def _may_feed(flow: LiveFlow, other: LiveFlow) -> bool:
    heard = [source.filter for source in other.program.flow.sources if isinstance(source, Subscribe)]
    if not hasattr(flow.program.flow, "steps"):
        return bool(heard)
    came = [source.filter for source in flow.program.flow.sources if isinstance(source, Subscribe)]
    for step in all_steps_of(flow.program.flow):
        topic = getattr(step, "topic", None)
        if step.KEY == "reply" or step.IS_CALL:
            return bool(heard)
        if step.KEY != "publish" or not isinstance(topic, Template):
            continue
        if not isinstance(topic.parts[0] if topic.parts else "", str):
            return bool(heard)  # one value may be many levels
        if any(may_reach(topic, one, way) for one in heard for way in came or [one]):
            return True
    return False


def rings_in(came: Mapping[str, Counter[str]], went: Mapping[str, Counter[str]]) -> list[Ring]:
    """The rings in what came and went: flows that feed each other, and are fed by hardly anybody else."""
    feeds = {
        flow: [other for other, heard in came.items() if not topics.keys().isdisjoint(heard)]
        for flow, topics in went.items()
    }
    return [ring for knot in _knots(feeds) if (ring := _ring(knot, came, went)) is not None]


def _ring(knot: frozenset[str], came: Mapping[str, Counter[str]], went: Mapping[str, Counter[str]]) -> Ring | None:
    said: Counter[str] = Counter()
    for flow in knot:
        said.update(went.get(flow, {}))
    heard = {flow: came.get(flow, Counter()) for flow in knot}
    total = sum(sum(topics.values()) for topics in heard.values())
    own = sum(min(count, said[topic]) for topics in heard.values() for topic, count in topics.items())
    if total < LEAST * LOOK or own < total * (1 - MOST_FOREIGN):
        return None
    ways = frozenset((flow, topic) for flow, topics in heard.items() for topic in topics if said[topic])
    return Ring(tuple(sorted(knot)), ways, total)


def _knots(feeds: Mapping[str, Iterable[str]]) -> list[frozenset[str]]:
    """The sets of flows in which each can be reached from each, with a way back to itself."""
    reached = {flow: _reach(flow, feeds) for flow in feeds}
    found: dict[frozenset[str], None] = {}
    for flow, others in reached.items():
        if flow in others:
            found[frozenset(other for other in others if flow in reached.get(other, ()))] = None
    return list(found)


def _reach(flow: str, feeds: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [flow]
    while waiting:
        for other in feeds.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _count(counts: dict[str, Counter[str]], flow: str, topic: str) -> None:
    topics = counts.setdefault(flow, Counter())
    if topic in topics or len(topics) < MOST_TOPICS:
        topics[topic] += 1
