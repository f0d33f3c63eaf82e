"""Turns the topic of a message into the list of sessions that get it, once each."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowrunner.broker.codec import decode_text, encode_variable
from flowrunner.broker.limits import Limits
from flowrunner.broker.reasons import Fault, Reason
from flowrunner.broker.session import Session
from flowrunner.topics import BadTopic, Filter, FilterTree, check_topic

_CACHED_ROUTES = 10_000
_CACHED_TOPIC_BYTES = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """What one session asked for under one filter (MQTT 5.0 section 3.8.3.1); identifier 0 is none."""

    session: Session
    topic_filter: Filter
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    identifier: int = 0

    @property
    def encoded_identifier(self) -> bytes:
        """The property that its deliveries carry (MQTT 5.0 section 3.3.2.3.8)."""
        return b"\x0b" + encode_variable(self.identifier) if self.identifier else b""


class SharedGroup:
    """The subscriptions of one group to one filter, which take turns (MQTT 5.0 section 4.8.2)."""

    __slots__ = ("members", "topic_filter")

    def __init__(self, topic_filter: Filter) -> None:
        self.topic_filter = topic_filter
        self.members: deque[Subscription] = deque()

    def next_member(self, topic: str) -> Subscription | None:
        """Choose who gets the next message: whoever waited longest, the connected and unhindered first."""
        readers = [member for member in self.members if member.session.may_read(topic)]
        if not readers:
            return None
        chosen = min(readers, key=_unreadiness)
        self.members.remove(chosen)
        self.members.append(chosen)
        return chosen


def _unreadiness(member: Subscription) -> int:
    connection = member.session.connection
    if connection is None:
        return 2 if member.qos else 3
    return 1 if connection.is_congested else 0


@dataclass(slots=True, eq=False)
class Delivery:
    """How one session gets the messages of a topic: one copy for all its subscriptions.

    `own` is how it gets those that it published itself: None if every subscription says no_local.
    """

    session: Session
    qos: int
    retain_as_published: bool
    identifiers: bytes
    own: "Delivery | None" = None


@dataclass(frozen=True, slots=True)
class Route:
    """Who gets the messages of a topic."""

    topic: str
    deliveries: list[Delivery] = field(default_factory=list)
    groups: list[SharedGroup] = field(default_factory=list)

    def has_receivers(self, publisher: Session) -> bool:
        """Whether anybody gets what this session publishes."""
        return bool(self.groups) or any(
            delivery.session is not publisher or delivery.own is not None for delivery in self.deliveries
        )


class Subscriptions:
    """All subscriptions of a broker, and the routes that were worked out since they last changed."""

    def __init__(self, limits: Limits) -> None:
        self.routes: dict[bytes, Route] = {}
        self._limits = limits
        self.shared_count = 0
        self._tree: FilterTree[Subscription | SharedGroup] = FilterTree()
        self._groups: dict[str, SharedGroup] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, subscription: Subscription) -> bool:
        """Add a subscription in place of an equal one of its session; false if there was one."""
        is_new = not self.remove(subscription.session, subscription.topic_filter.mqtt)
        topic_filter = subscription.topic_filter
        subscription.session.subscriptions[topic_filter.mqtt] = subscription
        self._count += 1
        if topic_filter.share:
            group = self._groups.get(topic_filter.mqtt)
            if group is None:
                group = self._groups[topic_filter.mqtt] = SharedGroup(topic_filter)
                self._tree.add(topic_filter, group)
            group.members.append(subscription)
            self.shared_count += 1
        else:
            self._tree.add(topic_filter, subscription)
        return is_new

    def remove(self, session: Session, text: str) -> bool:
        """Take away a session's subscription to this filter; false if there is none."""
        subscription = session.subscriptions.pop(text, None)
        self.routes.clear()
        if subscription is None:
            return False
        self._count -= 1
        topic_filter = subscription.topic_filter
        if topic_filter.share:
            group = self._groups[topic_filter.mqtt]
            group.members.remove(subscription)
            self.shared_count -= 1
            if not group.members:
                del self._groups[topic_filter.mqtt]
                self._tree.remove(topic_filter, group)
        else:
            self._tree.remove(topic_filter, subscription)
        return True

    def route(self, topic: bytes) -> Route:
        """Return who gets the messages of a topic; Fault if it is none that can be published to."""
        route = self.routes.get(topic)
        if route is None:
            route = self._work_out(topic)
            if len(self.routes) >= _CACHED_ROUTES:
                self.routes.clear()
            if len(topic) <= _CACHED_TOPIC_BYTES:
                self.routes[topic] = route
        return route

    def _work_out(self, topic: bytes) -> Route:
        text = decode_text(topic)
        try:
            check_topic(text)
        except BadTopic as fault:
            raise Fault(Reason.TOPIC_NAME_INVALID, fault.message) from None
        if text.count("/") >= self._limits.topic_levels and not text.startswith("$SYS/"):
            raise Fault(Reason.TOPIC_NAME_INVALID, f"a topic has at most {self._limits.topic_levels} levels")
        route = Route(text)
        by_session: dict[Session, list[Subscription]] = {}
        for found in self._tree.iterate(text):
            if isinstance(found, SharedGroup):
                route.groups.append(found)
            else:
                by_session.setdefault(found.session, []).append(found)
        for subscriptions in by_session.values():
            if subscriptions[0].session.may_read(text):
                route.deliveries.append(_delivery(subscriptions))
        return route


def _delivery(subscriptions: list[Subscription]) -> Delivery:
    merged = _merged(subscriptions)
    local = [subscription for subscription in subscriptions if not subscription.no_local]
    if len(local) == len(subscriptions):
        merged.own = merged
    elif local:
        merged.own = _merged(local)
    return merged


def _merged(subscriptions: Iterable[Subscription]) -> Delivery:
    """One copy with the highest QoS and all identifiers (MQTT 5.0 section 3.3.4, [MQTT-3.3.4-4])."""
    ordered = sorted(subscriptions, key=lambda subscription: subscription.identifier)
    return Delivery(
        session=ordered[0].session,
        qos=max(subscription.qos for subscription in ordered),
        retain_as_published=any(subscription.retain_as_published for subscription in ordered),
        identifiers=b"".join(subscription.encoded_identifier for subscription in ordered),
    )
