"""Turns the keys of a flow into sources, constants and steps: what stands at the top of a flow file."""

from typing import Any

from flowrunner.diagnostics import Diagnostic
from flowrunner.lines import Policy, Queue
from flowrunner.options import (
    Bool,
    Choice,
    ConnectionName,
    Duration,
    FixedQoS,
    Integer,
    Kind,
    OnError,
    Place,
    Steps,
    Text,
    TopicFilter,
    option,
)
from flowrunner.options.computed import entries_of, read_name
from flowrunner.options.maps import nothing_more, read_options
from flowrunner.options.nested import Handling
from flowrunner.options.texts import topic_diagnostic
from flowrunner.read.cases import Case, TestCases
from flowrunner.read.cron import CronTicks
from flowrunner.read.nodes import List, Map, Node, Scalar, plain
from flowrunner.read.permission import Beginnings, TopicBeginnings
from flowrunner.records import dataclass
from flowrunner.report import Refused
from flowrunner.sources import AtStart, Cron, Every, Retained, Subscribe
from flowrunner.topics import BadTopic, Filter, parse_filter, suspicions


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeKeys:
    """The keys of a subscription that is written as a map."""

    topic: Filter = option(TopicFilter(), "the topic filter")
    qos: int = option(FixedQoS(), "the highest quality of service to ask for", default=0)
    retained: Retained = option(
        Choice(("all", "new", "only")),
        "what the broker kept from before: `all` takes it, `new` skips it, `only` takes nothing else",
        default="all",
    )
    no_local: bool = option(Bool(), "nothing that this connection itself published", default=False)
    share: str | None = option(Text("a group name"), "the group among which messages are shared out", default=None)
    connection: str = option(ConnectionName(), "a connection of `flowrunner.yaml`", default="default")


@dataclass(frozen=True, slots=True)
class Subscriptions(Kind[tuple[Subscribe, ...]]):
    """A topic filter, a map, or a list of either."""

    phrase: str = "a topic filter, a map with `topic`, or a list of these"

    def schema(self) -> dict[str, Any]:
        one = {"anyOf": [TopicFilter().schema(), {"$ref": "#/definitions/subscription"}]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}

    def read(self, node: Node, place: Place) -> tuple[Subscribe, ...]:
        if not isinstance(node, List):
            return (self.read_one(node, place),)
        if not node.items:
            raise place.refuse(node, self.phrase)
        found: list[Subscribe] = []
        is_refused = False
        for item in node.items:
            try:
                found.append(self.read_one(item, place))
            except Refused:
                is_refused = True
        if is_refused:
            raise Refused
        return tuple(found)

    def read_one(self, node: Node, place: Place) -> Subscribe:
        """One filter, short or as a map."""
        if isinstance(node, Map) and (node.get("topic") or any(entry.key.text in _LONG_KEYS for entry in node)):
            keys = read_options(SubscribeKeys, node, Place(place.context, "", "subscribe"), nothing_more)
            topic = node.get("topic")
            scalar = topic.value if topic else node
        else:
            scalar = place.scalar(node, self.phrase)
            keys = {"topic": TopicFilter().read(node, place), "qos": 0, "retained": "all", "no_local": False}
            keys |= {"share": None, "connection": "default"}
        assert isinstance(scalar, Scalar)  # TopicFilter has read it
        self.warn(scalar, place)
        keys["filter"] = self.shared(keys.pop("topic"), keys["share"], scalar, place)
        self.refuse_both(keys, node, place)
        return Subscribe(**keys, span=scalar.span)

    def shared(self, plain_filter: Filter, group: str | None, scalar: Scalar, place: Place) -> Filter:
        """The filter as part of a group (MQTT 5.0 section 4.8.2)."""
        if group is None:
            return plain_filter
        try:
            return parse_filter(f"$share/{group}/{plain_filter.text}", named=True)
        except BadTopic as bad:
            diagnostic = Diagnostic("bad-topic-filter", bad.message, scalar.span, bad.label)
            raise place.report.refuse(diagnostic) from None

    def refuse_both(self, keys: dict[str, Any], node: Node, place: Place) -> None:
        """A shared subscription with no_local is a protocol error (MQTT 5.0 section 3.8.3.1)."""
        if keys["no_local"] and keys["filter"].share:
            entry = node.get("no_local") if isinstance(node, Map) else None
            span = entry.key.span if entry else node.span.first_line()
            message = "`no_local` and `share` cannot be combined"
            raise place.report.refuse(Diagnostic("wrong-value", message, span, "MQTT forbids both at once"))

    def warn(self, scalar: Scalar, place: Place) -> None:
        """Warn of what is valid and rarely meant: `sensors/`, `/sensors`, `a//b`."""
        for bad in suspicions(scalar.text):
            found = topic_diagnostic(bad, scalar.passage, code="odd-topic-filter")
            warning = Diagnostic(found.code, found.message, found.span, found.label, (), found.helps, (), "warning")
            place.report.add(warning)


