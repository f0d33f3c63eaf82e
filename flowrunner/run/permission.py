"""Turns the publishing of a flow into one that keeps to what it may, or that only shows what it would do."""

from collections.abc import Sequence
from dataclasses import replace

from flowrunner.code import Publish
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import name_list
from flowrunner.errors import StepError
from flowrunner.message import NO_PROPERTIES, Properties
from flowrunner.read.delivery import all_steps_of
from flowrunner.read.permission import Beginnings, is_allowed
from flowrunner.run.link import Link
from flowrunner.run.packets import require_topic
from flowrunner.sources import Subscribe

MOST_KNOWN = 10_000

#: Steps that change something outside; `python` is the user's own code, and runs.
SINKS = ("exec", "http", "sqlite", "write")


def limited(publish: Publish, permissions: Sequence[Beginnings]) -> Publish:
    """The same within limits: a topic that is not allowed is a StepError."""
    if not permissions:
        return publish
    known: set[str] = set()

    def publish_within(
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
        properties: Properties = NO_PROPERTIES,
        /,
    ) -> None:
        if topic not in known:
            if not is_allowed(topic, permissions):
                shown = name_list([one for beginnings in permissions for one in beginnings]) or "nothing"
                message = f"the flow may not publish to `{topic[:60]}`"
                raise StepError(message, code="not-allowed", help=f"`publish_only` allows {shown}")
            if len(known) >= MOST_KNOWN:
                known.clear()
            known.add(topic)
        publish(topic, payload, qos, retain, properties)

    return publish_within


def showing(link: Link) -> Publish:
    """What shows a message and sends nothing."""

    def show(
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - the signature of `Publish`
        properties: Properties = NO_PROPERTIES,  # noqa: ARG001
        /,
    ) -> None:
        require_topic(topic)
        if link.watch is not None:
            link.watch(topic, payload, qos, retain)

    return show


def harmless(settings: ConnectionSettings) -> ConnectionSettings:
    """Settings under which nobody notices us: no session, no will, no message, and a client id that is nobody's."""
    return replace(settings, client_id=None, keep=None, birth=None, will=None, close=None)


def unshared(source: Subscribe) -> Subscribe:
    """A subscription that takes no messages away from others."""
    plain = "/".join(source.filter.levels)
    return replace(source, share=None, filter=replace(source.filter, mqtt=plain, share=""))


def sinks_of(flow: object) -> list[str]:
    """The steps of a flow that change something outside, by their keys."""
    return sorted({step.KEY for step in all_steps_of(flow) if step.KEY in SINKS})
