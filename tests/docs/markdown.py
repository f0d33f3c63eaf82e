"""Turns Markdown into its blocks of code, and a flow in it into what `check` says."""

import re
from pathlib import Path

from flowrunner.diagnostics import Diagnostic
from flowrunner.read.flow import read_flows
from flowrunner.read.settings import Settings
from flowrunner.steps import all_steps
from flowrunner.text import Source

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def markdown_files() -> list[Path]:
    """What people have written: neither the generated pages nor what was built of them."""
    docs = ROOT / "docs"
    made = (docs / "reference" / "generated", docs / "_build")
    return sorted(ROOT.glob("*.md")) + sorted(
        file for file in docs.rglob("*.md") if not any(file.is_relative_to(folder) for folder in made)
    )


def blocks(text: str, kind: str = "yaml") -> list[str]:
    """The blocks of code that are marked with these words."""
    return [found["text"] for found in _FENCE.finditer(text) if found["kind"] == kind]


def mistakes_in(flow: str, name: str = "example") -> list[Diagnostic]:
    """All that is wrong with a flow file."""
    source = Source(f"flows/{name}.yaml", flow)
    _, found = read_flows(source, name=name, folder=ROOT / "flows", settings=Settings(), steps=all_steps())
    return found
