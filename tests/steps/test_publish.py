from typing import Any

import pytest

from flowrunner.message import Message
from tests.flow_host import Published, message, read, refused, run, run_steps


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        ("'${payload}'", b'{"n":1.5,"t":"\xc3\xa4","l":[true,null]}'),
        ("'${payload.n}'", b"1.5"),
        ("'${payload.t}'", "ä".encode()),
        ("'${payload.l}'", b"[true,null]"),
        ("'${payload.l[0]}'", b"true"),
        ("'${payload.l[1]}'", b""),
        ("text", b"text"),
        ("12", b"12"),
        ("true", b"true"),
        ("null", b""),
        ("{a: '${payload.n}', b: [x]}", b'{"a":1.5,"b":["x"]}'),
        ("'n=${payload.n:.2f} ${payload.l}'", b"n=1.50 [true,null]"),
        ('""', b""),
    ],
)
def test_every_kind_of_payload(payload: str, sent: bytes) -> None:
    text = f"subscribe: in\nsteps:\n  - json\n  - publish:\n      topic: out\n      payload: {payload}\n"
    outcome = run(text, ("in", {"n": 1.5, "t": "ä", "l": [True, None]}))
    assert outcome.published == [Published("out", sent)]


def test_bytes_are_sent_as_they_are() -> None:
    assert run("subscribe: in\nsteps: [{publish: out}]\n", ("in", b"\xff\x00")).published == [
        Published("out", b"\xff\x00")
    ]


def test_message_goes_on_unchanged() -> None:
    steps = "- json\n- publish: {topic: a, payload: x, qos: 2, retain: true}\n- publish: b"
    outcome = run_steps(steps, {"v": 1})
    assert [(sent.topic, sent.payload, sent.qos, sent.retain) for sent in outcome.published] == [
        ("a", b"x", 2, True),
        ("b", b'{"v":1}', 0, False),
        ("out", b'{"v":1}', 0, False),
    ]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_integer_beyond_64_bits_is_an_error(value: int) -> None:
    error = run_steps(f"- map: '{{\"n\": {value}}}'", b"").error
    assert (error.code, error.message) == ("not-json-able", "JSON holds no integer beyond 64 bits")
    assert error.span.text == "publish"


def test_bytes_inside_of_a_map_are_an_error() -> None:
    error = run_steps("- map: '{\"raw\": payload}'", b"\xff").error
    assert (error.message, error.helps) == ("JSON holds no bytes", ("put `- decode: utf-8` before",))


def test_half_a_surrogate_pair_is_an_error() -> None:
    error = run_steps("- decode: utf-7", b"+2AA-").error
    assert (error.code, error.message) == ("not-json-able", "the text holds half a surrogate pair, which is no UTF-8")
    assert run_steps("- decode: utf-7\n- map: '[payload]'", b"+2AA-").error.code == "not-json-able"


TOPIC = "- json\n- publish: {topic: 'to/${payload.t}', payload: x}"


@pytest.mark.parametrize(
    ("value", "topic"),
    [("a", "to/a"), ("a/b", "to/a/b"), ("", "to/"), (5, "to/5"), (1.5, "to/1.5"), (None, "to/null"), ("ä €", "to/ä €")],
)
def test_inserted_values_fill_levels(value: Any, topic: str) -> None:
    outcome = run_steps(TOPIC, {"t": value})
    assert [sent.topic for sent in outcome.published] == [topic, "out"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a+b", "cannot publish to `to/a+b`: one cannot publish to a wildcard"),
        ("#", "cannot publish to `to/#`: one cannot publish to a wildcard"),
        ("a\0b", "cannot publish to `to/a\0b`: a topic must not contain the character NUL"),
        ("x" * 65_533, f"cannot publish to `to/{'x' * 57}`: a topic must not be longer than 65535 bytes"),
    ],
)
def test_inserted_value_that_makes_no_topic_is_an_error(value: str, message: str) -> None:
    outcome = run_steps(TOPIC, {"t": value})
    assert (outcome.error.code, outcome.error.message) == ("bad-topic", message)
    assert outcome.sent == []


