"""Turns `mqtt out` and `debug` into `publish` and `log`."""

import json
from typing import Any

from flowrunner.nodered.export import Node
from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.properties import known_variable
from flowrunner.nodered.values import Constant, Uncertain, Value, kind_of, option, rich
from flowrunner.nodered.walk import Way, reader_of
from flowrunner.topics import BadTopic, check_topic


def publish(way: Way, known: Known) -> Steps:
    """`mqtt out`: what the node leaves open comes from the message."""
    node = way.node
    steps: Steps = []
    if known.raw in ("json", "base64"):
        steps, known = known.settled()
    topic = known_variable(node.text("topic"), way) if node.text("topic") else known.topic
    mistake = _mistake(topic)
    if mistake:
        way.not_done(mistake)
        return [*steps, Step("log", {"text": f"to do: {mistake}", "level": "warning"}), *way.on(0, known)]
    options: dict[str, Any] = {"topic": option(topic)}
    if known.payload is not None:
        options["payload"] = rich(known.payload)
    options |= _delivery(node, known)
    connection = way.walk.connections.get(node.text("broker"), "default")
    if connection != "default":
        options["connection"] = connection
    options |= _properties(node, way)
    way.done()
    value = options["topic"] if list(options) == ["topic"] else options
    return [*steps, *way.named([Step("publish", value)]), *way.on(0, known)]


def _mistake(topic: Value) -> str:
    """Why nothing can be published to a topic, or nothing."""
    if not isinstance(topic, Constant):
        return ""
    if not isinstance(topic.value, str) or not topic.value:
        return "there is no topic to publish to"
    try:
        check_topic(topic.value)
    except BadTopic as bad:
        return f"nothing can be published to this topic: {bad.message}"
    return ""


def _delivery(node: Node, known: Known) -> dict[str, Any]:
    """QoS and retain flag, where they are not 0 and false."""
    qos: Value = Constant(int(node.number("qos", 0))) if node.text("qos") in ("0", "1", "2") else known.qos
    given = node.text("retain")
    retain: Value = Constant(given == "true") if given else known.retain
    found = {"qos": qos, "retain": retain}
    if isinstance(qos, Constant) and qos.value not in (0, 1, 2):
        found["qos"] = Constant(0)
    if isinstance(retain, Constant) and not isinstance(retain.value, bool):
        found["retain"] = Constant(retain.value == "true")
    return {key: option(value) for key, value in found.items() if not (isinstance(value, Constant) and not value.value)}


def _properties(node: Node, way: Way) -> dict[str, Any]:
    """The properties of MQTT 5, where the broker is spoken to in that version."""
    broker = way.walk.export.nodes.get(node.text("broker"))
    if broker is None or broker.text("protocolVersion") != "5":
        return {}
    found: dict[str, Any] = {"content_type": node.text("contentType"), "response_topic": node.text("respTopic")}
    found["correlation_data"] = node.text("correl")
    if expiry := int(node.number("expiry", 0)):
        found["message_expiry"] = expiry
    user = _user_properties(node.text("userProps"))
    found |= {"user": user} if user else {}
    found = {key: option(Constant(value)) for key, value in found.items() if value}
    return {"properties": found} if found else {}


def _user_properties(text: str) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {key: str(value) for key, value in found.items() if key} if isinstance(found, dict) else {}


def log(way: Way, known: Known) -> Steps:
    """`debug`: a line in the log."""
    node = way.node
    if node.fields.get("active") is False:
        way.done("was switched off: left out")
        return way.on(0, known)
    what = node.text("complete") or "payload"
    is_field = what.startswith(("payload.", "payload[")) and known.raw
    steps, known = known.settled() if is_field else ([], known)
    try:
        shown = _shown(what, node.text("targetType"), known)
    except Uncertain as reason:
        way.approximated(f"shows the payload instead: {reason}")
        shown = _line(known.payload or known.value(("payload",)), known)
    else:
        way.done()
    return [*steps, *way.named([Step("log", shown)]), *way.on(0, known)]


def _shown(what: str, kind: str, known: Known) -> str:
    payload = _line(known.payload or known.value(("payload",)), known)
    if kind == "jsonata":
        raise Uncertain("JSONata")
    if what == "true" or kind == "full":
        topic = option(known.topic) if known.topic != Constant("") else ""
        return f"{topic}: {payload}" if topic else payload
    return payload if what in ("payload", "false") else _line(reader_of(known, what), known)


def _line(value: Value, known: Known) -> str:
    """A value as a line of text."""
    if kind_of(value) == "bytes" and known.raw in ("", "buffer", "base64"):
        return "${len(payload)} bytes"
    if isinstance(value, Constant) and not isinstance(value.value, str):
        return str(option(Constant(json.dumps(value.value, ensure_ascii=False))))
    return str(option(value)) or "(an empty text)"


TRANSLATORS = {"mqtt out": publish, "debug": log}
