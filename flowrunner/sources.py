"""Says where the messages of a flow come from: subscriptions, ticks and the start."""

from dataclasses import field
from typing import Any, Literal

from flowrunner.records import dataclass
from flowrunner.schedules import Schedule
from flowrunner.text import Span
from flowrunner.topics import Filter

Retained = Literal["all", "new", "only"]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Messages of a topic filter (MQTT 5.0 section 3.8).

    `qos` (0 to 2) is the highest that the flow wants; `retained` says whether it wants what the broker kept
    from before; `no_local` leaves out what the connection itself published; `share` is the group of a shared
    subscription, which `filter` already holds; `connection` is a name under `connections:`.
    """

    filter: Filter
    qos: int = 0
    retained: Retained = "all"
    no_local: bool = False
    share: str | None = None
    connection: str = "default"
    span: Span | None = field(default=None, compare=False)

    def takes(self, *, retain: bool) -> bool:
        """Whether it wants a message with this retain flag, of which a broker sets those that it kept from before."""
        return self.retained == "all" or (self.retained == "only") == retain


@dataclass(frozen=True, slots=True)
class Every:
    """A tick every `interval` seconds, each up to `jitter` seconds late; `count` ends them, None never does.

    With `immediately` the first one comes at once, else after one interval. The payload is the number of the
    tick, from 1; the topic is `every/FLOW`, which is not published.
    """

    interval: float
    jitter: float = 0.0
    count: int | None = None
    immediately: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cron:
    """A tick whenever the schedule is due; its payload is its number, from 1, its topic `cron/FLOW`."""

    schedule: Schedule
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AtStart:
    """One message when the flow starts; its topic is `at_start/FLOW`, which is not published."""

    payload: Any = True
    span: Span | None = field(default=None, compare=False)


Source = Subscribe | Every | Cron | AtStart
