"""Turns the code of a mistake into its page, and a flow into the Python that it compiles to."""

import sys
import textwrap
from importlib.resources import files
from pathlib import Path

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse, make_command, paths_argument
from flowrunner.cli.paths import DEFAULT_PATH, load_flows
from flowrunner.diagnostics import has_errors, suggest
from flowrunner.errors import FlowError

_WIDTH = 88


@make_command(
    "explain",
    examples="""
    flowrunner explain bad-topic-filter     what a mistake means, and what is right
    flowrunner explain overheat             the Python that flows/overheat.yaml compiles to
    flowrunner explain                      all codes of mistakes
    """,
)
@click.argument("name", required=False, metavar="[CODE|FLOW]")
@paths_argument
def command(name: str | None, paths: tuple[Path, ...]) -> int | None:
    """Explain a mistake by its code, or show what a flow compiles to.

    The code of a mistake stands in brackets behind the word error: error[bad-topic-filter].
    """
    pages = all_pages()
    if name is None:
        print("\n".join(f"  {code:<24} {title(text)}" for code, text in pages.items()))
        return None
    code = name.removeprefix("error[").removeprefix("warning[").removesuffix("]")
    if code in pages and not paths:
        sys.stdout.write(shown_page(code, pages[code]))
        return None
    return show_flow(name, paths, pages)


def all_pages() -> dict[str, str]:
    """The page behind every code, in the order of the alphabet."""
    folder = files("flowrunner") / "pages"
    found = {file.name.removesuffix(".md"): file for file in folder.iterdir() if file.name.endswith(".md")}
    return {code: found[code].read_text("utf-8") for code in sorted(found)}


def title(page: str) -> str:
    """The first line of a page: what the mistake is."""
    return page.partition("\n")[0].removeprefix("# ").strip()


def shown_page(code: str, page: str) -> str:
    """A page as a terminal shows it: no marks of Markdown, examples indented."""
    color = terminal.wants_color(sys.stdout)
    lines: list[str] = [f"{terminal.paint(code, '1', color=color)}: {title(page)}"]
    is_code = False
    for line in page.splitlines()[1:]:
        if line.startswith("```"):
            is_code = not is_code
        elif is_code:
            lines.append(f"    {line}".rstrip())
        elif line.startswith("#"):
            lines.append(terminal.paint(line.lstrip("# "), "1", color=color))
        else:
            lines.append(textwrap.fill(line, terminal.width(sys.stdout, _WIDTH), break_on_hyphens=False))
    return "\n".join(lines).rstrip() + "\n"


def show_flow(name: str, paths: tuple[Path, ...], pages: dict[str, str]) -> int:
    """Print what a flow compiles to; raise Misuse where there is none of this name."""
    from flowrunner.compile.listing import list_flow

    if not paths and not DEFAULT_PATH.exists():
        raise unknown(name, pages)
    loaded = load_flows(paths)
    flow = next((flow for flow in loaded.flows if flow.name == name), None)
    if flow is None:
        if has_errors(loaded.diagnostics):
            raise FlowError(loaded.diagnostics)
        raise unknown(name, [*pages, *(flow.name for flow in loaded.flows)])
    sys.stdout.write(list_flow(flow))
    return 0


def unknown(name: str, known: "list[str] | dict[str, str]") -> Misuse:
    """What to say about a word that is neither a code nor a flow."""
    near = suggest(name, known)
    help = f"did you mean `{near}`?" if near else "`flowrunner explain` lists the codes"
    return Misuse(f"`{name}` is neither the code of a mistake nor a flow", help)
