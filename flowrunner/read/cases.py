"""Turns the `tests:` of a flow into cases that can be run: what is given, and exactly what must come out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any

from flowrunner.diagnostics import Diagnostic, name_list, suggest
from flowrunner.jsons import to_payload
from flowrunner.options import Bool, Duration, FixedQoS, Kind, MessageProperties, Place, Text, option
from flowrunner.options.maps import missing_key, nothing_more, read_options
from flowrunner.read.literal import BASE64, HEX, Literal, LiteralMap, payload_of
from flowrunner.read.mocks import Mock, Mocks, check_mocks
from flowrunner.read.nodes import List, Map, Node, Scalar
from flowrunner.records import dataclass
from flowrunner.report import Refused, Report
from flowrunner.step import BrokenStep, Step, walk
from flowrunner.text import Span
from flowrunner.topics import BadTopic, check_topic


@dataclass(frozen=True, slots=True)
class Given:
    """A message that arrives in a test."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, Any]
    span: Span


@dataclass(frozen=True, slots=True)
class After:
    """Time that passes in a test, in seconds."""

    seconds: float
    span: Span


@dataclass(frozen=True, slots=True)
class Expected:
    """A message that must come out; None is not compared. `payload` is a plain value, or bytes to be met exactly."""

    topic: str | None
    payload: Any
    has_payload: bool
    qos: int | None
    retain: bool | None
    properties: dict[str, Any] | None
    span: Span


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a flow. `expect_span` is the key `expect`, `var_spans` are the keys of `vars`."""

    name: str
    given: tuple[Given | After, ...]
    expect: tuple[Expected, ...]
    vars: dict[str, Any]
    env: dict[str, str]
    mocks: tuple[Mock, ...]
    span: Span
    expect_span: Span
    var_spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name, or where the test stands if it has none."""
        return self.name or f"test in line {self.span.line}"


@dataclass(frozen=True, slots=True)
class _TestTopic(Text):
    """A topic without wildcards."""

    phrase: str = "a topic"

    def read(self, node: Node, place: Place) -> str:
        text = Text.read(self, node, place)
        try:
            check_topic(text)
        except BadTopic as bad:
            help = "a test names the topic itself, as in `sensors/kitchen/climate`"
            raise place.report.refuse(
                Diagnostic("bad-topic", bad.message, node.span, bad.label, helps=(help,))
            ) from None
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _MessageKeys:
    """The keys of a message in a test."""

    topic: str | None = option(_TestTopic(), "the topic", default=None)
    payload: Any = option(Literal(), "the payload; a map or list is JSON, text UTF-8", default=...)
    payload_hex: bytes | None = option(HEX, "the payload as bytes, in hexadecimal digits", default=None)
    payload_base64: bytes | None = option(BASE64, "the payload as bytes, in base64", default=None)
    qos: int | None = option(FixedQoS(), "quality of service", default=None)
    retain: bool | None = option(Bool(), "the retain flag", default=None)
    properties: Any = option(MessageProperties(is_fixed=True), "MQTT 5 properties", default=None)
    after: float | None = option(Duration(), "let this time pass", default=None)


