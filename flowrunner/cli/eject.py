"""Turns a flow into a Python script on paho-mqtt that does the same."""

import sys
from pathlib import Path

import click

from flowrunner.cli.options import make_command, paths_argument
from flowrunner.cli.paths import find_flow


@make_command(
    "eject",
    examples="""
    flowrunner eject overheat > overheat.py
    FLOWRUNNER_BROKER=mqtt://localhost:1883 python overheat.py
    flowrunner eject overheat draft/
    """,
)
@click.argument("flow", metavar="FLOW")
@paths_argument
def command(flow: str, paths: tuple[Path, ...]) -> int:
    """Print a Python script that does the same as a flow.

    It needs paho-mqtt, and for some steps other packages, which it names; flowrunner it does not need. It connects to
    the broker of FLOWRUNNER_BROKER, else to localhost. Each part stands below the line of the flow that it was.

    Steps that need timers or that wait (delay, debounce, window, timeout, http, sqlite, python) are refused; `explain
    not-ejectable` says what else. PATHS are files and folders [flows/]. Exit code 0: fine; 1: the flow holds mistakes,
    or something that is refused.
    """
    from flowrunner.scripts import write_script

    sys.stdout.write(write_script(find_flow(flow, paths)))
    return 0
