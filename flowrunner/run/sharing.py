"""Says what one process does of what a group of processes does together: which flows it shares, and under which names.

A group is made of shared subscriptions (MQTT 5.0 section 4.8.2): the broker gives each message to one of its members.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from flowrunner.compile.owners import is_freed_by_shared_state, owner_reasons
from flowrunner.diagnostics import name_list
from flowrunner.read.flow import Flow as CheckedFlow
from flowrunner.records import dataclass
from flowrunner.run.live import Flow
from flowrunner.run.report import Report
from flowrunner.sources import Subscribe

#: Flows that a line names with the reasons why they have one owner.
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """What one process of a group does.

    A flow that `is_shared` subscribes through the `group`; every other one has this process as its owner, and a client
    of its own. One member `takes_retained` messages, so that they come once. `member` (such as `2`) is what its client
    ids end in; empty for the only process of its machine. `family` is the same for all processes of one supervisor,
    which may use files together; empty for a process that has none. `spoken` says what is to be said of flows that are
    not shared, empty if nothing. `members` are the processes of this machine among which messages are dealt.
    """

    group: str
    is_shared: Callable[[Flow], bool]
    takes_retained: bool = True
    member: str = ""
    family: str = ""
    spoken: Callable[[Sequence[Flow]], str] = lambda _: ""
    members: int = 1

    def source(self, source: Subscribe) -> Subscribe:
        """A subscription of a shared flow, through the group; a group that the user has named stays.

        Who takes no retained messages says so to the broker, and drops what one with MQTT 3.1.1 sends all the same.
        """
        if source.share is not None:
            return source
        shared = replace(source.filter, mqtt=f"$share/{self.group}/{source.filter.mqtt}", share=self.group)
        return replace(
            source, filter=shared, share=self.group, retained=source.retained if self.takes_retained else "new"
        )


def alone(group: str, *, is_state_shared: bool | None = None) -> Sharing:
    """The part of a process that is the only one of its machine: it runs every flow, and shares those that it may.

    It takes retained messages, as every machine of the group does.
    """

    def is_shared(flow: Flow) -> bool:
        return isinstance(flow, CheckedFlow) and not owner_reasons(flow, is_state_shared=is_state_shared)

    def spoken(flows: Sequence[Flow]) -> str:
        owned = [flow for flow in flows if isinstance(flow, CheckedFlow)]
        found = [(flow, owner_reasons(flow, is_state_shared=is_state_shared)) for flow in owned]
        return spoken_whole(group, found, is_state_shared=is_state_shared)

    return Sharing(group, is_shared, spoken=spoken)


def spoken_whole(
    group: str, found: Sequence[tuple[CheckedFlow, Sequence[str]]], *, is_state_shared: bool | None = None
) -> str:
    """What to do about flows that every machine of a group runs by itself, each with its reasons; empty without any."""
    named = [f"`{flow.name}` ({', '.join(reasons)})" for flow, reasons in found if reasons]
    if not named:
        return ""
    some, more = named[:_MOST_NAMED], len(named) - _MOST_NAMED
    names = ", ".join(some) + (f" and {more} more" if more > 0 else "")
    others = [flow for flow, _ in found if not (flow.is_remote if is_state_shared is None else is_state_shared)]
    freed = [flow.name for flow in others if is_freed_by_shared_state(flow)]
    state = f", or share the memory of {name_list(freed)} (`state: redis://...`)" if freed else ""
    them = "it" if len(named) == 1 else "them"
    return f"in the group `{group}` every machine runs {names} by itself: give {them} to one machine{state}"


class WholeFlows:
    """Says which flows every machine of a group runs by itself, whenever they are other ones."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._words = ""

    def say(self, words: str, flows: Sequence[Flow]) -> None:
        """Say these words about them, if there are any, and others than the last time."""
        if words and words != self._words:
            self._report.say("not-shared", words, level="warning", flows=[flow.name for flow in flows])
        self._words = words


def group_of(text: str) -> str:
    """A text, such as a client id, as the name of a group, which may hold no `/`, `+` and `#`."""
    return "".join("-" if character in "/+#\0" else character for character in text) or "flowrunner"
