"""Turns the steps of the language into a JSON Schema for editors."""

import json
import sys
from pathlib import Path

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import make_command, option


@make_command(
    "schema",
    examples="""
    flowrunner schema -o schemas/flow.schema.json

    # first line of a flow file, for editors with the YAML language server:
    # yaml-language-server: $schema=../schemas/flow.schema.json
    """,
)
@option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
        help="Write it to this file, and make its folder, instead of printing it.")  # fmt: skip
def command(output: Path | None) -> None:
    """Print the JSON Schema of flow files.

    Editors that know it complete keys, explain them where the mouse rests, and underline what is wrong.
    """
    from flowrunner.read.schema import flow_schema
    from flowrunner.steps import all_steps

    text = json.dumps(flow_schema(all_steps()), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"`{output}` cannot be written: {error.strerror}") from error
    terminal.say(f"wrote {output}")