_LONG_KEYS = {"topic", "qos", "retained", "no_local", "share", "connection"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryKeys:
    """The keys of `every` written as a map."""

    interval: float = option(Duration(), "the time between two ticks")
    jitter: float = option(Duration(), "each tick comes up to this much later", default=0.0)
    count: int | None = option(Integer(1), "end after so many ticks", default=None)
    immediately: bool = option(Bool(), "the first tick at once, not after one interval", default=False)


@dataclass(frozen=True, slots=True)
class Ticks(Kind[Every]):
    """A duration, or a map with `interval`."""

    phrase: str = "a duration such as `5s`"

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [Duration().schema(), {"$ref": "#/definitions/every"}]}

    def read(self, node: Node, place: Place) -> Every:
        if not isinstance(node, Map):
            interval = Duration().read(node, place)
            keys: dict[str, Any] = {"interval": interval}
        else:
            keys = read_options(EveryKeys, node, Place(place.context, "", "every"), nothing_more)
        if keys["interval"] <= 0:
            raise place.refuse(node, "longer than nothing")
        return Every(**keys, span=node.span)


@dataclass(frozen=True, slots=True)
class Start(Kind["AtStart | None"]):
    """`true`, or the payload of the message at the start."""

    phrase: str = "`true` or a payload"

    def schema(self) -> dict[str, Any]:
        return {}

    def read(self, node: Node, place: Place) -> AtStart | None:
        if isinstance(node, Scalar) and node.value is None:
            raise place.refuse(node, self.phrase)
        payload = plain(node)
        return None if payload is False else AtStart(payload, node.span)


@dataclass(frozen=True, slots=True)
class Constants(Kind[dict[str, Any]]):
    """A map of names and constant values."""

    phrase: str = "a map of names and values"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "propertyNames": {"pattern": r"^[A-Za-z][A-Za-z0-9_]*$"}}

    def read(self, node: Node, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entry in entries_of(node, place, self.phrase):
            name = read_name(entry.key, place)
            found[name] = plain(entry.value)
            if "${" in str(found[name]):
                help = "compute it in a step: `let: {name: ${...}}`"
                message = f"`{name}` is constant: nothing is inserted in `vars`"
                place.report.say(
                    "wrong-value", message, entry.value.span.first_line(), helps=(help,), severity="warning"
                )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueKeys:
    """The keys of `queue`."""

    size: int = option(Integer(1), "the most messages that wait before one step", default=Queue().size)
    policy: Policy = option(
        Choice(("block", "drop_oldest", "drop_new")),
        "which message goes when there are more: `block` keeps those of QoS 1 and 2, until the broker waits for their"
        " acknowledgement, and drops the oldest of QoS 0; else the one that waits longest, or the one that comes",
        default=Queue().policy,
    )


@dataclass(frozen=True, slots=True)
class Queues(Kind[Queue]):
    """A map with `size` and `policy`."""

    phrase: str = "a map with `size` and `policy`"

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/definitions/queue"}

    def read(self, node: Node, place: Place) -> Queue:
        if not isinstance(node, Map):
            raise place.refuse(node, self.phrase, help="write `queue: {size: 1000, policy: block}`")
        return Queue(**read_options(QueueKeys, node, Place(place.context, "", "queue"), nothing_more))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowKeys:
    """The keys of a flow, in the order in which they are usually written."""

    description: str = option(Text(), "what the flow is for, in a sentence", default="")
    subscribe: tuple[Subscribe, ...] = option(
        Subscriptions(),
        "the topics whose messages run the flow; `+room` is MQTT's `+` and gives the level a name",
        default=(),
    )
    every: Every | None = option(
        Ticks(), "run the flow again and again; the payload is the number of the tick", default=None
    )
    cron: Cron | None = option(
        CronTicks(), "run the flow at certain times; the payload is the number of the tick", default=None
    )
    at_start: AtStart | None = option(Start(), "run the flow once when it starts, and when it was edited", default=None)
    vars: dict[str, Any] = option(Constants(), "constants: names for the expressions of this flow", default=None)
    steps: tuple[Any, ...] = option(Steps(), "what happens to a message, one step after the other")
    on_error: Handling = option(
        OnError(),
        "what happens to a message on which a step fails: `drop`, `continue`, a `publish`, or a list of steps",
        default=Handling("drop"),
    )
    queue: Queue = option(
        Queues(), "how many messages may wait where a step such as `http` takes its time", default=Queue()
    )
    publish_only: Beginnings | None = option(
        TopicBeginnings(), "beginnings of topics: the flow publishes nowhere else", default=None
    )
    enabled: bool = option(Bool(), "`false` switches the flow off", default=True)
    tests: tuple[Case, ...] = option(
        TestCases(), "what must come out for what comes in; `flowrunner test` runs it", default=()
    )
