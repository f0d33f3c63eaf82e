"""Turns the words that commands share into parameters, and their help into pages worth reading."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class Misuse(click.UsageError):
    """A command line that cannot be carried out; `help` is what to type instead."""

    def __init__(self, message: str, help: str = "", ctx: click.Context | None = None) -> None:
        super().__init__(message, ctx)
        self.help = help


class Option(click.Option):
    """An option of a command, listed in its help under `section`."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        self.section = section
        super().__init__(*args, **kwargs)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # noqa: ARG002 click's signature
        """Names and text of the option; click's own adds ranges and defaults in ways that change with its version."""
        if self.hidden:
            return None
        names = ", ".join(sorted(self.opts, key=lambda name: name.startswith("--")))
        return f"{names} {self.metavar or ''}".rstrip(), self.help or ""


class Command(click.Command):
    """A command whose help lists options by section and ends with `examples`, printed as they are."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        self.examples = inspect.cleandoc(examples)
        super().__init__(*args, **kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of one section together."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        common = sections.pop("Options", [])
        for name, rows in [*sections.items(), ("Options", common)]:
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and what else stands at the end."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{line}".rstrip() + "\n" for line in self.examples.splitlines()))


def compose(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """One decorator out of several; their options appear in the help in the order given."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def option(*names: str, section: str = "Options", **settings: Any) -> Callable[[Function], Function]:
    """Like `click.option`, listed under `section`. Give a `metavar`: help must not change with click's version."""
    return click.option(*names, cls=Option, section=section, **settings)


def make_command(name: str, *, examples: str, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Like `click.command`, with examples at the end of the help. The function returns an exit code or None."""
    return click.command(name, cls=Command, examples=examples, **settings)


def broker_option_in(section: str) -> Callable[[Function], Function]:
    """`--broker URL`, listed under a section."""
    return option(
        "--broker",
        metavar="URL",
        section=section,
        help="Broker to connect to, such as mqtt://user:password@host:1883 (also mqtts, ws, wss, mqtt+unix).",
    )


broker_option = broker_option_in("Options")
"""`--broker URL`; None where it is not given (the settings then decide)."""

json_option = option("--json", "as_json", is_flag=True, help="Print JSON for other programs to read.")
"""`--json`, handed to the function as `as_json`."""

paths_argument = click.argument("paths", nargs=-1, metavar="[PATHS]...", type=click.Path(path_type=Path))
"""`[PATHS]...`: files and folders of flows, an empty tuple where none is given; see `flowrunner.cli.paths`."""
