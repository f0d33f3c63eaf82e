"""Turns `http request`, `exec` and `file` into steps that reach out of flowrunner."""

import json
import re
import shlex
from dataclasses import replace
from typing import Any

from flowrunner.nodered.export import as_text
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.mustache import read_mustache
from flowrunner.nodered.nodes.timing import duration
from flowrunner.nodered.properties import known_variable
from flowrunner.nodered.values import Constant, Template, Uncertain, Value, escaped, kind_of, option, rich
from flowrunner.nodered.walk import Way

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[^\s{}]*|\?[^\s{}]*)?")
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
_SHELL = re.compile(r"[|&;<>()$`*?~#!\n\\\[\]{}=%]")


def http(way: Way, known: Known) -> Steps:
    """`http request`."""
    node = way.node
    steps, known = known.readable() if "payload" in node.text("url") else ([], known)
    method = node.text("method") or "GET"
    if method not in _METHODS:
        raise Uncertain("a method that the message names")
    if node.text("paytoqs") in ("query", "body", "true"):
        raise Uncertain("a payload that becomes part of the address or the body")
    options: dict[str, Any] = {"url": _url(way, known)}
    if method != "GET":
        options["method"] = method
    if headers := _headers(way):
        options["headers"] = headers
    if method in ("POST", "PUT", "PATCH") and known.payload is not None:
        is_data = isinstance(known.payload, Constant) and isinstance(known.payload.value, dict | list)
        options["json" if is_data else "body"] = rich(known.payload)
    _note(way)
    after = replace(known.replaced("data"), is_answer=True)
    value = options["url"] if len(options) == 1 else options
    return [*steps, *way.named([Step("http", value)]), *way.on(0, after)]


def _note(way: Way) -> None:
    node = way.node
    notes = ["a status other than 2xx is an error, and JSON becomes a value"]
    if node.text("authType") or node.text("tls"):
        notes.append("give the password or certificate: they are not in an export")
    if node.text("ret") == "bin":
        notes.append("a text is not left as bytes")
    way.approximated("; ".join(notes))


def _url(way: Way, known: Known) -> str:
    given = way.node.text("url").strip()
    if not given and "url" in known.names:
        value: Value = known.names["url"]
    elif "{{" in given:
        value, _ = read_mustache(given, known.value)
    else:
        value = known_variable(given, way)
    first = value.value if isinstance(value, Constant) else value.parts[0] if isinstance(value, Template) else ""
    if isinstance(first, str) and first and "://" not in first:
        raise Uncertain("an address without `http://`")
    if not isinstance(first, str) or not _URL.fullmatch(first):
        raise Uncertain("an address that is not written out")
    if not isinstance(value, Constant) and "/" not in first.split("://", 1)[1]:
        raise Uncertain("an address that is not written out")
    return str(option(value))


def _headers(way: Way) -> dict[str, str]:
    found: dict[str, str] = {}
    for header in way.node.maps("headers"):
        kind, word = as_text(header.get("keyType")), as_text(header.get("keyValue"))
        word = word if kind == "other" else kind
        value_kind, value = as_text(header.get("valueType")), as_text(header.get("valueValue"))
        value = value if value_kind == "other" else value_kind
        if kind in ("msg", "") or value_kind in ("msg", "") or not re.fullmatch(r"[A-Za-z0-9-]+", word):
            raise Uncertain("a header that the message names")
        if not value.isprintable() or not value.isascii():
            raise Uncertain("a header with such a value")
        found[word.title()] = str(escaped(value))
    return found


def program(way: Way, known: Known) -> Steps:
    """`exec`: a program with its arguments."""
    node = way.node
    command = node.text("command").strip()
    if not command:
        raise Uncertain("a command that the message names")
    more = node.text("append").strip()
    addpay = node.text("addpay")
    steps: Steps = []
    given: list[Any] = []
    if addpay and addpay != "false":
        path = read_path("payload" if addpay == "true" else addpay)
        steps, known = known.settled()
        given = [str(option(known.value(path)))]
    if _SHELL.search(f"{command} {more}"):
        place = ' "$@"' if given else ""
        words = ["sh", "-c", f"{command}{place} {more}".rstrip(), *(["sh"] if given else [])]
        arguments = [*map(escaped, words), *given]
    else:
        try:
            arguments = [*map(escaped, shlex.split(command)), *given, *map(escaped, shlex.split(more))]
        except ValueError:
            raise Uncertain("a command with an open quote") from None
    options: dict[str, Any] = {"command": arguments}
    if (seconds := node.number("timer", 0)) > 0:
        options["timeout"] = duration(seconds)
    others = [port for port in range(1, len(node.wires)) if way.walk.targets(way.target, port)]
    note = "an exit code other than 0 is an error; run it with `--allow exec`"
    way.approximated(note + ("; standard error and exit code have no outputs" if others else ""))
    after = replace(known.replaced("bytes"), raw="utf8")
    return [*steps, *way.named([Step("exec", options if len(options) > 1 else arguments)]), *way.on(0, after)]


def write(way: Way, known: Known) -> Steps:
    """`file`: `write` for lines of JSON, else a function that does it."""
    node = way.node
    name = _filename(way)
    mode = node.text("overwriteFile", "false")
    is_line = node.fields.get("appendNewline", True) in (True, "true")
    steps, known = known.settled()
    is_json = name.endswith((".jsonl", ".ndjson")) and known.kind in ("map", "list", "number", "bool", "data")
    way.done()
    if is_json and mode == "false" and is_line and re.fullmatch(r"[\w-]+(/[\w.-]+)*\.\w+", name) and ".." not in name:
        return [*steps, *way.named([Step("write", name)]), *way.on(0, known)]
    lines = [f"path = Path({json.dumps(name, ensure_ascii=False)})"]
    if mode == "delete":
        lines += ["path.unlink(missing_ok=True)", "return message"]
    else:
        if node.flag("createDir"):
            lines.append("path.parent.mkdir(parents=True, exist_ok=True)")
        lines += [
            "data = message.payload",
            "if not isinstance(data, (str, bytes)):",
            '    data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))',
            "if isinstance(data, str):",
            f"    data = {'(data + chr(10))' if is_line else 'data'}.encode()",
            f'with path.open("{"wb" if mode == "true" else "ab"}") as file:',
            "    file.write(data)",
            "return message",
        ]
    imports = ["import json", "from pathlib import Path"]
    function = way.flow.stubs.add(node, lines, imports=imports)
    way.done(f"a function does it: {function}")
    return [*steps, *way.named([Step("python", function)]), *way.on(0, known)]


def read(way: Way, known: Known) -> Steps:
    """`file in`: a function that reads it."""
    node = way.node
    name, form = _filename(way), node.text("format")
    if form not in ("utf8", ""):
        raise Uncertain("a file that is read in lines or pieces")
    reading = 'read_text(encoding="utf-8")' if form else "read_bytes()"
    lines = [f"return Path({json.dumps(name, ensure_ascii=False)}).{reading}"]
    function = way.flow.stubs.add(node, lines, imports=["from pathlib import Path"])
    way.done(f"a function does it: {function}")
    after = known.replaced("text" if form else "bytes")
    return [*way.named([Step("python", function)]), *way.on(0, after)]


def _filename(way: Way) -> str:
    node = way.node
    kind = node.text("filenameType", "str")
    value: Value = known_variable(node.text("filename"), way)
    if kind not in ("str", "") or not isinstance(value, Constant) or kind_of(value) != "text" or not value.value:
        raise Uncertain("a file that the message names")
    return str(value.value)


TRANSLATORS = {"http request": http, "exec": program, "file": write, "file in": read}
