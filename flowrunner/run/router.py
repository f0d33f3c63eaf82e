"""Hands each delivery to the flows that want it."""

from collections.abc import Callable

from flowrunner.message import Message, Properties
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Route, Table

Failed = Callable[[LiveFlow, Exception, Message], None]
"""Is told of a message that a flow dropped by failing."""


class Router:
    """The way from one connection into the flows. Exchanging `table` is all that a reload does here."""

    def __init__(self, failed: Failed) -> None:
        self.table = Table()
        self.failed = failed

    def deliver(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001 - positions cost less than names on this path
        properties: Properties,
        identifiers: tuple[int, ...],
        /,
    ) -> None:
        """Run every flow that wants this delivery; one that fails does not stop the others."""
        for route in self.table.find(topic, retain, identifiers):
            self.run(route, topic, payload, qos, retain, properties)

    def run(
        self,
        route: Route,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,  # noqa: FBT001 - as above
        properties: Properties,
        /,
    ) -> None:
        """Run one flow."""
        flow, entry = route
        flow.received += 1
        try:
            flow.handler(topic, payload, qos, retain, properties, entry)
        except Exception as error:  # noqa: BLE001 - whatever a step raises costs this message only
            self.failed(flow, error, Message(topic, payload, qos, retain, properties))
