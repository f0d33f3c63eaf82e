"""Turns subscriptions that are given up into those through which messages may still come, and for whom.

What the broker has chosen us for among the members of a group, it sends to nobody else.
"""

from collections.abc import Container, Iterable, Iterator, Mapping

from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Want


class Parting:
    """What was wanted until now, each with whether the broker goes on with the filter, for other flows."""

    def __init__(self) -> None:
        self._wants: Mapping[Want, bool] = {}

    def __iter__(self) -> Iterator[Want]:
        return iter(self._wants)

    def __bool__(self) -> bool:
        return bool(self._wants)

    @property
    def flows(self) -> frozenset[LiveFlow]:
        """The flows that still get messages."""
        return frozenset(want.flow for want in self._wants)

    def see_off(self, leaving: Iterable[Want], staying: Iterable[Want], held: Container[str]) -> None:
        """Let flows go on with what comes through their subscriptions, unless they stay with the same filter.

        The broker goes on with the filters in `held`.
        """
        places = {(want.flow.name, want.mqtt) for want in staying}
        wants = {want: is_held for want, is_held in self._wants.items() if (want.flow.name, want.mqtt) not in places}
        wants |= {want: want.mqtt in held for want in leaving if (want.flow.name, want.mqtt) not in places}
        self._wants = wants

    def end(self) -> bool:
        """Learn that nothing more comes; returns whether something could have."""
        had, self._wants = bool(self._wants), {}
        return had

    def end_held(self) -> bool:
        """The same of those with whose filters the broker goes on."""
        left = {want: is_held for want, is_held in self._wants.items() if not is_held}
        had, self._wants = len(left) < len(self._wants), left
        return had
