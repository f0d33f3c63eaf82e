"""Turns the part that a runner has in a group into who owns a flow, and what is asked of the brokers for it."""

from collections.abc import Iterable

from flowrunner.run.live import Flow, LiveFlow
from flowrunner.run.permission import unshared
from flowrunner.run.report import Report
from flowrunner.run.routing import Want
from flowrunner.run.sharing import Sharing, WholeFlows
from flowrunner.sources import Subscribe


class Membership:
    """What a runner is in a group: `sharing` says that, None while it is in none. One that `is_read_only` never is."""

    def __init__(self, sharing: Sharing | None, report: Report, *, is_read_only: bool) -> None:
        self.sharing = None if is_read_only else sharing
        self._is_read_only = is_read_only
        self._whole = WholeFlows(report)

    @property
    def members(self) -> int:
        """The processes of this machine among which messages are dealt."""
        return 1 if self.sharing is None else self.sharing.members

    @property
    def family(self) -> str:
        """What is the same for all processes of one supervisor; empty without one."""
        return "" if self.sharing is None else self.sharing.family

    def share(self, sharing: Sharing | None) -> None:
        """Be another part of a group, or of another one, or of none."""
        self.sharing = None if self._is_read_only else sharing

    def is_owned(self, flow: Flow) -> bool:
        """Whether no other process of the group runs a flow."""
        return self.sharing is not None and not self.sharing.is_shared(flow)

    def want(self, flow: LiveFlow, entry: int, source: Subscribe) -> Want:
        """What a flow wants with its source of this index."""
        if self._is_read_only:
            return Want(flow, entry, unshared(source))
        if self.sharing is None or flow.is_owned:
            return Want(flow, entry, source)
        return Want(flow, entry, self.sharing.source(source), is_grouped=source.share is None)

    def say_what_is_whole(self, flows: Iterable[LiveFlow]) -> None:
        """Name those of these flows that every machine of the group runs by itself, if they are others than before."""
        owned = [flow.program.flow for flow in flows if flow.is_owned]
        words = self.sharing.spoken(owned) if self.sharing is not None and owned else ""
        self._whole.say(words, owned)
