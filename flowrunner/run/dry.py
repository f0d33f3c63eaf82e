"""Turns messages into what a flow would do with them, on the side: nothing is published, nothing outside is touched."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from flowrunner.clock import VirtualClock
from flowrunner.compile import Program
from flowrunner.errors import StepError
from flowrunner.jsons import to_payload
from flowrunner.message import Message
from flowrunner.read.flow import Flow
from flowrunner.records import dataclass
from flowrunner.run.aside import same_chance
from flowrunner.run.dry_host import DryHost, Effect, Effects
from flowrunner.run.recent import Arrived
from flowrunner.sources import AtStart, Cron, Every, Subscribe
from flowrunner.topics import matches

#: What an arrival comes to that none of the flow's sources takes.
UNHEARD: Effects = (Effect("✗", "not for this flow"),)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of each message, as far as there was time, and in between and afterwards, when its time had come."""

    messages: tuple[Effects, ...]
    later: Effects


def run_dry(program: Program, arrived: Sequence[Arrived], *, until: float, now: float, seconds: float) -> Outcome:
    """Run a flow with empty memory on these messages, each at its time, and let time pass up to `until`.

    `now` is what the watch on the wall says at `until`. It takes no longer than so many `seconds`, or one message.
    """
    start = arrived[0].time if arrived else until
    host = DryHost(program, VirtualClock(now - (until - start)))
    deadline = perf_counter() + seconds
    with same_chance():  # for both versions
        handler = host.without_waiting().bind(host)
        for begin in host.starts:
            begin()
        later: list[Effect] = []
        found: list[Effects] = []
        for message in arrived:
            if found and perf_counter() > deadline:
                break
            host.clock.advance(message.time - start - host.clock.time())
            later += host.taken()
            found.append(_enter(host, handler, message))
        else:
            host.clock.advance(until - start - host.clock.time())
            later += host.taken()
    return Outcome(tuple(found), tuple(later))


def _enter(host: DryHost, handler: Callable[..., None], message: Arrived) -> Effects:
    """What comes of one message at once."""
    _, topic, payload, qos, retain, properties = message
    entry = entry_of(host.flow, message)
    if entry is None:
        return UNHEARD
    try:
        handler(topic, payload, qos, retain, properties, entry)
    except Exception as error:  # noqa: BLE001 - as the runner does
        host.failed("", error, Message(topic, _bytes_of(payload), qos, retain, properties))
    return host.taken()


def entry_of(flow: Flow, message: Arrived) -> int | None:
    """The index of the source through which a flow gets a message; None if it does not."""
    for entry, source in enumerate(flow.sources):
        match source:
            case Subscribe() if isinstance(message.payload, bytes) and matches(source.filter, message.topic):
                if source.takes(retain=message.retain):
                    return entry
            case Every() if message.topic == f"every/{flow.name}" and not isinstance(message.payload, bytes):
                return entry
            case Cron() if message.topic == f"cron/{flow.name}" and not isinstance(message.payload, bytes):
                return entry
            case AtStart() if message.topic == f"at_start/{flow.name}" and not isinstance(message.payload, bytes):
                return entry
    return None


def _bytes_of(payload: Any) -> bytes:
    try:
        return to_payload(payload)
    except StepError:
        return repr(payload).encode()
