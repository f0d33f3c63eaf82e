"""Turns steps that remember into lines of a script, which keep a dict at its beginning."""

from typing import Any

from flowrunner.expressions import Expression, Scope, kind_of
from flowrunner.scripts.body import Lines, Way, block
from flowrunner.scripts.parts import Parts
from flowrunner.scripts.writers import writes


@writes("changed")
def changed(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:
    """`changed`: the last value of each key is kept in a dict."""
    memory = script.memory(step, "the last value of each key that passed, and when")
    script.needs_import("time")
    differs = script.need("differs")
    age = "" if step.max_age is None else f" and time.monotonic() - known[1] < {script.dynamic(step.max_age)}"
    deadband = script.dynamic(step.deadband)
    return [
        f"key, value = {by(script, step, scope)}, {script.words.expression(step.value)}",
        f"known = {memory}.get(key)",
        *block(f"if known is not None and not {differs}(known[0], value, {deadband}){age}:", [way.end]),
        f"{memory}[key] = value, time.monotonic()",
    ]


@writes("dedupe")
def dedupe(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:
    """`dedupe`: when a message of each key passed last is kept in a dict."""
    memory = script.memory(step, "when a message of each key passed last")
    script.needs_import("time")
    key = _key(script, step.key_of, scope)
    return [
        f"key = {key}" if step.by is None else f"key = ({by(script, step, scope)}, {key})",
        "now = time.monotonic()",
        *block(f"if key in {memory} and now - {memory}[key] < {script.dynamic(step.within)}:", [way.end]),
        f"{memory}[key] = now",
    ]


@writes("throttle")
def throttle(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:
    """`throttle` that keeps the first: the times of the last messages of each key."""
    if step.keep == "last":
        raise script.refuse(step, "`throttle` with `keep: last`", "it needs a timer, beside the network loop")
    count, seconds = step.rate
    memory = script.memory(step, "the times of the last messages of each key")
    script.needs_import("time")
    return [
        f"key, now = {by(script, step, scope)}, time.monotonic()",
        f"recent = [moment for moment in {memory}.get(key, []) if now - moment < {seconds!r}]",
        *block(f"if len(recent) >= {count}:", [way.end]),
        f"{memory}[key] = [*recent, now]",
    ]


@writes("sample")
def sample(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:
    """`sample` of every nth message."""
    if isinstance(step.every, float):
        raise script.refuse(step, "`sample` with a duration", "it needs a timer, beside the network loop")
    memory = script.memory(step, "how many messages of each key came since one passed")
    return [
        f"key = {by(script, step, scope)}",
        f"{memory}[key] = ({memory}.get(key, 0) + 1) % {step.every}",
        *block(f"if {memory}[key] != 0:", [way.end]),
    ]


def by(script: Parts, step: Any, scope: Scope) -> str:
    """The key of a step that remembers."""
    return '""' if step.by is None else _key(script, step.by, scope)


def _key(script: Parts, key: Expression, scope: Scope) -> str:
    value = script.words.expression(key)
    return value if kind_of(key, scope) == "text" else f"{script.need('as_key')}({value})"


@writes("state")
def state(script: Parts, step: Any, scope: Scope, way: Way) -> Lines:  # noqa: ARG001
    """`state` that lives as long as the script."""
    for is_used, option in ((step.persist, "persist"), (step.scope == "shared", "scope: shared"), (step.ttl, "ttl")):
        if is_used:
            raise script.refuse(step, f"`state` with `{option}`", "a dict knows this flow only, and until the end")
    memory = script.named_memory(step.named)
    name = script.words.name(step.into or step.named)
    key = '""' if step.key is None else _key(script, step.key, scope)
    default = None if step.default is None else script.words.value(step.default, scope)
    if step.verb == "get":
        return [f"{name} = {memory}.get({key}{'' if default is None else f', {default}'})"]
    if step.verb == "set":
        value = "payload" if step.value is None else script.words.value(step.value, scope)
        return [f"{name} = {memory}[{key}] = {value}"]
    amount = "1" if step.amount is None else script.dynamic(step.amount)
    return [f"{name} = {memory}[{key}] = {memory}.get({key}, {default or 0}) + {amount}"]
