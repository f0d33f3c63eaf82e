"""Turns the steps of the language into a page each: what it does, its options, and its examples."""

import textwrap
from collections.abc import Iterator

from flowrunner.cli.steps import summary
from flowrunner.options import Option
from flowrunner.step import Step
from flowrunner.steps import own_steps

from .markdown import code, fenced, sentence, table, tree
from .options import options_table


def pages() -> Iterator[tuple[str, str]]:
    """A page for each step, and the list of them."""
    steps = own_steps()
    rows = ([f"[{code(key)}](steps/{key}.md)", sentence(summary(step))] for key, step in steps.items())
    yield "steps.md", "\n".join([
        "# All steps\n",
        "`flowrunner steps` prints the same list, `flowrunner steps NAME` the same pages.\n",
        table(("step", "what it does"), rows),
        tree((f"steps/{key}" for key in steps), is_hidden=True),
    ])  # fmt: skip
    for key, step in steps.items():
        yield f"steps/{key}.md", "\n".join(_page(step))


def _page(step: type[Step]) -> Iterator[str]:
    yield f"# {step.KEY}\n"
    yield step.prose() + "\n"
    options = step.options()
    yield "## Options\n"
    if not options:
        yield "It has none.\n"
    elif options[0].is_only:
        yield f"None of its own: what stands below `{step.KEY}:` is {options[0].kind.phrase}: {options[0].help}.\n"
    else:
        yield options_table(options)
        yield from _short_form(step, options)
    yield "Beside it may stand [`id`, `when` and `on_error`](../flow.md#beside-every-step).\n"
    yield "## Example\n" if len(step.EXAMPLES) == 1 else "## Examples\n"
    for example in step.EXAMPLES:
        yield fenced(textwrap.dedent(example).strip(), "yaml")


def _short_form(step: type[Step], options: tuple[Option, ...]) -> Iterator[str]:
    main = next((option for option in options if option.is_main), None)
    if main is not None:
        yield f"The short form `{step.KEY}: ...` fills `{main.name}`.\n"
    if not any(option.is_required for option in options):
        yield f"`- {step.KEY}` alone is enough.\n"
