"""Turns ``{terminal} 2`` blocks into what stands in a terminal window: commands behind `$`, and what they print."""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Terminal(SphinxDirective):
    """A block of a terminal; its argument says which of the windows on the desk it is."""

    has_content = True
    required_arguments = 1
    option_spec = {"class": directives.class_option}  # noqa: RUF012 - what docutils wants

    def run(self) -> list[nodes.Node]:
        """A literal block below a caption."""
        block = nodes.literal_block("\n".join(self.content), "\n".join(self.content), language="console")
        caption = nodes.caption("", f"Terminal {self.arguments[0]}")
        container = nodes.container("", caption, block, literal_block=True, classes=["literal-block-wrapper"])
        self.set_source_info(block)
        return [container]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("terminal", Terminal)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
