"""Turns the words of a command line into one command, which is imported only when it is asked for."""

import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click

from flowrunner import __version__
from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse
from flowrunner.cli.terminal import ERRORS, FAILED_INSIDE, INTERRUPTED, PIPE_CLOSED, UNREACHABLE, USAGE
from flowrunner.diagnostics import render, suggest
from flowrunner.errors import ConnectionFailed, FlowError, FlowrunnerError

_SECTIONS = {
    "Write and run flows": ("new", "check", "run", "test", "try", "plan", "eject", "import"),
    "Look things up": ("steps", "explain", "schema", "graph"),
    "Look at what runs": ("status", "tap", "record", "replay", "doctor"),
    "MQTT by hand": ("pub", "sub", "broker"),
}
_COMMAND = re.compile(r'^def command\(.*?:\n    r?"""(.+?)(?:"""|\n)', re.MULTILINE | re.DOTALL)
_OTHER_WORDS = {
    "start": "run",
    "serve": "run",
    "lint": "check",
    "validate": "check",
    "init": "new",
    "create": "new",
    "publish": "pub",
    "subscribe": "sub",
    "list": "steps",
    "docs": "explain",
    "server": "broker",
}


class Commands(click.Group):
    """The commands of the files beside this one: each file exports one, named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Names of the commands, those that belong together side by side."""
        names = _first_lines()
        known = [name for section in _SECTIONS.values() for name in section if name in names]
        return known + sorted(set(names).difference(known))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's signature
        """Import the file of a command; None where there is none of this name."""
        if cmd_name not in _first_lines():
            return None
        file = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        found: click.Command = import_module(f"{__name__}.{file}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, by section."""
        lines = _first_lines()
        listed = {name for section in _SECTIONS.values() for name in section}
        sections = {**_SECTIONS, "More": tuple(name for name in self.list_commands(ctx) if name not in listed)}
        width = max(map(len, lines))
        for title, section in sections.items():
            if rows := [(name.ljust(width), lines[name]) for name in section if name in lines]:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that a command line begins with, or raise UsageError with what was probably meant."""
        name = args[0]
        found = self.get_command(ctx, name)
        if found is None:
            raise _unknown(name, self.list_commands(ctx), ctx)
        return name, found, args[1:]


def _unknown(name: str, known: Sequence[str], ctx: click.Context) -> Misuse:
    other = _OTHER_WORDS.get(name.lower(), "")
    near = other if other in known else suggest(name, known)
    if near:
        help = f"did you mean `{near}`?"
    elif Path(name).exists():
        help = f"did you mean `flowrunner run {name}`?"
    else:
        help = "`flowrunner --help` lists the commands"
    return Misuse(f"there is no command `{name}`", help, ctx)


@cache
def _first_lines() -> dict[str, str]:
    """Name of each command -> the first sentence of its help, read from the files without importing them."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if command := _COMMAND.search(file.read_text("utf-8")):
            found[file.stem.rstrip("_")] = command[1].partition(". ")[0].removesuffix(".")
    return found


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command explains itself: flowrunner COMMAND --help",
)
@click.version_option(__version__, prog_name="flowrunner", message="%(prog)s %(version)s")
def commands() -> None:
    """Run MQTT flows that are written in YAML: subscribe, transform, publish."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (by default the program's own) and return its exit code; raise nothing."""
    terminal.prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_output()
        return PIPE_CLOSED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception:  # noqa: BLE001 a mistake of ours, shown in full
        _confess()
        return FAILED_INSIDE
    return code


def _run(arguments: list[str]) -> int:
    instruction = os.environ.get("_FLOWRUNNER_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(commands, {}, "flowrunner", "_FLOWRUNNER_COMPLETE", instruction)
    is_bare = not arguments
    try:
        with commands.make_context("flowrunner", arguments or ["--help"]) as context:
            code = commands.invoke(context)
    except click.exceptions.Exit as done:
        code = USAGE if is_bare else done.exit_code
    except SystemExit as done:
        code = done.code
    except click.UsageError as error:
        return _complain_about_usage(error)
    except click.ClickException as error:
        terminal.complain(_sentence(error.format_message()))
        code = error.exit_code
    except FlowError as error:
        color = terminal.wants_color(sys.stderr)
        sys.stderr.write(render(error.diagnostics, color=color))
        return ERRORS
    except ConnectionFailed as error:
        terminal.complain(str(error))
        return UNREACHABLE
    except FlowrunnerError as error:
        terminal.complain(str(error))
        return ERRORS
    return code if isinstance(code, int) else 0


def _complain_about_usage(error: click.UsageError) -> int:
    """Say what is wrong with a command line, and what was probably meant."""
    path = error.ctx.command_path if error.ctx else "flowrunner"
    given = error.help if isinstance(error, Misuse) else ""
    helps = [given or f"`{path} --help` shows how it is used"]
    message = _sentence(error.format_message())
    if isinstance(error, click.NoSuchOption):
        message = f"`{path}` has no option `{error.option_name}`"
        near = sorted(error.possibilities or ())
        if near:
            helps = [f"did you mean `{near[0]}`?"]
    terminal.complain(message, helps)
    return USAGE


def _sentence(text: str) -> str:
    """A message of click in our manner: lower case, without a full stop."""
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _give_up_output() -> None:
    """Nobody reads on: let the interpreter flush what is left into nothing instead of complaining at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _confess() -> None:
    import platform  # both are for a bad day
    import traceback

    traceback.print_exc()
    python = f"Python {platform.python_version()} on {platform.system()}"
    terminal.say(f"\nThis is a mistake in flowrunner {__version__} ({python}), not in your flows.")
    terminal.say("Please report it, with the lines above and the flow file that led to it.")
