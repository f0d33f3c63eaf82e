"""Turns flow files into a list of what is wrong with them."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import make_command, option, paths_argument
from flowrunner.cli.paths import existing
from flowrunner.diagnostics import Diagnostic, Format, has_errors, render

if TYPE_CHECKING:
    from flowrunner.read.load import Loaded


@make_command(
    "check",
    examples="""
    flowrunner check                              everything in flows/
    flowrunner check flows/kitchen.yaml garden/
    flowrunner check --format concise             file:line:column: error[code] message
    flowrunner check --format github              annotations in a workflow of GitHub
    flowrunner check --format json | jq '.[].code'
    """,
)
@option("--format", metavar="full|concise|json|github", default="full",
        type=click.Choice(["full", "concise", "json", "github"]),
        help="How mistakes are shown [full: with the lines of the file].")  # fmt: skip
@paths_argument
def command(paths: tuple[Path, ...], format: Format) -> int:
    """Find the mistakes in flows, all of them at once.

    PATHS are files and folders [flows/]. Exit code 0: no errors, perhaps warnings; 1: errors. What stands in
    brackets behind the word error can be looked up: flowrunner explain CODE.
    """
    from flowrunner.read.delivery import acknowledged_early
    from flowrunner.read.load import load
    from flowrunner.read.unread_settings import unread_settings

    files = existing(paths)
    loaded = load(files, allow=None)
    found = {*loaded.diagnostics, *unread_settings(files), *compare_with_schema(loaded), *across_flows(loaded)}
    color = format == "full" and terminal.wants_color(sys.stdout)
    sys.stdout.write(render(found, format, color=color))
    sys.stdout.flush()
    if format in ("full", "concise"):
        lines = [summary(loaded, found), *acknowledged_early(loaded.flows)]
        terminal.say(("\n" if found and format == "full" else "") + "\n".join(lines))
    return terminal.ERRORS if has_errors(found) else 0


def across_flows(loaded: "Loaded") -> Iterator[Diagnostic]:
    """What no flow shows by itself: rings, and connections on which one holds up another."""
    from flowrunner.read.delivery import shared_connections
    from flowrunner.read.loops import find_rings

    yield from find_rings(loaded.flows)
    yield from shared_connections(loaded.flows)


def compare_with_schema(loaded: "Loaded") -> Iterator[Diagnostic]:
    """What editors would mark in the files that were read without an error; there should be nothing."""
    from flowrunner.read.document import read_document
    from flowrunner.read.schema import second_look
    from flowrunner.steps import all_steps

    broken = {found.span.source.name for found in loaded.diagnostics if found.severity == "error"}
    for source in {flow.source for flow in loaded.flows if flow.source.name not in broken}:
        node, _ = read_document(source)
        if node is not None:
            yield from second_look(node, all_steps())


def summary(loaded: "Loaded", found: Collection[Diagnostic]) -> str:
    """One line about all that was read."""
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    warnings = len(found) - errors
    counts = [count(errors, "error"), count(warnings, "warning")]
    told = " and ".join(text for text, number in zip(counts, (errors, warnings), strict=True) if number)
    if errors:
        return f"Found {told}."
    read = f"{count(len(loaded.flows), 'flow')} in {count(len(loaded.files), 'file')}"
    return f"All flows can run, with {told}: {read}." if warnings else f"All flows are fine: {read}."


def count(number: int, word: str) -> str:
    """`1 flow`, `2 flows`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
