"""Turns what flows want of one connection into the subscriptions to ask its broker for."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from flowrunner.records import dataclass
from flowrunner.run import refusals
from flowrunner.run.link import Terms
from flowrunner.run.live import LiveFlow
from flowrunner.run.routing import Want
from flowrunner.topics import Filter, covers, overlaps

#: Subscriptions of a group of which it is looked whether they overlap: that takes the square of their number.
_MOST_COMPARED = 300


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
        groups.setdefault(want.mqtt, []).append(want)
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
    return Ask(group[0].mqtt, qos, no_local, newcomers, wants_retained)


def _wants_retained(want: Want) -> bool:
    """A shared subscription gets nothing that the broker kept (MQTT 5.0 section 4.8.2).

    Brokers that send it all the same (mosquitto 2.0) do so to each member of a group, of which one asks for it.
    """
    return want.source.retained != "new" and (want.is_grouped or not want.filter.share)


def merged(wants: Sequence[Want]) -> list[Want]:
    """What members of a group ask for where deliveries do not tell through which subscription they came.

    A broker chooses a member for each subscription that matches, so that a message that matches two of them would come
    to two members, who cannot know that. Hence the wider filter is asked for alone, and stands for both.
    """
    grouped = {want.filter.mqtt: want.filter for want in wants if want.is_grouped}
    wide = [grouped[mqtt] for mqtt in sorted(grouped) if not {"+", "#"}.isdisjoint(grouped[mqtt].levels)]
    widest = {mqtt: _widest(topic_filter, wide) for mqtt, topic_filter in grouped.items()}
    return [replace(want, through=widest[want.filter.mqtt]) if want.is_grouped else want for want in wants]


def doubled(wants: Sequence[Want]) -> list[tuple[Want, Want]]:
    """Pairs of subscriptions of the group of which none covers the other, but both match some topics."""
    asked = list({want.mqtt: want for want in wants if want.is_grouped and not want.through}.values())
    pairs = combinations(asked[:_MOST_COMPARED], 2)
    return [pair for pair in pairs if overlaps(pair[0].filter, pair[1].filter)]


def _widest(narrow: Filter, wide: Sequence[Filter]) -> str:
    """The filter that covers this one and that no other one covers; empty if it is this one."""
    found = narrow
    for other in wide:
        if other.mqtt != found.mqtt and covers(other, found):
            found = other
    return "" if found is narrow else found.mqtt


def objection(want: Want, terms: Terms, heard_by_others: Container[str]) -> str:
    """Why a subscription need not be asked for on these terms, or an empty text."""
    if want.filter.share and not terms.has_shared:
        return refusals.not_subscribed(0x9E)
    if not terms.has_wildcards and not {"+", "#"}.isdisjoint(want.filter.levels):
        return refusals.not_subscribed(0xA2)
    if want.source.no_local and terms.version != 5:
        return "`no_local` needs MQTT 5, which this broker does not speak: the flow would hear itself"
    if want.source.no_local and want.mqtt in heard_by_others:
        return "another flow subscribes to the same filter without `no_local`: give one of them its own connection"
    return ""
