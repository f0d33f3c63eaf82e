"""Turns refusals of a broker into the version of MQTT to try with it: the one that worked last comes first."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from paho.mqtt.enums import MQTTProtocolVersion

from flowrunner.run.refusals import Refused

_V5, _V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
_VERSIONS = {"auto": (_V5, _V311), "5": (_V5,), "3.1.1": (_V311,)}

#: Connections in a row that a broker closes without a word before it is suspected not to know a version that worked.
_MOST_CLOSINGS = 3

T = TypeVar("T")


class Versions:
    """The versions that may be tried with one broker, as the settings want it (`auto`, `5` or `3.1.1`)."""

    def __init__(self, protocol: str) -> None:
        self.has_worked = False
        self._order: tuple[MQTTProtocolVersion, ...] = _VERSIONS[protocol]
        self._closings = 0

    def accept(self) -> None:
        """Learn that the broker has accepted one of them."""
        self.has_worked, self._closings = True, 0

    async def attempt(self, connect: Callable[[MQTTProtocolVersion], Awaitable[T]]) -> T:
        """What `connect` makes with the version that worked last, else with the other one. Raises Refused."""
        first, *others = self._order
        try:
            return await connect(first)
        except Refused as refusal:
            if not others or not self._is_other_likely(refusal):
                raise
            try:
                found = await connect(others[0])
            except Refused as second:
                raise (refusal if second.kind in ("version", "closed") else second) from None
        self._order = (others[0], first)
        return found

    def _is_other_likely(self, refusal: Refused) -> bool:
        """A broker that knows this version may be closing connections because it is being restarted."""
        self._closings = self._closings + 1 if refusal.kind == "closed" else 0
        is_closing = self._closings > 0 and (not self.has_worked or self._closings >= _MOST_CLOSINGS)
        return refusal.kind == "version" or is_closing