@dataclass(frozen=True, slots=True)
class _Messages(Kind[tuple[Any, ...]]):
    """One message or a list of messages; in `given` also `{after: 5s}`."""

    is_given: bool
    phrase: str = "a message or a list of messages"

    def schema(self) -> dict[str, Any]:
        keys = {"$ref": "#/definitions/given" if self.is_given else "#/definitions/expected"}
        return {"anyOf": [keys, {"type": "array", "items": keys}]}

    def read(self, node: Node, place: Place) -> tuple[Any, ...]:
        if isinstance(node, Scalar):
            raise place.refuse(node, self.phrase)
        return tuple(self.read_one(item, place) for item in (node.items if isinstance(node, List) else (node,)))

    def read_one(self, node: Node, place: Place) -> Given | After | Expected:
        """One message, or the time that passes."""
        if not isinstance(node, Map):
            raise place.refuse(node, "a message such as `{topic: a/b, payload: {x: 1}}`")
        keys = read_options(_MessageKeys, node, Place(place.context, "", place.option, None), nothing_more)
        if keys["after"] is not None:
            if not self.is_given or len(node.entries) > 1:
                message = "`after` stands alone, and only in `given`"
                raise place.report.refuse(Diagnostic("wrong-value", message, node.span.first_line()))
            return After(keys["after"], node.span)
        payload, has_payload = payload_of(keys, node, place)
        properties = keys["properties"].value if keys["properties"] is not None else None
        if not self.is_given:
            rest = (keys["qos"], keys["retain"], properties, node.span)
            return Expected(keys["topic"], payload, has_payload, *rest)
        if keys["topic"] is None:
            raise place.report.refuse(missing_key("topic", node, Place(place.context, "", "given")))
        flags = (keys["qos"] or 0, keys["retain"] or False)
        return Given(keys["topic"], to_payload(payload), *flags, properties or {}, node.span)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CaseKeys:
    """The keys of a test."""

    name: str = option(Text(), "what holds", default="")
    given: tuple[Any, ...] = option(_Messages(is_given=True), "what arrives: a message, or a list with `{after: 5s}`")
    expect: tuple[Any, ...] = option(_Messages(is_given=False), "exactly what comes out, in order; `[]` is nothing")
    vars: dict[str, Any] = option(LiteralMap(), "other values for the constants of the flow", default=None)
    env: dict[str, Any] = option(LiteralMap(), "values for the environment", default=None)
    mocks: tuple[Mock, ...] = option(
        Mocks(), "what steps answer that ask or change the world outside, by their `id`", default=()
    )


@dataclass(frozen=True, slots=True)
class TestCases(Kind[tuple[Case, ...]]):
    """The list below `tests:`."""

    phrase: str = "a list of tests"
    __test__ = False  # pytest collects what begins with `Test`

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"$ref": "#/definitions/test"}}

    def read(self, node: Node, place: Place) -> tuple[Case, ...]:
        if not isinstance(node, List):
            raise place.refuse(node, self.phrase, help="put `- ` before each test")
        cases = [self.read_case(item, place) for item in node.items]
        return tuple(case for case in cases if case is not None)

    def read_case(self, node: Node, place: Place) -> Case | None:
        """One test; None where it holds a mistake, which is reported."""
        try:
            if not isinstance(node, Map):
                raise place.refuse(node, "a list of maps with `given` and `expect`")
            keys = read_options(_CaseKeys, node, Place(place.context, "", "tests"), nothing_more)
        except Refused:
            return None
        env = {name: str(value) for name, value in (keys["env"] or {}).items()}
        constants, expect = node.get("vars"), node.get("expect")
        spans = (
            {entry.key.text: entry.key.span for entry in constants.value}
            if constants and isinstance(constants.value, Map)
            else {}
        )
        assert expect is not None  # it must be there
        given = (keys["given"], keys["expect"], keys["vars"] or {}, env, keys["mocks"])
        return Case(keys["name"], *given, node.span, expect.key.span, spans)


def check_cases(cases: Sequence[Case], steps: Sequence[Step], constants: Collection[str], report: Report) -> None:
    """Report what does not fit the flow that is tested: mocks for no step, values for no constant."""
    if any(isinstance(step, BrokenStep) for step in walk(steps)):
        return
    for case in cases:
        check_mocks(case.mocks, steps, report)
        for name, span in case.var_spans.items():
            if name not in constants:
                near = suggest(name, constants)
                help = f"did you mean `{near}`?" if near else f"it has {name_list(sorted(constants))}"
                message = f"the flow has no constant `{name}`"
                report.say("unknown-name", message, span, helps=(help if constants else "",))


MESSAGE_KEYS, CASE_KEYS = _MessageKeys, _CaseKeys
__all__ = ["CASE_KEYS", "MESSAGE_KEYS", "After", "Case", "Expected", "Given", "TestCases", "check_cases"]
