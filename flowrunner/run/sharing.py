"""Says what one process does of what a group of processes does together: which flows it shares, and under which names.

A group is made of shared subscriptions (MQTT 5.0 section 4.8.2): the broker gives each message to one of its members.
"""

from collections.abc import Callable
from dataclasses import replace

from flowrunner.records import dataclass
from flowrunner.run.live import Flow
from flowrunner.sources import Subscribe


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """What one process of a group does.

    A flow that `is_shared` subscribes through the `group`; every other one has this process as its owner, and a client
    of its own. One member `takes_retained` messages, so that they come once. `member` (such as `2`) is what its client
    ids end in; empty for the only process of its machine. `family` is the same for all processes of one supervisor,
    which may use files together; empty for a process that has none.
    """

    group: str
    is_shared: Callable[[Flow], bool]
    takes_retained: bool = True
    member: str = ""
    family: str = ""

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


def group_of(text: str) -> str:
    """A text, such as a client id, as the name of a group, which may hold no `/`, `+` and `#`."""
    return "".join("-" if character in "/+#\0" else character for character in text) or "flowrunner"
