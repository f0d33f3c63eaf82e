"""Turns the steps of the language into a list, and one of them into a page."""

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Misuse, json_option, make_command
from flowrunner.cli.terminal import paint, say, wants_color, width
from flowrunner.diagnostics import suggest

if TYPE_CHECKING:
    from flowrunner.options import Option
    from flowrunner.step import Step

_WIDTH = 88


@make_command(
    "steps",
    examples="""
    flowrunner steps             all steps, a line each
    flowrunner steps publish     what one does, its options, examples that run
    flowrunner steps --json      the same for programs
    """,
)
@click.argument("name", required=False, metavar="[NAME]")
@json_option
def command(name: str | None, *, as_json: bool) -> None:
    """List the steps there are, or explain one: its options and examples."""
    from flowrunner.steps import all_steps, plugin_errors

    known = all_steps()
    for error in plugin_errors():
        say(f"warning: {error}")
    if name is not None and name not in known:
        near = suggest(name, known)
        raise Misuse(
            f"there is no step `{name}`", f"did you mean `{near}`?" if near else "`flowrunner steps` lists them"
        )
    chosen = {name: known[name]} if name else dict(known)
    if as_json:
        shown: Any = [describe(step) for step in chosen.values()]
        sys.stdout.write(json.dumps(shown[0] if name else shown, indent=2, ensure_ascii=False) + "\n")
    elif name:
        sys.stdout.write(page(chosen[name], color=wants_color(sys.stdout)))
    else:
        sys.stdout.write(list_steps(list(chosen.values()), color=wants_color(sys.stdout)))


def list_steps(steps: "list[type[Step]]", *, color: bool) -> str:
    """A line for each step."""
    room = max(len(step.KEY) for step in steps)
    begin = " " * (room + 4)
    lines = []
    for step in steps:
        text = summary(step)
        if sys.stdout.isatty():  # else a program looks for words in lines
            most = width(sys.stdout, _WIDTH)
            text = textwrap.fill(text, most, initial_indent=begin, subsequent_indent=begin).lstrip()
        lines.append(f"  {paint(step.KEY.ljust(room), '1', color=color)}  {text}")
    return "\n".join([*lines, "", "`flowrunner steps NAME` explains one.", ""])


def page(step: "type[Step]", *, color: bool) -> str:
    """Everything about one step."""
    parts = [f"{paint(step.KEY, '1', color=color)}: {summary(step)}", *_prose(step)]
    if options := step.options():
        head = paint("Options", "1", color=color)
        if options[0].is_only:
            head += f" (none of its own: what stands below `{step.KEY}:` is {options[0].kind.phrase})"
            parts.append(head)
        else:
            parts.append("\n".join([head, *(_option_line(option, step.KEY) for option in options)]))
    for title, text in _examples(step):
        parts.append(f"{paint(title, '1', color=color)}\n\n{textwrap.indent(text, '    ')}")
    return "\n\n".join(parts) + "\n"


def describe(step: "type[Step]") -> dict[str, Any]:
    """The same as a JSON object: `name summary prose options examples`."""
    return {
        "name": step.KEY,
        "summary": summary(step),
        "prose": step.prose(),
        "options": [
            {
                "name": option.name,
                "help": option.help,
                "value": option.kind.phrase,
                "required": option.is_required,
                "default": None if option.is_required else _plain(option.default),
                "short_form": option.is_main,
                "schema": option.kind.schema(),
            }
            for option in step.options()
        ],
        "examples": [text for _, text in _examples(step)],
    }


def summary(step: "type[Step]") -> str:
    """What the step does, in one sentence without its full stop."""
    return " ".join(step.prose().split("\n\n")[0].split()).partition(". ")[0].removesuffix(".")


def _prose(step: "type[Step]") -> list[str]:
    """The paragraphs behind that sentence."""
    first, *others = [" ".join(part.split()) for part in step.prose().split("\n\n")]
    rest = first.partition(". ")[2]
    return [textwrap.fill(part, width(sys.stdout, _WIDTH)) for part in ([rest] if rest else []) + others]


def _option_line(option: "Option", key: str) -> str:
    notes = [option.kind.phrase]
    if option.is_main:
        notes.append(f"short form `{key}: ...`")
    if option.is_required:
        notes.append("required")
    elif option.default not in (None, ()):
        notes.append(f"default {_shown(option.kind.write(option.default) or option.default)}")
    text, begin = f"{option.help} ({'; '.join(notes)})", f"  {option.name:<10} "
    return textwrap.fill(text, width(sys.stdout, _WIDTH), initial_indent=begin, subsequent_indent=" " * 13)


def _shown(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """The value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def _examples(step: "type[Step]") -> list[tuple[str, str]]:
    texts = [textwrap.dedent(text).strip() for text in step.EXAMPLES]
    titles = ["Example"] if len(texts) == 1 else [f"Example {number}" for number, _ in enumerate(texts, 1)]
    return list(zip(titles, texts, strict=True))
