"""Keeps the last retained message of each topic, and finds those that a new subscription gets."""

from collections.abc import Iterator

from flowrunner.broker.limits import Limits
from flowrunner.broker.message import Message
from flowrunner.topics import Filter


class _Place:
    __slots__ = ("below", "message")

    def __init__(self) -> None:
        self.message: Message | None = None
        self.below: dict[str, _Place] = {}


class Retained:
    """The retained messages by topic (MQTT 5.0 section 3.3.1.3), within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._root = _Place()
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def keep(self, topic: str, message: Message) -> bool:
        """Keep a message, or forget the topic's if its payload is empty; false if there is no more room."""
        if not message.payload:
            self.forget(topic)
            return True
        place = self._find(topic)
        old = None if place is None else place.message
        more = len(message.payload) - (0 if old is None else len(old.payload))
        is_new = old is None
        if self._count + is_new > self._limits.retained_messages:
            return False
        if self._bytes + more > self._limits.retained_bytes:
            return False
        self._count += is_new
        self._bytes += more
        self._make(topic).message = message
        return True

    def forget(self, topic: str) -> None:
        """Let go of a topic's message."""
        path = [("", self._root)]
        for level in topic.split("/"):
            place = path[-1][1].below.get(level)
            if place is None:
                return
            path.append((level, place))
        message = path[-1][1].message
        if message is None:
            return
        path[-1][1].message = None
        self._count -= 1
        self._bytes -= len(message.payload)
        while len(path) > 1:
            level, place = path.pop()
            if place.message is not None or place.below:
                return
            del path[-1][1].below[level]

    def find(self, topic_filter: Filter, now: float) -> list[tuple[str, Message]]:
        """Return the messages of a filter's topics by topic; those that expired meanwhile are forgotten."""
        found, expired = [], []
        for topic, message in self._walk(topic_filter.levels):
            if message.is_expired(now):
                expired.append(topic)
            else:
                found.append((topic, message))
        for topic in expired:
            self.forget(topic)
        return found

    def _walk(self, levels: tuple[str, ...]) -> Iterator[tuple[str, Message]]:
        waiting = [(self._root, 0)]
        while waiting:
            place, depth = waiting.pop()
            wanted = levels[min(depth, len(levels) - 1)]
            has_rest = wanted == "#"
            if place.message is not None and depth and (depth == len(levels) or has_rest):
                yield place.message.topic.decode(), place.message
            if depth >= len(levels) and not has_rest:
                continue
            if wanted in ("+", "#"):
                below = [branch for level, branch in place.below.items() if depth or level[:1] != "$"]
            else:
                below = [place.below[wanted]] if wanted in place.below else []
            waiting.extend((branch, depth + 1) for branch in reversed(below))

    def _find(self, topic: str) -> _Place | None:
        place: _Place | None = self._root
        for level in topic.split("/"):
            if place is None:
                return None
            place = place.below.get(level)
        return place

    def _make(self, topic: str) -> _Place:
        place = self._root
        for level in topic.split("/"):
            below = place.below.get(level)
            if below is None:
                below = place.below[level] = _Place()
            place = below
        return place
