"""Turns steps that do something besides changing the payload into lines of a script."""

from pathlib import Path
from typing import Any

from flowrunner.expressions import Scope
from flowrunner.scripts.body import Lines, Way, broken
from flowrunner.scripts.parts import Parts
from flowrunner.scripts.python_words import literal, quote
from flowrunner.scripts.writers import writes
from flowrunner.values import value_kind


@writes("publish")
def publish(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`publish`."""
    if step.connection != "default":
        raise script.refuse(step, f"the connection `{step.connection}`", "a script has one client, for one broker")
    topic = script.words.template(step.topic, scope, is_text=True)
    arguments = [topic, payload_of(script, step.payload, scope)]
    if step.qos != 0:
        arguments.append(f"qos={script.dynamic(step.qos)}")
    if step.retain is not False:
        arguments.append(f"retain={script.dynamic(step.retain)}")
    if step.properties is not None:
        script.is_mqtt5 = True
        arguments.append(f"properties={script.need('make_properties')}(**{script.words.value(step.properties, scope)})")
    return [broken("client.publish", arguments)]


def payload_of(script: Parts, payload: Any, scope: Scope) -> str:
    """What is sent; paho takes texts and bytes as they are."""
    value = "payload" if payload is None else script.words.value(payload, scope)
    kind = scope.names["payload"] if payload is None else value_kind(payload, scope)
    return value if kind in {"bytes", "text"} else f"{script.need('to_bytes')}({value})"


@writes("reply")
def reply(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`reply` (MQTT 5.0 section 4.10)."""
    script.is_mqtt5 = True
    answer = f'{script.need("make_properties")}(correlation_data=properties.get("correlation_data"))'
    qos = [f"qos={script.dynamic(step.qos)}"] if step.qos != 0 else []
    sent = payload_of(script, step.payload, scope)
    return [broken("client.publish", ['properties["response_topic"]', sent, *qos, f"properties={answer}"])]


@writes("log")
def log(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`log`."""
    text = script.words.template(step.text, scope, is_text=True)
    return [f"print({text}, flush=True)"]


@writes("stop")
def stop(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`stop`."""
    return [way.end]


@writes("exec")
def exec_(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`exec`; paho waits for the program."""
    script.needs_import("subprocess")
    arguments: list[str] = []
    for one in step.command.arguments:
        text = script.words.template(one, scope, is_text=True)
        is_inserted = not one.is_constant and not isinstance(one.parts[0], str)
        arguments.append(f"{script.need('check_argument')}({text})" if is_inserted else text)
    options = [f"[{', '.join(arguments)}]", f"input={payload_of(script, None, scope)}", "capture_output=True"]
    options += ["check=True", f"timeout={step.timeout!r}"]
    slow = "# (no other message is handled while the program runs)"
    return [slow, f"payload = {broken('subprocess.run', options)}.stdout"]


@writes("write")
def write(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`write` of JSON lines into a file that only grows."""
    if step.is_csv or step.rotate is not None:
        raise script.refuse(step, "`write` of CSV, or with `rotate`", "it has to know what is in the file already")
    template = step.file.template
    pieces: tuple[Any, ...] = template.parts
    part = "" if template.is_constant else script.need("path_part")
    texts = [
        literal(str(piece)) if isinstance(piece, str) else f"{part}({script.hole_text(piece)})" for piece in pieces
    ]
    path = quote(template.constant) if template.is_constant else " + ".join(texts)
    value = "payload" if step.value is None else script.words.value(step.value, scope)
    beside = "" if Path(str(pieces[0])).is_absolute() else "  # below the folder in which the script is started"
    return [f"{script.need('append_line')}({path}, {value}){beside}"]
