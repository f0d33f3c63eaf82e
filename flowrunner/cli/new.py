"""Turns a name into a commented flow file to begin with."""

import re
from pathlib import Path

import click

from flowrunner.cli.options import Misuse, make_command
from flowrunner.cli.paths import DEFAULT_PATH

SCHEMA = Path("schemas/flow.schema.json")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")

STARTER = """\
# yaml-language-server: $schema=../schemas/flow.schema.json
#
# A flow: messages come in, pass through the steps from top to bottom, and go out.
#   flowrunner check    finds mistakes
#   flowrunner run      runs all flows of this folder
#   flowrunner steps    lists the steps there are, `flowrunner steps filter` explains one
description: Answer everybody who says something

# Which messages: a topic filter. `+person` is MQTT's `+`, any one level, and gives it a name.
subscribe: NAME/+person

steps:
  # What arrives is bytes; make a text of them. For JSON write `- json` instead.
  - decode: utf-8
  # Hand on only what makes this true. Conditions and expressions are written bare ...
  - filter: len(payload) < 100
  # ... everywhere else text is text, and ${ } puts an expression into it.
  - publish:
      topic: NAME/${person}/answer
      payload: Good to hear "${payload}", ${person}!

# Examples of what comes in, and exactly what must then go out.
tests:
  - name: whoever speaks is answered
    given: {topic: NAME/anna, payload: it is raining}
    expect: {topic: NAME/anna/answer, payload: 'Good to hear "it is raining", anna!'}
"""


@make_command(
    "new",
    examples="""
    flowrunner new kitchen-alarm      writes flows/kitchen-alarm.yaml
    flowrunner check && flowrunner run
    """,
)
@click.argument("name", metavar="NAME")
def command(name: str) -> None:
    """Write a commented flow to begin with: flows/NAME.yaml.

    The name is made of letters, digits, - and _. A file that is there is never overwritten.
    """
    file = DEFAULT_PATH / f"{checked_name(name)}.yaml"
    DEFAULT_PATH.mkdir(exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(STARTER.replace("NAME", file.stem))
    except FileExistsError:
        raise Misuse(f"`{file}` is there already, and stays as it is", "choose another name") from None
    rows = next_commands(file)
    width = max(len(typed) for typed, _ in rows)
    print("\n".join([f"wrote {file}", "", *(f"  {typed:<{width}}  {what}" for typed, what in rows)]))


def checked_name(text: str) -> str:
    """The name of a flow, or Misuse with one that would do."""
    name = text.removesuffix(".yaml").removesuffix(".yml").removeprefix(f"{DEFAULT_PATH}/")
    if name == "flowrunner":
        raise Misuse("`flowrunner.yaml` holds settings, never a flow", "choose another name")
    if not _NAME.fullmatch(name):
        near = _NOT_A_NAME.sub("-", name).strip("-_")[:80]
        help = f"for example `flowrunner new {near}`" if near and near != "flowrunner" else ""
        raise Misuse("a name is made of letters, digits, - and _", help)
    return name


def next_commands(file: Path) -> list[tuple[str, str]]:
    """What to type next, and what it does."""
    name = file.stem
    rows = [
        (f"flowrunner check {file}", "find mistakes"),
        ("flowrunner run", "run all flows of this folder"),
        (f"flowrunner sub -t '{name}/#' -v", "in a second terminal: listen"),
        (f"flowrunner pub -t {name}/anna -m 'it is raining'", "in a third one: say something"),
    ]
    if not SCHEMA.exists():
        rows.append((f"flowrunner schema -o {SCHEMA}", "once: completion and help in your editor"))
    return rows