def test_longest_topic_is_fine() -> None:
    assert len(run_steps(TOPIC, {"t": "x" * 65_532}).published[0].topic) == 65_535


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "cannot publish to ``: a topic must not be empty"),
        (5, "the topic is a number, not a text"),
        (None, "the topic is null, not a text"),
    ],
)
def test_topic_that_is_one_value_must_be_a_text(value: Any, message: str) -> None:
    outcome = run_steps("- json\n- publish: {topic: '${payload.t}', payload: x}", {"t": value})
    assert (outcome.error.code, outcome.error.message) == ("bad-topic", message)


def test_topic_that_was_refused_once_is_refused_again() -> None:
    outcome = run_steps(TOPIC, {"t": "#"}, {"t": "ok"}, {"t": "#"}, {"t": "ok"})
    assert [sent.topic for sent in outcome.published] == ["to/ok", "out", "to/ok", "out"]
    assert len(outcome.errors) == 2


@pytest.mark.parametrize(
    ("topic", "mark"),
    [
        ("a/+/b", "+"),
        ("#", "#"),
        ("${topic}/#", "#"),
        ('${"#"}/x/#', "#"),
        ("$${x}/#", "#"),
        ("a/${topic}/+room", "+"),
    ],
)
def test_wildcard_in_the_topic_is_refused_at_its_place(topic: str, mark: str) -> None:
    text = f"subscribe: in\nsteps:\n  - publish:\n      topic: '{topic}'\n"
    found = refused(text)
    assert (found.code, found.message) == ("bad-topic", "one cannot publish to a wildcard")
    assert found.span.text == mark
    assert found.span.start == text.rindex(mark)


def test_empty_topic_is_refused() -> None:
    assert refused('subscribe: in\nsteps:\n  - publish: ""\n').message == "a topic must not be empty"


def test_qos_and_retain_may_be_computed() -> None:
    steps = "- publish: {topic: a, qos: '${qos}', retain: '${retain}'}"
    outcome = run(f"subscribe: in\nsteps:\n  {steps}\n", message("in", qos=2), message("in", qos=1, retain=True))
    assert [(sent.qos, sent.retain) for sent in outcome.published] == [(2, False), (1, True)]


@pytest.mark.parametrize("qos", [3, -1, "1", True, None, 0.5])
def test_computed_qos_must_be_0_1_or_2(qos: Any) -> None:
    error = run_steps("- json\n- publish: {topic: a, qos: '${payload.q}'}", {"q": qos}).error
    assert (error.code, error.message) == ("wrong-value", "`qos` must be 0, 1 or 2")


@pytest.mark.parametrize("retain", [0, 1, "true", None])
def test_computed_retain_must_be_true_or_false(retain: Any) -> None:
    error = run_steps("- json\n- publish: {topic: a, retain: '${payload.r}'}", {"r": retain}).error
    assert (error.code, error.message) == ("wrong-value", "this must be `true` or `false`")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("qos: 3", "`qos` of `publish` must be 0, 1 or 2"),
        ("qos: one", "`qos` of `publish` must be 0, 1 or 2"),
        ("qos: true", "`qos` of `publish` must be 0, 1 or 2"),
        ("qos: 'x${1}'", "`qos` of `publish` must be 0, 1 or 2"),
        ("retain: yes", "`retain` of `publish` must be `true` or `false`"),
        ("retain: 1", "`retain` of `publish` must be `true` or `false`"),
        ("qso: 1", "`publish` has no option `qso`"),
    ],
)
def test_wrong_option_is_refused(option: str, message: str) -> None:
    assert refused(f"subscribe: in\nsteps:\n  - publish: {{topic: out, {option}}}\n").message == message


def properties_of(properties: str, *messages: Message) -> list[Any]:
    text = f"subscribe: in\nsteps:\n  - json\n  - publish: {{topic: out, properties: {properties}}}\n"
    return [sent.properties for sent in run(text, *messages).published]


def test_constant_properties_are_sent() -> None:
    properties = (
        "{content_type: text/plain, user: {a: x, n: 5}, message_expiry: 60, response_topic: r, correlation_data: ä}"
    )
    assert properties_of(properties, message("in", {})) == [
        {
            "content_type": "text/plain",
            "user": {"a": "x", "n": "5"},
            "message_expiry": 60,
            "response_topic": "r",
            "correlation_data": "ä".encode(),
        }
    ]


