"""Turns flows into a drawing of them, and of the topics between them."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import json_option, make_command, option, paths_argument
from flowrunner.cli.paths import load_flows
from flowrunner.diagnostics import has_errors, render
from flowrunner.errors import FlowError

_FORMATS = ("text", "mermaid", "dot", "svg")


@make_command(
    "graph",
    examples="""
    flowrunner graph                           boxes in the terminal
    flowrunner graph --format svg > flows.svg
    flowrunner graph --format mermaid          for a README on GitHub
    flowrunner graph --format dot flows/ | dot -Tpdf -o flows.pdf
    flowrunner graph --json | jq .joins
    """,
)
@option("--format", metavar="|".join(_FORMATS), type=click.Choice(_FORMATS), default="text",
        help="What to draw with [text].")  # fmt: skip
@json_option
@paths_argument
def command(paths: tuple[Path, ...], format: str, *, as_json: bool) -> int:
    """Draw flows and the topics between them.

    Where a topic that one flow publishes to may be one that another hears, they are joined. PATHS are files and folders
    [flows/]. Flows with mistakes are left out. Exit code 0: fine; 1: flows hold mistakes.
    """
    from flowrunner.drawings import draw_dot, draw_mermaid, draw_svg, draw_text, graph_of

    loaded = load_flows(paths)
    errors = [one for one in loaded.diagnostics if one.severity == "error"]
    if errors and not loaded.flows:
        raise FlowError(errors)
    if errors:
        sys.stderr.write(render(errors, color=terminal.wants_color(sys.stderr)) + "\n")
    graph = graph_of(loaded.flows)
    draw: dict[str, Any] = {"mermaid": draw_mermaid, "dot": draw_dot, "svg": draw_svg}
    if as_json:
        print(json.dumps(graph.as_json(), ensure_ascii=False, indent=2))
    elif format == "text":
        color = terminal.wants_color(sys.stdout)
        width = shutil.get_terminal_size((100, 24)).columns
        print(draw_text(graph, width=width, paint=lambda text, style: terminal.paint(text, style, color=color)), end="")
    else:
        sys.stdout.write(draw[format](graph))
    return terminal.ERRORS if has_errors(errors) else 0
