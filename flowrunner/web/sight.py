"""Turns taps into what is seen of one flow: how many messages meet each step, and some of them in full."""

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowrunner.compile.function import name_steps
from flowrunner.compile.taps import Where
from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.remembering import KeepingStep
from flowrunner.run.tapping import Watcher
from flowrunner.step import Step
from flowrunner.web.payloads import show, show_names, show_properties

#: Messages in a tick that take the tapped way through a flow; the others take the plain one, and cost nothing.
MOST = 250

#: Looks at messages in full that one tick takes, and messages that can be asked for again.
MOST_SHOWN = 60
MOST_KEPT = 200

_INDEX: Mapping[Where, int] = {"in": 0, "out": 1, "skipped": 2}

Record = dict[str, Any]


@dataclass(slots=True)
class Counts:
    """What met one step since somebody looks: messages in, out, and skipped by its `when`.

    They count those that took the tapped way; where all of them do (`is_exact`), nothing is to be scaled.
    """

    seen: list[int] = field(default_factory=lambda: [0, 0, 0])
    is_exact: bool = False


class Sight(Watcher):
    """What is seen of a flow.

    `left` is how many messages may still take the tapped way in this tick, `entered` how many did. `wanted` are the
    steps of which messages are shown in full; `records` are these, until they are taken.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow, MOST)
        self.counts = {name: Counts(is_exact=exact) for name, exact in _exactness(flow).items()}
        self.wanted: frozenset[str] = frozenset()
        self.records: list[Record] = []
        self.missed = 0
        self.kept: deque[tuple[int, tuple[Any, ...]]] = deque(maxlen=MOST_KEPT)
        self._number_of_last = 0
        self._room = MOST_SHOWN

    @property
    def closely(self) -> frozenset[str]:
        """See `Watcher`."""
        return self.wanted

    def count(self, where: Where, step: str, times: int, /) -> None:
        """See `Watcher`."""
        self.counts[step].seen[_INDEX[where]] += times

    def look(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any], /) -> None:
        """See `Watcher`."""
        if step in self.wanted:
            if self._room > 0:
                self._room -= 1
                self.records.append(self._record(where, step, origin, values))
            else:
                self.missed += 1

    def want(self, steps: Collection[str]) -> None:
        """Show messages of these steps in full from now on, and of no others."""
        self.wanted = frozenset(steps)
        if not self.wanted:
            self.records.clear()
            self.kept.clear()

    def tick(self) -> None:
        """Begin another tick."""
        self.left, self._room = MOST, MOST_SHOWN

    def take(self) -> tuple[list[Record], int]:
        """What was seen in full since the last time, and how many looks were left out."""
        taken = self.records, self.missed
        self.records, self.missed = [], 0
        return taken

    def origin(self, number: int) -> Message | None:
        """What arrived as the message of a number, if it is still known."""
        for known, origin in self.kept:
            if known == number and isinstance(origin[1], bytes):
                topic, payload, qos, retain, properties = origin
                return Message(topic, payload, qos, retain, properties)
        return None

    def _number(self, origin: tuple[Any, ...]) -> int:
        """The number of a message: the same on all its ways."""
        for pair in reversed(self.kept):
            if pair[1] is origin:
                number: int = pair[0]
                return number
        self._number_of_last += 1
        self.kept.append((self._number_of_last, origin))
        return self._number_of_last

    def _record(self, where: Where, step: str, origin: tuple[Any, ...], values: dict[str, Any]) -> Record:
        return {
            "flow": self.flow.name,
            "step": step,
            "where": where,
            "message": self._number(origin),
            "time": self.at.now if self.at is not None else time.time(),
            "topic": str(values.get("topic", origin[0])),
            "qos": origin[2],
            "retain": bool(origin[3]),
            "properties": show_properties(origin[4]),
            "payload": show(values.get("payload")),
            "names": show_names(values),
            "can_repeat": isinstance(origin[1], bytes),
        }


def _exactness(flow: Flow) -> dict[str, bool]:
    """The steps of a flow by name, and whether every message takes the tapped way there.

    Behind a step that holds messages it does: that way goes on in the version that holds the step's state.
    """
    names = name_steps(flow)
    found: dict[str, bool] = {}

    def look(steps: tuple[Step, ...], *, is_behind: bool) -> bool:
        for step in steps:
            found[names[id(step)]] = is_behind
            inner = [look(tuple(branch), is_behind=is_behind) for branch in step.inner()]
            if step.at.on_error:
                look(step.at.on_error.steps, is_behind=is_behind)
            is_behind = is_behind or (step.IS_CALL and any(inner)) or (isinstance(step, KeepingStep) and step.is_cut())
        return is_behind

    look(flow.steps, is_behind=False)
    look(flow.on_error.steps, is_behind=False)
    return found
