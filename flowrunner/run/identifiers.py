"""Turns subscriptions into the identifiers under which a broker delivers what comes through them."""

from collections.abc import Container, Iterable, Mapping
from random import randrange

from flowrunner.run.asks import Ask
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Given

#: Subscription identifiers go up to 268 435 455 (MQTT 5.0 section 3.8.2.1.2).
_LAST_START = 200_000_000

_MOST_IDENTIFIERS = 32


class Identifiers:
    """The identifiers of one connection, each with its subscription: `given` are those that still count.

    A session that `is_kept` may deliver with identifiers of an earlier run: ours must not be taken for them.
    """

    def __init__(self, *, is_kept: bool) -> None:
        self.given: dict[int, Given] = {}
        self._first = self._next = 1 + (randrange(_LAST_START) if is_kept else 0)  # noqa: S311 - no secret

    @property
    def own(self) -> range:
        """All that were ever sent."""
        return range(self._first, self._next)

    def give(self, ask: Ask) -> int:
        """A new identifier."""
        identifier, self._next = self._next, self._next + 1
        self.given[identifier] = Given(ask.mqtt, ask.newcomers)
        return identifier

    def clear(self) -> None:
        """Learn that the session is another one."""
        self.given.clear()

    def keep(self, filters: Container[str], flows: Iterable[LiveFlow]) -> None:
        """Keep the newest ones of these filters only. Newcomers are the versions of their flows that run now."""
        now = {id(flow.program.flow): flow for flow in flows}
        self.given = {
            number: Given(given.mqtt, frozenset(now.get(id(flow.program.flow), flow) for flow in given.newcomers))
            for number, given in _newest(self.given, filters).items()
        }


def _newest(given: Mapping[int, Given], wanted: Container[str]) -> dict[int, Given]:
    """The newest identifiers of each filter.

    Messages that a broker queued before a filter was asked for again come under its old identifier.
    """
    counts: dict[str, int] = {}
    kept = {}
    for number, subscription in sorted(given.items(), reverse=True):
        count = counts[subscription.mqtt] = counts.get(subscription.mqtt, 0) + 1
        if subscription.mqtt in wanted and count <= _MOST_IDENTIFIERS:
            kept[number] = subscription
    return kept
