"""Says what a supervisor asks of a worker so that it can be looked into, and what it is answered."""

from collections.abc import Mapping
from typing import Any, Protocol

from flowrunner.compile.taps import Where
from flowrunner.message import Properties
from flowrunner.records import dataclass
from flowrunner.workers.glance import Glance

Rooms = Mapping[int, int]
"""How many more messages may take the tapped way through flows, by the numbers of their taps."""

Closely = Mapping[int, frozenset[str] | None]
"""The steps at which somebody looks closely, by the numbers of taps; None for all of them, and what happens besides."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks how a worker is (`has_glance`), and what was seen in tapped flows since the last time.

    `states` are the flows of which the steps tell what they remember, None for all. `is_remembering` says whether the
    last messages are to be remembered from now on, `is_measuring` whether it is measured how long they take.
    """

    has_glance: bool = True
    states: tuple[str, ...] | None = ()
    rooms: Rooms | None = None
    closely: Closely | None = None
    is_remembering: bool = False
    is_measuring: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in one tapped flow; see `Watcher`."""

    tap: int
    entered: int
    passed: int
    counts: Mapping[tuple[Where, str], int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker answers to `Ask`; `looks` are packed rows, see `sheet`. `time` is that of the clock."""

    time: float
    glance: Glance | None
    seen: tuple[Seen, ...]
    looks: bytes


@dataclass(frozen=True, slots=True)
class Tap:
    """Has these flows looked into, by name and with the number of each tap, and no others.

    Answered by the names of those that are.
    """

    taps: Mapping[str, int]
    rooms: Rooms
    closely: Closely


@dataclass(frozen=True, slots=True)
class Recall:
    """Asks for the last messages of a flow. Answered by packed rows, see `Arrived`."""

    flow: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Has a message published. Answered by None, or by why it can never be sent."""

    connection: str
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something was not done: what a StepError says."""

    message: str
    code: str
    help: str


Request = Ask | Tap | Recall | Publish


class Colleague(Protocol):
    """A worker, as its supervisor sees it."""

    @property
    def number(self) -> int:
        """Its number: the same after it was started again."""

    @property
    def pid(self) -> int:
        """The number of its process in the system."""

    async def ask(self, request: Request) -> Any:
        """What it answers. Raises FlowrunnerError, such as Gone, where nothing comes."""
