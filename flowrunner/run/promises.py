"""Turns what a message still waits for into the moment at which it is acknowledged to its broker."""

from collections.abc import Callable
from typing import Any

from flowrunner.code import Publish
from flowrunner.lines import Promise
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.read.delivery import all_steps_of, finishes_later, lends, waits_in
from flowrunner.run.link import Link
from flowrunner.run.live import Handler, LiveFlow
from flowrunner.sources import Subscribe

FindLink = Callable[[str], Link]
"""The link of a connection, by its name."""


class Promises:
    """Knows which message is being handled, and has its acknowledgement held back for what takes longer.

    While a link hands a message to a flow it is that message; later, while a step goes on with one that waited, it is
    that one. What holds it back: a turn in the line of a step, and a publish at QoS 1 or 2 until its broker has it.
    """

    def __init__(self) -> None:
        self.is_ending = False
        self._link: Link | None = None
        self._current: Promise | None = None

    def take(self) -> Promise | None:
        """Hold back the acknowledgement of the message that is being handled; None if it needs none."""
        if self._current is not None:
            self._current.hold()
            return self._current
        return self._link.hold() if self._link is not None else None

    def keep(self, promise: Promise | None, call: Callable[[], object]) -> None:
        """Make a call that goes on with the message of a promise."""
        before = self._link, self._current
        self._link, self._current = None, promise
        try:
            call()
        finally:
            self._link, self._current = before

    def settle(self, promise: Promise | None, *, is_given_up: bool) -> None:
        """Learn that something is done. What is given up at the end stays with a broker that keeps the session."""
        if promise is not None and not (is_given_up and self.is_ending):
            promise.release()

    def watch_over(self, flow: LiveFlow, find: FindLink) -> None:
        """Have a flow acknowledge late, if it subscribes at QoS 1 or 2 and does not finish with a message at once.

        To be called when it is bound.
        """
        if is_late(flow) and (flow.waits or flow.takes_promises):
            sources = flow.program.flow.sources
            names = [flow.way(source.connection) if isinstance(source, Subscribe) else "" for source in sources]
            flow.plain = flow.handler = self._watched(flow.plain, names, find)

    def _watched(self, bare: Handler, names: list[str], find: FindLink) -> Handler:
        def watched(
            topic: str,
            payload: Any,
            qos: int,
            retain: bool,  # noqa: FBT001 - the signature of a handler
            properties: Properties,
            entry: int,
            /,
        ) -> None:
            if not qos:
                bare(topic, payload, qos, retain, properties, entry)
                return
            self._link = find(names[entry])
            try:
                bare(topic, payload, qos, retain, properties, entry)
            finally:
                self._link = None

        watched.__wrapped__ = bare  # type: ignore[attr-defined]  # see `inspect.unwrap`
        return watched

    def publisher(self, link: Link, flow: LiveFlow, name: str) -> Publish:
        """The function that publishes on the connection of this name, and has the message being handled wait for it."""
        plain = link.publish
        if not is_late(flow) or (link.holds_for_publishes and is_direct(flow, name)):
            return plain
        flow.takes_promises = True

        def publish(
            topic: str,
            payload: bytes,
            qos: int = 0,
            retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
            properties: Properties = NO_PROPERTIES,
            /,
        ) -> None:
            promise = self.take() if qos else None
            if promise is None:
                plain(topic, payload, qos, retain, properties)
                return
            try:
                link.promise(topic, payload, qos, retain, properties, promise.release)
            except BaseException:
                promise.release()
                raise

        return publish


def is_late(flow: LiveFlow) -> bool:
    """Whether a flow may still have something to do when its function has returned, and somebody waits to hear of it.

    That is a broker, for a message at QoS 1 or 2, or Redis, for one that it held.
    """
    sources = flow.program.flow.sources
    is_reliable = any(isinstance(source, Subscribe) and source.qos for source in sources)
    return lends(flow.program.flow) or (is_reliable and finishes_later(flow.program.flow))


def is_direct(flow: LiveFlow, connection: str) -> bool:
    """Whether a flow hears nothing but this connection, and does all there is to do with a message at once.

    Then what it publishes there is a matter of the link, which knows what it is handing on (see `Inbound.row`).
    """
    steps = list(all_steps_of(flow.program.flow))
    sources = flow.program.flow.sources
    is_near = all(isinstance(source, Subscribe) and flow.way(source.connection) == connection for source in sources)
    return is_near and bool(steps) and not any(waits_in(step, flow.program.flow) or step.IS_CALL for step in steps)
