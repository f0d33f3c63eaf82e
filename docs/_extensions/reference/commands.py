"""Turns the help of the commands into pages."""

from collections.abc import Iterator

import click

from flowrunner.cli import commands as group

from .markdown import code, fenced, table, tree

_WIDTH = 78  # what click fills of a terminal of 80 columns
_PATHS = """
PATHS are files and folders; without any, it is `flows/`. Exit codes: 0 fine; 1 mistakes in flows, or tests failed;
2 wrong usage; 3 the broker could not be reached, or refused. `NO_COLOR` and `FORCE_COLOR` are honoured.
"""


def pages() -> Iterator[tuple[str, str]]:
    """A page for each command, and the list of them."""
    context = click.Context(group, info_name="flowrunner")
    found = {name: command for name in group.list_commands(context) if (command := group.get_command(context, name))}
    rows = ([f"[{code(f'flowrunner {name}')}](commands/{name}.md)", _first(one)] for name, one in found.items())
    yield "commands.md", "\n".join([
        "# Commands\n", _PATHS, table(("command", "what it does"), rows),
        tree((f"commands/{name}" for name in found), is_hidden=True),
    ])  # fmt: skip
    for name, command in found.items():
        yield f"commands/{name}.md", "\n".join([f"# flowrunner {name}\n", fenced(_help(command, name), "text")])


def _first(command: click.Command) -> str:
    return (command.help or "").partition("\n\n")[0].replace("\n", " ")


def _help(command: click.Command, name: str) -> str:
    """What `--help` prints on a terminal of 80 columns."""
    parent = click.Context(group, info_name="flowrunner", **group.context_settings)
    context = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, **command.context_settings)
    return command.get_help(context)
