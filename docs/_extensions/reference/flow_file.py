"""Turns the keys of flow files, and those beside every step, into a page."""

from collections.abc import Iterator, Mapping

from flowrunner.options import options_of
from flowrunner.read.cases import CASE_KEYS, MESSAGE_KEYS
from flowrunner.read.cron import CronKeys
from flowrunner.read.keys import EveryKeys, FlowKeys, QueueKeys, SubscribeKeys
from flowrunner.read.mocks import ANSWER_KEYS
from flowrunner.read.schema import step_schema
from flowrunner.read.test_files import TestFileKeys
from flowrunner.steps import own_steps

from .markdown import code, table
from .options import options_table

#: Heading -> the class with the keys, and what is to be said before them.
_PARTS: Mapping[str, tuple[type, str]] = {
    "A flow": (
        FlowKeys,
        """A file is one flow, called as the file is, or several below `flows:`, each under its name. A flow needs
`steps` and at least one of `subscribe`, `every`, `cron` and `at_start`; one without these is for
[`call`](steps/call.md).""",
    ),
    "`subscribe` as a map": (SubscribeKeys, "`subscribe` is a topic filter, a map, or a list of either."),
    "`every` as a map": (EveryKeys, "`every: 5s` is the same as `every: {interval: 5s}`."),
    "`cron` as a map": (CronKeys, '`cron: "0 7 * * MON-FRI"` is the same as `cron: {schedule: "0 7 * * MON-FRI"}`.'),
    "`queue`": (QueueKeys, "Only where a step takes its time (`http`, `python`, `exec`, `sqlite`, `retry`)."),
    "`tests`": (CASE_KEYS, "A list; each entry is a test, which `flowrunner test` runs without a broker."),
    "A message in a test": (
        MESSAGE_KEYS,
        "What is left out of `expect` is not compared. Nothing is inserted: `${x}` stands for itself.",
    ),
    "`mocks`": (
        ANSWER_KEYS,
        "`mocks` names steps by their `id` or kind; each has an answer with these keys, or a list of answers.",
    ),
    "A file of tests": (TestFileKeys, "Files that end in `.test.yaml` hold tests only."),
}


def pages() -> Iterator[tuple[str, str]]:
    """The page of the flow file."""
    parts = ["# The keys of a flow file\n"]
    for heading, (keys, words) in _PARTS.items():
        parts += [f"## {heading}\n", f"{words}\n", options_table(options_of(keys))]
    parts += ["## Beside every step\n", "Keys that stand beside the key of a step, whichever it is.\n", _beside()]
    yield "flow.md", "\n".join(parts)


def _beside() -> str:
    steps = own_steps()
    properties = step_schema(steps)["anyOf"][1]["properties"]
    return table(("key", "what it is for"), ([code(key), of["description"]] for key, of in beside(properties).items()))


def beside(properties: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Those properties of an entry of `steps` that are no steps."""
    return {key: of for key, of in properties.items() if key not in own_steps()}
