"""The pages of --help, letter by letter. FLOWRUNNER_GOLDENS=write writes them anew."""

import os
from pathlib import Path

import click
import pytest

from flowrunner.cli import commands
from flowrunner.cli.options import Command
from tests.cli.command_line import Run

GOLDENS = Path(__file__).parents[1] / "goldens" / "help"
NAMES = commands.list_commands(click.Context(commands))


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_is_as_expected(run: Run, name: str) -> None:
    golden = GOLDENS / f"{name or 'flowrunner'}.txt"
    shown = run(*([name] if name else []), "--help").out
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def test_there_is_no_page_of_a_command_that_is_gone() -> None:
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        for golden in GOLDENS.glob("*.txt"):
            if golden.stem not in {"flowrunner", *NAMES}:
                golden.unlink()
    assert {golden.stem for golden in GOLDENS.glob("*.txt")} == {"flowrunner", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_page_ends_with_examples_of_the_command(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert isinstance(command, Command)
    assert f"flowrunner {name}" in command.examples


@pytest.mark.parametrize("name", NAMES)
def test_no_option_depends_on_how_click_shows_types(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            assert parameter.metavar, parameter.name
            assert parameter.help
