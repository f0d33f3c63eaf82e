"""Turns what was asked of a broker, and its answers, into what a session there holds of our subscriptions."""

from collections.abc import Container, Iterable
from typing import Protocol

from flowrunner.run.asks import Ask

_FAILURE = 0x80


class Ledger(Protocol):
    """Remembers from one start to the next what a session at the broker may hold."""

    def read(self) -> frozenset[str]:
        """The filters that were noted last."""

    def note(self, filters: frozenset[str]) -> None:
        """Note other filters, before the broker is asked for them; never raise."""


class Session:
    """The filters that a session holds, as sent: those `granted`, `unanswered`, `refused`, and `leaving` it.

    With a `ledger` it outlives this program.
    """

    def __init__(self, ledger: Ledger | None) -> None:
        self.granted: dict[str, Ask] = {}
        self.unanswered: dict[str, Ask] = {}
        self.refused: set[str] = set()
        self.leaving: set[str] = set()
        self._ledger = ledger
        self._left: frozenset[str] | None = None  # by an earlier process, until a session was found

    def move(self, ledger: Ledger | None) -> None:
        """Learn that the next network connection is to another session, which has another ledger."""
        self._ledger, self._left = ledger, None
        self.granted.clear()
        self.leaving.clear()

    def resume(self, *, is_there: bool) -> None:
        """Go on with what the session of a new network connection holds: nothing, unless it `is_there` already."""
        self.refused.clear()
        if self._ledger is not None and self._left is None:
            self._left = self._ledger.read()
            if is_there:
                self.leaving |= self._left
        if not is_there:
            self.granted.clear()
            self.leaving.clear()

    def ask(self, asked: dict[str, Ask]) -> None:
        """Learn what the broker is about to be asked for."""
        self.unanswered |= asked
        self.refused -= asked.keys()
        self.leaving -= asked.keys()
        if asked:
            self.note()

    def answer(self, ask: Ask, code: int) -> bool:
        """Learn what the broker answers; returns whether it grants it."""
        if self.unanswered.get(ask.mqtt) is ask:
            del self.unanswered[ask.mqtt]
        if code < _FAILURE:
            self.granted[ask.mqtt] = ask
            return True
        self.granted.pop(ask.mqtt, None)
        self.refused.add(ask.mqtt)
        return False

    def lose(self) -> None:
        """Learn that the network connection is gone: what was not answered may be held all the same."""
        self.leaving |= self.unanswered.keys()
        self.unanswered.clear()

    def keep(self, wanted: Container[str]) -> Iterable[str]:
        """Hold only these filters from now on; returns those to be given up, also such as were to be before."""
        self.leaving |= {mqtt for mqtt in self.granted if mqtt not in wanted}
        self.granted = {mqtt: ask for mqtt, ask in self.granted.items() if mqtt in wanted}
        return [mqtt for mqtt in self.leaving if mqtt not in wanted]

    def note(self) -> None:
        """Note what the session may hold from now on."""
        if self._ledger is not None:
            self._ledger.note(frozenset({*self.granted, *self.unanswered, *self.leaving}))
