"""Turns flows into drawings of them, and of the topics between them."""

from flowrunner.drawings.dot import draw_dot
from flowrunner.drawings.graph import Graph, graph_of
from flowrunner.drawings.mermaid import draw_mermaid
from flowrunner.drawings.rows import draw_text
from flowrunner.drawings.svg import draw_svg

__all__ = ["Graph", "draw_dot", "draw_mermaid", "draw_svg", "draw_text", "graph_of"]
