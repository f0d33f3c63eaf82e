"""Turns the pages behind the codes of mistakes into pages of the reference."""

import re
from collections.abc import Iterator

from flowrunner.cli.explain import all_pages, title

from .markdown import code, table, tree


def pages() -> Iterator[tuple[str, str]]:
    """A page for each code, and the list of them."""
    known = all_pages()
    rows = ([f"[{code(one)}](diagnostics/{one}.md)", title(text)] for one, text in known.items())
    yield "diagnostics.md", "\n".join([
        "# Diagnostics\n",
        "The code stands in brackets behind `error` or `warning`. `flowrunner explain CODE` prints its page.\n",
        table(("code", "what it means"), rows),
        tree((f"diagnostics/{one}" for one in known), is_hidden=True),
    ])  # fmt: skip
    for one, text in known.items():
        yield f"diagnostics/{one}.md", _page(one, text)


def _page(code_: str, text: str) -> str:
    """The page under the code as its heading; what is special about an example is for the tests only."""
    body = text.partition("\n")[2]
    body = re.sub(r"^```yaml [a-z ]+$", "```yaml", body, flags=re.MULTILINE)
    return f"# {code_}\n\n{title(text)[:1].upper()}{title(text)[1:]}.\n{body}"
