"""Turns what was written of a flow into a whole script: what it says of itself, imports, callbacks and `main`."""

import re
import textwrap
from typing import TYPE_CHECKING

from flowrunner.read.flow import Flow
from flowrunner.scripts.body import Lines, block, broken, indented
from flowrunner.scripts.helpers import HELPERS
from flowrunner.scripts.python_words import literal, own_name, quote
from flowrunner.scripts.refusals import cannot_eject
from flowrunner.sources import AtStart, Cron, Every, Subscribe
from flowrunner.topics import overlaps

if TYPE_CHECKING:
    from flowrunner.scripts.script import ScriptWriter

#: What `error` is in the steps of an `on_error`.
ERROR = '{"message": str(problem)}'

_WIDE = 100


def assemble(script: "ScriptWriter") -> str:
    """The script of a flow. Raises CannotEject."""
    flow = script.flow
    check_sources(flow)
    script.needs_import("os")
    script.needs_import("sys")
    script.need("attempt")
    name, parameters = script.write()
    callbacks = [connected(script), *([arrived(script, name, parameters)] if subscriptions_of(flow) else [])]
    main = main_of(script, name, parameters)
    constants = [
        f"{own_name(constant, script.taken)} = {literal(value)}"
        for constant, value in flow.constants.items()
        if any(re.search(rf"\b{own_name(constant, script.taken)}\b", text) for text in (*script.functions, main))
    ]
    if script.uses_dropped:
        script.globals.append("DROPPED = object()  # stands for a payload that goes no further")
    helpers = [HELPERS[helper].source for helper in script.helpers]
    parts = [*callbacks, *script.functions, *helpers, main, ENTRY]
    head = [f'"""{about(script)}"""', "", *imports(script)]
    state = [*constants, *script.globals]
    return "\n".join([*head, *(["", *state] if state else []), "", "", "\n\n\n".join(parts)]) + "\n"


def about(script: "ScriptWriter") -> str:
    """What the script says of itself."""
    flow = script.flow
    packages = " ".join(["paho-mqtt", *script.packages])
    text = flow.description or f"Do what the flow `{flow.name}` does"
    lines = [
        textwrap.fill(f"{text.rstrip('.')}.", _WIDE),
        "",
        f"Written by `flowrunner eject {flow.name}`, after {flow.source.name}. To run it:",
        "",
        f"    pip install {packages}",
        f"    FLOWRUNNER_BROKER=mqtt://localhost:1883 python {flow.name}.py",
        "",
    ]
    return "\n".join(lines).replace("\\", "\\\\").replace('"""', "'''")


def imports(script: "ScriptWriter") -> Lines:
    """The imports: Python's own modules, then what is installed."""
    found = {one if one.startswith("from ") else f"import {one}" for one in script.imports}
    found |= {"from urllib.parse import unquote, urlsplit"}
    installed = {f"import {package}" for package in script.packages} | {one for one in found if "paho" in one}
    own = sorted(found - installed, key=lambda line: (line.startswith("from "), line))
    return [*own, "", *sorted({*installed, "import paho.mqtt.client as mqtt"})]


def subscriptions_of(flow: Flow) -> list[Subscribe]:
    """What the flow subscribes to."""
    return [source for source in flow.sources if isinstance(source, Subscribe)]


def check_sources(flow: Flow) -> None:
    """Refuse sources that a short script would not serve alike."""
    heard = subscriptions_of(flow)
    for source in heard:
        span = source.span or flow.span
        if source.connection != "default":
            raise cannot_eject(f"the connection `{source.connection}`", "a script has one client, for one broker", span)
        if source.retained != heard[0].retained:
            raise cannot_eject("`retained` that differs", "paho does not say which filter brought a message", span)
    for trigger in flow.sources:
        place = trigger.span or flow.span
        if isinstance(trigger, Cron):
            raise cannot_eject("`cron`", "let the system's cron start a script that publishes once", place)
        if not isinstance(trigger, Subscribe) and len(flow.sources) > 1:
            why = "messages and ticks come in two threads; make two flows of it"
            raise cannot_eject("several kinds of sources", why, place)


def connected(script: "ScriptWriter") -> str:
    """The callback for the broker's answer."""
    subscriptions = subscriptions_of(script.flow)
    lines = [
        *block("if reason_code.is_failure:", [
            'print(f"the broker refused the connection: {reason_code}", file=sys.stderr)', "return",
        ]),
    ]  # fmt: skip
    if any(source.no_local for source in subscriptions):
        script.is_mqtt5 = True
        script.needs_import("from paho.mqtt.subscribeoptions import SubscribeOptions")
    overlapping = [(one, other) for one in subscriptions for other in subscriptions if one is not other]
    if script.is_mqtt5 and any(overlaps(one.filter, other.filter) for one, other in overlapping):
        why = "a broker may deliver a message for each of them on MQTT 5"
        raise cannot_eject("filters that overlap", why, subscriptions[0].span or script.flow.span)
    lines += [f"client.subscribe({subscribed(source)})" for source in subscriptions]
    why = "Here, because paho connects again by itself, and the subscriptions must stand again then."
    doc = f"The broker has answered. {why}" if subscriptions else "The broker has answered."
    head = "def on_connect(client, userdata, flags, reason_code, properties):"
    return "\n".join([head, *indented([textwrap.fill(f'"""{doc}"""', _WIDE), *lines])])


