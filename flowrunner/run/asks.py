"""Turns what flows want of one connection into the subscriptions to ask its broker for."""

from collections.abc import Container, Iterable, Mapping, Sequence

from flowrunner.records import dataclass
from flowrunner.run import refusals
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Want


@dataclass(frozen=True, slots=True)
class Ask:
    """A SUBSCRIBE: a filter, its options, and the flows that are to get what the broker kept."""

    mqtt: str
    qos: int
    no_local: bool
    newcomers: frozenset[LiveFlow]
    wants_retained: bool


def plan(wants: Iterable[Want], held: Mapping[str, Ask], fresh: frozenset[LiveFlow]) -> list[Ask]:
    """The subscriptions to ask for, given those that a broker holds.

    A filter that is held already is asked for again if its options change, or if one of the flows in `fresh`
    wants the messages that the broker kept, which it sends in answer to SUBSCRIBE.
    """
    groups: dict[str, list[Want]] = {}
    for want in wants:
        groups.setdefault(want.filter.mqtt, []).append(want)
    return [ask for mqtt, group in groups.items() if (ask := _ask(group, held.get(mqtt), fresh)) is not None]


def _ask(group: Sequence[Want], held: Ask | None, fresh: frozenset[LiveFlow]) -> Ask | None:
    qos = max(want.source.qos for want in group)
    no_local = all(want.source.no_local for want in group)
    newcomers = frozenset(want.flow for want in group if want.flow in fresh)
    wants_retained = any(_wants_retained(want) for want in group if want.flow in fresh)
    if held is not None:
        if qos <= held.qos and no_local == held.no_local and not wants_retained:
            return None
        qos = max(qos, held.qos)
    return Ask(group[0].filter.mqtt, qos, no_local, newcomers, wants_retained)


def _wants_retained(want: Want) -> bool:
    """A shared subscription never gets what the broker kept (MQTT 5.0 section 4.8.2)."""
    return want.source.retained != "new" and not want.filter.share


def objection(want: Want, terms: Terms, heard_by_others: Container[str]) -> str:
    """Why a subscription need not be asked for on these terms, or an empty text."""
    if want.filter.share and not terms.has_shared:
        return refusals.not_subscribed(0x9E)
    if not terms.has_wildcards and not {"+", "#"}.isdisjoint(want.filter.levels):
        return refusals.not_subscribed(0xA2)
    if want.source.no_local and terms.version != 5:
        return "`no_local` needs MQTT 5, which this broker does not speak: the flow would hear itself"
    if want.source.no_local and want.filter.mqtt in heard_by_others:
        return "another flow subscribes to the same filter without `no_local`: give one of them its own connection"
    return ""
