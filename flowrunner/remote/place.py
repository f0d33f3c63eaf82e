"""Says where in Redis a step keeps what it remembers, and what its workers ask of whoever talks to Redis."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from flowrunner.errors import FlowrunnerError
from flowrunner.records import dataclass
from flowrunner.remote.script import Script

#: Seconds after which Redis forgets a step that no message came to, where nothing says how long it needs to remember.
LONGEST = 400 * 86_400.0

#: Seconds that Redis keeps more than is needed.
_SLACK = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step keeps its memory: its flow, its name there, and the shape of what it remembers, in short."""

    flow: str
    name: str
    shape: str

    @property
    def path(self) -> str:
        """The middle of its keys in Redis."""
        return ":".join((part(self.flow), part(self.name), self.shape))


def part(text: str) -> str:
    """A name as a part of a key: what would end it, or would look like another one, is percent-encoded."""
    return quote(text, safe=" /+@,=~", errors="backslashreplace") or "%"


def path_of_value(flow: str, name: str) -> str:
    """The middle of the keys of a named value; the flow is empty for those that all flows share."""
    return f"{part(flow) + ':state' if flow else 'shared'}:{part(name)}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is remembered: the most keys, seconds after which a key is forgotten, and after which all of them."""

    max_keys: int
    ttl: float | None = None
    lasting: float | None = None

    def arguments(self) -> tuple[str, str, str]:
        """As the scripts want them."""
        lasting = min((one for one in (self.ttl, self.lasting) if one is not None), default=LONGEST)
        return str(self.max_keys), microseconds(self.ttl), str(int((lasting + _SLACK) * 1000))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call.

    `evicted` keys had to go for want of room, `keys` are there; in `wait` seconds something is due (None: nothing is);
    `results` say what became of each message.
    """

    evicted: int
    keys: int
    wait: float | None
    results: Sequence[Any]


class Remote(Protocol):
    """Talks to Redis for all steps of a process."""

    @property
    def token(self) -> str:
        """What this process is called there, another one at every start."""

    def call(self, script: Script, path: str, limits: Limits, arguments: Sequence[str | bytes]) -> Awaitable[Answer]:
        """Run a script on the keys of a place. All that is called in one turn of the loop goes in one round trip.

        Waits for as long as Redis is away. Raises StepError where the script itself fails.
        """

    async def aclose(self) -> None:
        """Let go of the connection."""


def nowhere() -> Remote:
    """Stands for what makes a Remote where none is given."""
    raise FlowrunnerError("the settings name no Redis (`state:`)")


def microseconds(seconds: float | None) -> str:
    """Seconds as the scripts count them; empty for None."""
    return "" if seconds is None else str(round(seconds * 1e6))
