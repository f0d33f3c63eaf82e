"""Turns flows into what is made of each of them once, however often it is asked for."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from flowrunner.read.flow import Flow

T = TypeVar("T")


class Once(Generic[T]):
    """What `make` makes of a flow: an edit has it made anew for the flows that it changes, and for no others."""

    def __init__(self, make: Callable[[Flow], T]) -> None:
        self._make = make
        self._known: dict[Flow, T] = {}

    def of(self, flow: Flow) -> T:
        """What is made of a flow."""
        if flow not in self._known:
            self._known[flow] = self._make(flow)
        return self._known[flow]

    def keep(self, flows: Iterable[Flow]) -> None:
        """Forget what was made of any others."""
        before = self._known
        self._known = {flow: before[flow] for flow in flows if flow in before}