def test_computed_properties_are_sent() -> None:
    properties = "{user: {room: '${payload.room}', n: '${payload.n}'}, message_expiry: '${payload.n}'}"
    given = message("in", {"room": "attic", "n": 5})
    assert properties_of(properties, given) == [{"user": {"room": "attic", "n": "5"}, "message_expiry": 5}]
    whole = message("in", {"a": "x"}, properties={"correlation_data": b"\xff"})
    assert properties_of("{user: '${payload}', correlation_data: '${properties.correlation_data}'}", whole) == [
        {"user": {"a": "x"}, "correlation_data": b"\xff"}
    ]


@pytest.mark.parametrize(
    ("properties", "payload", "message"),
    [
        ("{content_type: '${payload}'}", 5, "the property `content_type` must be a text, this is a number"),
        (
            "{message_expiry: '${payload}'}",
            -1,
            "the property `message_expiry` must be a number of seconds, this is a number",
        ),
        (
            "{message_expiry: '${payload}'}",
            2**32,
            "the property `message_expiry` must be a number of seconds, this is a number",
        ),
        (
            "{message_expiry: '${payload}'}",
            True,
            "the property `message_expiry` must be a number of seconds, this is true",
        ),
        ("{user: '${payload}'}", [1], "the property `user` must be a map of texts, this is a list"),
        ("{user: {a: '${payload}'}}", [1], "the property `user.a` must be a text or number, this is a list"),
        (
            "{correlation_data: '${payload}'}",
            {"a": 1},
            "the property `correlation_data` must be a text or bytes, this is a map",
        ),
        ("{response_topic: '${payload}'}", '"a/#"', "`response_topic`: one cannot publish to a wildcard"),
        ("{content_type: '${payload}'}", '"a\\u0000"', "the property `content_type` must not contain NUL"),
        ("{content_type: '${payload * 70000}'}", '"a"', "the property `content_type` must have at most 65535 bytes"),
    ],
)
def test_computed_property_of_the_wrong_kind_is_an_error(properties: str, payload: Any, message: str) -> None:
    error = run_steps(f"- json\n- publish: {{topic: a, properties: {properties}}}", payload).error
    assert (error.code, error.message) == ("wrong-value", message)


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("{content_typ: x}", "there is no property `content_typ`"),
        ("{content_type: 5}", "the property `content_type` must be a text, this is a number"),
        ("{user: x}", "the property `user` must be a map of texts, this is a text"),
        ("{user: [], content_type: '${topic}'}", "the property `user` must be a map of texts, this is a list"),
        ("{user: {a: ['${topic}']}}", "the property `user.a` must be a text or number, this is a list"),
        ("{user: {a: true}}", "the property `user.a` must be a text or number, this is true"),
        ("{message_expiry: soon}", "the property `message_expiry` must be a number of seconds, this is a text"),
        ("{response_topic: a/+}", "`response_topic`: one cannot publish to a wildcard"),
        ("[content_type]", "`properties` of `publish` must be a map of MQTT 5 properties"),
    ],
)
def test_wrong_property_is_refused(properties: str, message: str) -> None:
    assert refused(f"subscribe: in\nsteps:\n  - publish: {{topic: a, properties: {properties}}}\n").message == message


def test_connection_is_that_of_the_step() -> None:
    text = """
    subscribe: in
    steps:
      - publish: {topic: a, connection: cloud}
      - publish: b
      - publish: {topic: c, connection: cloud}
    """
    assert [(sent.topic, sent.connection) for sent in run(text, ("in", b"")).published] == [
        ("a", "cloud"),
        ("b", "default"),
        ("c", "cloud"),
    ]


def test_unknown_connection_is_refused_with_a_suggestion() -> None:
    found = refused("subscribe: in\nsteps:\n  - publish: {topic: a, connection: clod}\n")
    assert (found.code, found.message) == ("unknown-connection", "there is no connection `clod`")
    assert found.helps == ("did you mean `cloud`?",)


def test_publishing_to_what_is_heard_is_warned_of_and_runs() -> None:
    text = "subscribe: a/+x\nsteps:\n  - publish: a/${x}\n"
    assert refused(text).code == "possible-loop"
    assert run(read(text), ("a/b", b"1")).sent == [("a/b", 1)]
