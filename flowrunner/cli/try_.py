"""Turns a message on the command line into what a flow does with it, step by step."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.letters import checked_topic, client_command, given_payload, qos_option
from flowrunner.cli.options import Misuse, compose, json_option, option, paths_argument
from flowrunner.cli.paths import find_flow
from flowrunner.diagnostics import suggest
from flowrunner.message import NO_PROPERTIES, Message, Properties
from flowrunner.sources import Subscribe

if TYPE_CHECKING:
    from flowrunner.read.flow import Flow
    from flowrunner.run.rehearsal import Arrival
    from flowrunner.topics import Filter

_message_options = compose(
    option("-t", "--topic", metavar="TOPIC", section="Messages",
           help="Topic on which the message arrives [that of the flow, if it hears only one]."),
    option("-m", "--message", metavar="TEXT", section="Messages", help="Its payload."),
    option("-f", "--file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
           section="Messages", help="Take the payload from a file."),
    option("-s", "--stdin-file", "stdin", is_flag=True, section="Messages", help="Take the payload from the input."),
    option("-n", "--null-message", "null", is_flag=True, section="Messages", help="An empty payload."),
    qos_option("Quality of service with which it arrives [0]."),
    option("-r", "--retain", is_flag=True, section="Messages", help="It arrives as a retained message."),
    option("-D", "--property", "properties", metavar="PACKET NAME VALUE", multiple=True, section="Messages",
           help="MQTT 5 property, such as `-D publish content-type text/plain`."),
)  # fmt: skip


@client_command(
    "try",
    examples="""
    flowrunner try overheat -t sensors/kitchen/climate -m '{"temperature": 31}'
    flowrunner try greeting -m ' hello '                  (the flow hears only one topic)
    flowrunner try rooms                                  (one tick of a flow with `every`)
    flowrunner try upload -t cam/1 -f picture.jpg draft/
    flowrunner try overheat -t sensors/attic/climate -m 26 --json | jq .published
    """,
)
@click.argument("flow", metavar="FLOW")
@_message_options
@option("--for", "duration", metavar="DURATION", help="How long to follow what comes later, such as 10s [1d].")
@option("--live", is_flag=True,
        help="Really do what http, exec, sqlite and write do; without it they say what they would do.")  # fmt: skip
@option("--allow", metavar="exec", multiple=True, type=click.Choice(["exec"]),
        help="With --live: what the flow may do that is dangerous.")  # fmt: skip
@json_option
@paths_argument
def command(flow: str, paths: tuple[Path, ...], *, live: bool, as_json: bool, **given: Any) -> int:
    """Send one message through a flow, offline, and show what every step does.

    Nothing is published. After each step stands what it changed, which way the message took, and why it went no
    further. Steps that hold a message (`delay`, `window`) do so on a clock that nobody waits for. Their memory is empty
    at the beginning.

    PATHS are files and folders [flows/]. Exit code 0: fine; 1: a step failed, or flows hold mistakes; 2: wrong usage.
    """
    from flowrunner.cli.trace import Lines
    from flowrunner.run.rehearsal import Note, try_flow
    from flowrunner.run.trace_json import trace_as_json
    from flowrunner.run.visits import read_trace

    seconds = _seconds(given["duration"])
    found = find_flow(flow, paths, allow=frozenset(given["allow"]) if live else None)
    trace = try_flow(found, arrival_of(found, given), seconds=seconds, is_live=live, now=time.time())
    visits = read_trace(trace)
    if as_json:
        print(json.dumps(trace_as_json(trace, visits), ensure_ascii=False, indent=2))
    else:
        print("\n".join(Lines(color=terminal.wants_color(sys.stdout)).draw(trace, visits)))
    has_failed = any(isinstance(seen, Note) and seen.kind == "failed" for seen in trace.seen)
    return terminal.ERRORS if has_failed else 0


def arrival_of(flow: "Flow", given: dict[str, Any]) -> "Arrival":
    """What comes into the flow; raise UsageError where nothing can, or where it is not said what."""
    from flowrunner.run.rehearsal import arrive, tick

    filters = [source.filter for source in flow.sources if isinstance(source, Subscribe)]
    payload = _payload(given)
    properties = _properties(given)
    if not given["topic"] and payload is None and not filters and (found := tick(flow)) is not None:
        return found
    if not filters:
        raise Misuse(f"`{flow.name}` hears no topic: it runs by ticks", f"`flowrunner try {flow.name}` is one tick")
    topic = checked_topic(given["topic"]) if given["topic"] else only_topic(flow, filters)
    if payload is None:
        raise click.UsageError("say what arrives: `-m TEXT`, `-f FILE`, `-s` for the input, `-n` for nothing")
    found = arrive(flow, Message(topic, payload, given["qos"], given["retain"], properties))
    if found is None:
        raise Misuse(*unheard(flow, filters, topic, is_retained=given["retain"]))
    return found


def only_topic(flow: "Flow", filters: "list[Filter]") -> str:
    """The topic of a flow that hears only one; raise UsageError for all others."""
    topics = {"/".join(one.levels) for one in filters}
    if len(topics) == 1 and not {"+", "#"} & {*filters[0].levels}:
        return topics.pop()
    listed = ", ".join(f"`{one.text}`" for one in filters)
    raise Misuse(f"say on which topic of `{flow.name}` the message arrives: `-t TOPIC`", f"it hears {listed}")


def unheard(flow: "Flow", filters: "list[Filter]", topic: str, *, is_retained: bool) -> tuple[str, str]:
    """What to say about a topic on which a flow gets nothing, and what was probably meant."""
    from flowrunner.topics import matches

    if any(matches(one, topic) for one in filters):
        kind = "a retained message" if is_retained else "a message that is not retained"
        return f"`{flow.name}` does not take {kind} on `{topic}`", "with or without `-r`; see `retained:` in the flow"
    near = suggest(topic, [alike(one, topic) for one in filters])
    listed = ", ".join(f"`{one.text}`" for one in filters)
    help = f"did you mean `{near}`? it hears {listed}" if near else f"it hears {listed}"
    return f"`{flow.name}` does not hear `{topic}`", help


def alike(topic_filter: "Filter", topic: str) -> str:
    """A topic of the filter that is as much as possible like this one."""
    given = topic.split("/")
    levels: list[str] = []
    for index, level in enumerate(topic_filter.levels):
        if level == "#":
            return "/".join([*levels, *given[index:]])
        levels.append(given[index] if level == "+" and index < len(given) else level.replace("+", "x"))
    return "/".join(levels)


def _payload(given: dict[str, Any]) -> bytes | None:
    ways = {"-m": given["message"] is not None, "-f": given["file"], "-s": given["stdin"], "-n": given["null"]}
    used = [letter for letter, is_used in ways.items() if is_used]
    if len(used) > 1:
        raise click.UsageError(f"{' and '.join(used)} both say what arrives: give one")
    return given_payload(given) if used else None


def _properties(given: dict[str, Any]) -> Properties:
    if not given["properties"]:
        return NO_PROPERTIES
    from flowrunner.cli.properties import read_properties
    from flowrunner.run.properties import from_paho

    found = read_properties(given["properties"])
    if set(found) != {"publish"}:
        raise click.UsageError("a message that arrives has properties of `publish` only")
    return from_paho(found["publish"])[0]


def _seconds(text: str | None) -> float | None:
    from flowrunner.quantities import BadQuantity, parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except BadQuantity as error:
        raise Misuse(f"`--for` wants a duration: {error.message}", error.help) from None
