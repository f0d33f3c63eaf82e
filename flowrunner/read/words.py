"""Turns the words that people bring from other programs into ours."""

from collections.abc import Collection

#: At the top of a flow.
FLOW_WORDS = {
    "topic": "subscribe",
    "topics": "subscribe",
    "trigger": "subscribe",
    "triggers": "subscribe",
    "input": "subscribe",
    "inputs": "subscribe",
    "source": "subscribe",
    "from": "subscribe",
    "on": "subscribe",
    "listen": "subscribe",
    "inject": "every",
    "interval": "every",
    "timer": "every",
    "schedule": "every",
    "step": "steps",
    "action": "steps",
    "actions": "steps",
    "pipeline": "steps",
    "processors": "steps",
    "jobs": "steps",
    "do": "steps",
    "condition": "filter",
    "conditions": "filter",
    "output": "publish",
    "to": "publish",
    "variables": "vars",
    "env": "vars",
    "alias": "description",
    "comment": "description",
    "name": "description",
    "disabled": "enabled",
    "test": "tests",
}

#: At the top of a flow, of what stands in the settings.
SETTINGS_WORDS = frozenset(
    {"broker", "brokers", "connections", "group", "host", "mqtt", "password", "server", "url", "user", "username"}
)

#: In a list of steps; the first of several that exists is meant.
STEP_WORDS = {
    "action": ("publish",),
    "aggregate": ("window",),
    "assign": ("let", "set"),
    "batch": ("window",),
    "branch": ("switch", "fork"),
    "case": ("switch",),
    "change": ("set",),
    "choose": ("switch",),
    "command": ("exec", "publish"),
    "compute": ("map",),
    "condition": ("filter",),
    "csv": ("decode",),
    "debug": ("log",),
    "delete": ("remove",),
    "distinct": ("dedupe", "changed"),
    "drop": ("stop",),
    "each": ("split",),
    "email": ("python", "publish"),
    "exclude": ("remove",),
    "file": ("write",),
    "foreach": ("split",),
    "function": ("python", "map"),
    "if": ("filter", "switch"),
    "include": ("pick",),
    "join": ("window",),
    "keep": ("pick", "filter"),
    "match": ("filter", "switch"),
    "mapping": ("map",),
    "move": ("rename",),
    "mqtt out": ("publish",),
    "output": ("publish",),
    "parallel": ("fork",),
    "parse": ("json", "decode"),
    "print": ("log",),
    "range": ("scale",),
    "rate_limit": ("throttle",),
    "rbe": ("changed",),
    "regex": ("extract",),
    "remap": ("map",),
    "request": ("http",),
    "retries": ("retry",),
    "script": ("python", "map"),
    "select": ("pick", "filter"),
    "send": ("publish",),
    "service": ("publish",),
    "shell": ("exec",),
    "sleep": ("delay",),
    "template": ("map", "set"),
    "transform": ("map",),
    "trigger": ("timeout",),
    "unless": ("filter",),
    "var": ("let",),
    "wait": ("delay",),
    "when": ("filter",),
    "where": ("filter",),
}


def our_word(word: str, known: Collection[str]) -> str:
    """Our name for a step that people call otherwise, or an empty text."""
    return next((ours for ours in STEP_WORDS.get(word.lower(), ()) if ours in known), "")


def example_of(key: str) -> str:
    """The shortest way to write a step."""
    return _SHORTEST.get(key, f"- {key}")


_SHORTEST = {
    "filter": "- filter: payload.temperature > 25",
    "publish": "- publish: alerts/kitchen",
    "map": "- map: payload.temperature",
    "set": "- set: {level: warm}",
    "log": '- log: "${payload}"',
    "switch": "- switch: [{when: payload > 1, steps: [...]}]",
    "split": "- split: payload",
    "decode": "- decode: utf-8",
    "python": "- python: convert.py:celsius",
    "http": "- http: https://example.com/${room}",
    "exec": "- exec: [program, argument]",
    "retry": "- retry: {steps: [...]}",
}
