"""Turns steps that change the payload into lines of a script."""

import re
from typing import Any

import orjson

from flowrunner.expressions import Scope, kind_of
from flowrunner.scripts.body import Lines, Way, broken
from flowrunner.scripts.parts import Parts
from flowrunner.scripts.python_words import literal, quote
from flowrunner.scripts.writers import writes


@writes("decode")
def decode(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:
    """`decode`, in the formats that a line of Python reads."""
    if step.format == "json":
        return json_(script, step, scope, way)
    if step.format in {"base64", "hex", "gzip", "zlib"}:
        return [f"payload = {_decoded(script, step.format)}"]
    if step.format in {"msgpack", "cbor"}:
        module, function = {"msgpack": ("msgpack", "unpackb"), "cbor": ("cbor2", "loads")}[step.format]
        script.pip(module)
        return [f"payload = {module}.{function}(payload)"]
    if step.format == "csv" and step.delimiter is None and step.header in (None, True):
        return [f"payload = {script.need('csv_rows')}(payload)"]
    if step.format in {"csv", "yaml"}:
        raise script.refuse(step, f"`decode: {step.format}`", "Python reads it otherwise than the flow does")
    errors = "" if step.errors == "strict" else f", {quote(step.errors)}"
    return [f"payload = payload.decode({quote(step.format)}{errors})"]


def _decoded(script: Parts, format: str) -> str:
    if format == "hex":
        return f"bytes.fromhex({script.need('text')}(payload))"
    script.needs_import(format)
    return f"{format}.b64decode(payload, validate=True)" if format == "base64" else f"{format}.decompress(payload)"


@writes("encode")
def encode(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`encode`, in the formats that a line of Python writes."""
    if step.format == "json":
        script.needs_import("json")
        form = "indent=2" if step.indent else 'separators=(",", ":")'
        return [f"payload = json.dumps(payload, ensure_ascii=False, {form}).encode()"]
    if step.format in {"csv", "yaml", "msgpack", "cbor", "gzip", "zlib", "base64", "hex"}:
        raise script.refuse(step, f"`encode: {step.format}`", "only text encodings and `json` are written by a line")
    return [f"payload = payload.encode({quote(step.format)})"]


@writes("json")
def json_(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`json`."""
    script.needs_import("json")
    return ["payload = json.loads(payload)"]


@writes("map")
def map_(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`map`."""
    return [f"payload = {script.words.value(step.body, scope)}"]


@writes("set")
def set_(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`set`: a new dict, because another branch may still see the old one."""
    values = [(path, script.words.value(value, scope)) for path, value in step.fields]
    if all(len(path) == 1 for path, _ in values):
        line = "{**payload, " + ", ".join(f"{quote(path[0])}: {value}" for path, value in values) + "}"
        if len(line) > 90:
            line = "{\n    **payload,\n" + "".join(f"    {quote(path[0])}: {value},\n" for path, value in values) + "}"
        return [f"payload = {line}"]
    changed = "payload"
    for path, value in values:
        changed = script.set_field(changed, path, value)
    return [f"payload = {changed}"]


@writes("let")
def let(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`let`."""
    names = ", ".join(script.words.name(name) for name, _ in step.names)
    return [f"{names} = {', '.join(script.words.value(value, scope) for _, value in step.names)}"]


@writes("pick")
def pick(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`pick`."""
    if all(len(path) == 1 for path in step.fields):
        names = literal([path[0] for path in step.fields])
        return [f"payload = {{name: payload[name] for name in {names} if name in payload.keys()}}"]
    paths = [literal(list(path)) for path in step.fields]
    return [f"payload = {broken(script.need('pick_fields'), ['payload', *paths])}"]


@writes("remove")
def remove(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`remove`."""
    if all(len(path) == 1 for path in step.fields):
        names = literal([path[0] for path in step.fields])
        return [f"payload = {{name: value for name, value in payload.items() if name not in {names}}}"]
    lines = [f"payload = {script.need('remove_field')}(payload, {literal(list(path))})" for path in step.fields]
    return ["payload = {**payload}", *lines]


@writes("rename")
def rename(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`rename`."""
    pairs = ", ".join(f"({literal(list(old))}, {literal(list(new))})" for old, new in step.names)
    return [f"payload = {broken(script.need('rename_fields'), ['payload', f'[{pairs}]'])}"]


@writes("convert")
def convert(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`convert`, one field a line."""
    lines = []
    for path, kind in step.fields:
        if kind == "time":
            raise script.refuse(step, "`convert` to `time`", "it reads many ways to write a time")
        helper = script.need("text" if kind == "text" else f"to_{kind}")
        lines.append(f"payload = {script.set_field('payload', path, f'{helper}({script.get_field(path)})')}")
    return lines


@writes("scale")
def scale(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`scale`."""
    number = script.get_field(step.field)
    limits = [repr(one) for one in (*step.source, *step.target)]
    scaled = f"{script.need('scale')}({', '.join([number, *limits])})"
    if step.clamp:
        scaled = f"min(max({scaled}, {min(step.target)!r}), {max(step.target)!r})"
    if step.round is not None:
        scaled = f"round({scaled}, {step.round})" if step.round else f"round({scaled})"
    return [f"payload = {script.set_field('payload', step.field, scaled)}"]


@writes("lookup")
def lookup(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`lookup`; the table stands at the beginning of the script."""
    table = script.constant("TABLE", step.table if step.table is not None else step.file)
    key = script.words.expression(step.key)
    if kind_of(step.key, scope) != "text":
        key = f"{script.need('table_key')}({key})"
    found = f"{table}[{key}]"
    if step.default is not None:
        found = f"{table}.get({key}, {script.words.value(step.default, scope)})"
    return [f"payload = {script.set_field('payload', step.into, found)}"]


@writes("extract")
def extract(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`extract`, with Python's own regular expressions."""
    pattern = step.pattern.text.replace("(?<", "(?P<")
    try:
        re.compile(pattern)
    except re.error:
        raise script.refuse(step, "this `pattern`", "Python's `re` does not know this regular expression") from None
    written = f'r"{pattern}"' if '"' not in pattern and not pattern.endswith("\\") else repr(pattern)
    source = script.words.expression(step.source) if step.source else "payload"
    found = f"{script.need('extract')}({written}, {source})"
    return [f"payload = {script.set_field('payload', step.into, found)}"]


@writes("validate")
def validate(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`validate`."""
    script.pip("jsonschema")
    schema = script.constant("SCHEMA", orjson.loads((step.schema or step.file).text))
    return [f"jsonschema.validate(payload, {schema})"]