def subscribed(source: Subscribe) -> str:
    """What is handed to `subscribe`."""
    if source.no_local:
        return f"{quote(source.filter.mqtt)}, options=SubscribeOptions(qos={source.qos}, noLocal=True)"
    return quote(source.filter.mqtt) + (f", qos={source.qos}" if source.qos else "")


def arrived(script: "ScriptWriter", name: str, parameters: list[str]) -> str:
    """The callback for a message: it names the levels of the topic, and starts the steps."""
    flow = script.flow
    subscriptions = subscriptions_of(flow)
    values = {"topic": "message.topic", "payload": "message.payload", "qos": "message.qos"}
    values |= {"retain": "message.retain"}
    handler, given = script.handler(flow.on_error) if flow.on_error.how == "steps" else ("", [])
    if "properties" in [*parameters, *given]:
        script.is_mqtt5 = True
        values["properties"] = f"{script.need('properties_of')}(message)"
    captures = {own_name(level, script.taken) for one in subscriptions for level, _, _ in one.filter.captures}
    used = captures & {*parameters, *given}
    lines = skipped(subscriptions[0].retained)
    lines += ["topic = message.topic"] if used or handler else []
    lines += named_levels(script, subscriptions, used)
    values |= {"topic": "topic"} if used or handler else {}
    arguments = [values.get(parameter, parameter) for parameter in parameters]
    if handler:
        values["error"] = ERROR
        lines += block("try:", [broken(name, arguments)])
        call = broken("attempt", [handler, *(values.get(parameter, parameter) for parameter in given)])
        lines += block("except Exception as problem:", [call])
    else:
        lines.append(broken("attempt", [name, *arguments]))
    doc = '"""paho calls this for every message that arrives, one after the other."""'
    return "\n".join(["def on_message(client, userdata, message):", *indented([doc, *lines])])


def skipped(retained: str) -> Lines:
    """Leave out messages by their retain flag."""
    if retained == "all":
        return []
    return block("if message.retain:" if retained == "new" else "if not message.retain:", ["return"])


def named_levels(script: "ScriptWriter", subscriptions: list[Subscribe], used: set[str]) -> Lines:
    """Name the levels of the topic; with several filters, those of the first that matches."""
    ways: list[Lines] = []
    for source in subscriptions:
        lines: Lines = []
        for level, index, is_rest in source.filter.captures:
            name = own_name(level, script.taken)
            if name in used:
                rest = f'"/".join(topic.split("/")[{index}:])'
                lines.append(f"{name} = {rest}" if is_rest else f'{name} = topic.split("/")[{index}]')
        ways.append(lines)
    if not used or all(lines == ways[0] for lines in ways):
        return ways[0]
    found: Lines = []
    for index, (source, lines) in enumerate(zip(subscriptions, ways, strict=True)):
        test = f"mqtt.topic_matches_sub({quote('/'.join(source.filter.levels))}, topic)"
        word = "else:" if index == len(ways) - 1 else f"{'el' if index else ''}if {test}:"
        found += block(word, lines)
    return found


def main_of(script: "ScriptWriter", name: str, parameters: list[str]) -> str:
    """The function that connects, and stays or ticks."""
    flow = script.flow
    protocol = ", protocol=mqtt.MQTTv5" if script.is_mqtt5 else ""
    has_messages = bool(subscriptions_of(flow))
    lines = [
        '"""Connect to the broker, and stay until Ctrl-C."""',
        'url = urlsplit(os.environ.get("FLOWRUNNER_BROKER") or "mqtt://localhost:1883")',
        'is_secure = url.scheme == "mqtts"',
        f"client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2{protocol})",
        *block("if url.username:", ['client.username_pw_set(unquote(url.username), unquote(url.password or ""))']),
        *block("if is_secure:", ["client.tls_set()"]),
        "client.on_connect = on_connect",
        *(["client.on_message = on_message"] if has_messages else []),
        'client.connect(url.hostname or "localhost", url.port or (8883 if is_secure else 1883))',
        *(["client.loop_forever()"] if has_messages else ticking(script, name, parameters)),
    ]
    return "\n".join(["def main():", *indented(lines)])


def ticking(script: "ScriptWriter", name: str, parameters: list[str]) -> Lines:
    """A loop that starts the steps again and again, or the start of a flow."""
    (source,) = script.flow.sources
    values = {"payload": "number", "qos": "0", "retain": "False", "properties": "{}"}
    begin = ["client.loop_start()  # paho works in a thread of its own meanwhile"]
    word = {Every: "every", AtStart: "at_start"}.get(type(source), "")
    values["topic"] = quote(f"{word}/{script.flow.name}")
    if isinstance(source, AtStart):
        values["payload"] = literal(source.payload)
        call = broken("attempt", [name, *(values.get(one, one) for one in parameters)])
        return [*begin, call, "client.disconnect()", "client.loop_stop()"]
    assert isinstance(source, Every)
    script.needs_import("time")
    script.needs_import("itertools")
    call = broken("attempt", [name, *(values.get(one, one) for one in parameters)])
    seconds = repr(int(source.interval) if source.interval.is_integer() else source.interval)
    if source.jitter:
        script.needs_import("random")
        seconds += f" + random.uniform(0, {source.jitter!r})"
    numbers = "itertools.count(1)" if source.count is None else f"range(1, {source.count + 1})"
    wait = f"time.sleep({seconds})"
    inside = [call, wait] if source.immediately else [wait, call]
    if source.count is not None:
        script.imports.discard("itertools")
    return [*begin, *block(f"for number in {numbers}:", inside)]


ENTRY = """\
if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass"""
