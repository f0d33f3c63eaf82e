"""Turns typed inputs of Node-RED (`str`, `num`, `msg`, `flow`, `jsonata` ...) into values."""

import re
from typing import Any

from flowrunner.nodered.constants import constant_of
from flowrunner.nodered.export import as_text
from flowrunner.nodered.jsonata import read_jsonata
from flowrunner.nodered.known import Known, read_path
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.names import identifier, slug
from flowrunner.nodered.operators import called
from flowrunner.nodered.surroundings import variables_around
from flowrunner.nodered.values import Constant, Uncertain, Value, kind_of_constant, name
from flowrunner.nodered.walk import Way, path_reader


def typed(given: Any, kind: str, known: Known, way: Way) -> tuple[Steps, Value]:
    """The value of a typed input, and the steps that must come before."""
    match kind:
        case "msg":
            return [], known.value(read_path(as_text(given)))
        case "date":
            form = as_text(given)
            return [], called("Date.iso" if form == "iso" else "Date.now", [])
        case "jsonata":
            return [], read_jsonata(as_text(given), path_reader(known))
        case "env":
            return [], variable(as_text(given), way)
        case "flow" | "global":
            return stored(as_text(given), kind, way)
    return [], known_variable(constant_of(given, kind), way)


def known_variable(constant: Any, way: Way) -> Value:
    """A constant, or the variable that it names in Node-RED: `${NAME}`."""
    if isinstance(constant, str) and (found := re.fullmatch(r"\$\{([A-Za-z_]\w*)\}", constant)):
        return variable(found[1], way)
    return Constant(constant)


def variable(word: str, way: Way) -> Value:
    """A variable of the environment: what tab, group or subflow give, else a constant of `flowrunner.yaml`."""
    symbols = way.target.frame.symbols
    if symbols is not None and word in symbols.defaults:
        symbols.read.add(word)
        return name(identifier(word, "variable"), kind_of_constant(symbols.defaults[word]))
    known = variables_around(way.walk.export, way.target.node, way.target.frame.env)
    if word in known:
        return Constant(known[word])
    if not re.fullmatch(r"\w{1,60}", word, re.ASCII):
        raise Uncertain(f"the variable `{word[:30]}`")
    ours = way.walk.variables.setdefault(word, identifier(word, "variable"))
    way.approximated(f"the environment variable {word} is the constant `{ours}` in flowrunner.yaml: give it its value")
    return name(ours, "text")


def state_of(key: str, kind: str, way: Way) -> dict[str, Any]:
    """The name and scope of a value in the context of a flow or of all. Raises Uncertain for parts of values."""
    word = re.sub(r"^#:\(\w+\)::", "", key)
    if not re.fullmatch(r"[A-Za-z_$][\w$ -]*", word, re.ASCII):
        raise Uncertain(f"`{kind}.{word[:30]}`")
    is_shared = kind == "global" or way.flow.is_shared
    prefix = f"{slug(way.flow.tab)} " if kind == "flow" and is_shared else ""
    ours = identifier(f"{prefix}{word}")
    return {"name": ours, "scope": "shared"} if is_shared else {"name": ours}


def stored(key: str, kind: str, way: Way) -> tuple[Steps, Value]:
    """The steps that read a value of the context, and the value; null where Node-RED has undefined."""
    about = state_of(key, kind, way)
    word = about.pop("name")
    return [Step("state", {"get": word, **about})], name(word)
