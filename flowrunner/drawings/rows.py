"""Turns a graph of flows into a drawing for a terminal: a box for each flow, with its steps in rows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from flowrunner.drawings.graph import Box, Graph, Node, Topic

Paint = Callable[[str, str], str]

_BOLD, _CYAN, _GREEN, _DIM = "1", "36", "32", "2"
_LEAST_WIDTH = 40


def draw_text(graph: Graph, *, width: int = 100, paint: Paint = lambda text, _: text) -> str:
    """The drawing, with a line end; `paint` gives a text an ANSI style."""
    return "\n".join(line for box in graph.boxes for line in _Rows(graph, max(width, _LEAST_WIDTH), paint).draw(box))


class _Rows:
    def __init__(self, graph: Graph, width: int, paint: Paint) -> None:
        self.graph = graph
        self.width = width
        self.paint = paint

    def draw(self, box: Box) -> Iterator[str]:
        """The lines of a flow, and an empty one."""
        title = self.paint(box.name, _BOLD) + ("" if box.is_enabled else " (switched off)")
        yield f"╭─ {title}" + (self.paint(f"  {box.description}", _DIM) if box.description else "")
        for tick in box.ticks:
            yield f"│ {self.paint('◷', _CYAN)} {tick}"
        for topic, text in box.hears:
            yield f"│ {self.paint('←', _CYAN)} {text}{self.beside(topic, self.graph.sources_of(topic), 'from')}"
        if callers := [other.name for other in self.graph.boxes if box.name in other.calls]:
            yield f"│ {self.paint('←', _CYAN)} called by {', '.join(callers)}"
        for line in self.steps(box.steps, self.width - 4):
            yield f"│   {line}"
        for topic, text in box.publishes:
            yield f"│ {self.paint('→', _GREEN)} {text}{self.beside(topic, self.graph.hearers_of(topic), 'to')}"
        if box.is_replying:
            yield f"│ {self.paint('→', _GREEN)} (the topic on which an answer is wanted)"
        yield "╰─"
        yield ""

    def beside(self, topic: Topic, names: Sequence[str], word: str) -> str:
        """The connection of a topic, and the flows at its other end."""
        connection = "" if topic.connection == "default" else f" on {topic.connection}"
        return connection + (self.paint(f"  {word} {', '.join(names)}", _DIM) if names else "")

    def steps(self, nodes: Sequence[Node], width: int) -> Iterator[str]:
        """Steps in a row as long as there is room; one with ways inside stands alone, and they below it."""
        for has_ways, group in groupby(nodes, lambda node: bool(node.ways)):
            if not has_ways:
                yield from wrapped([node.text for node in group], width)
                continue
            for node in group:
                yield node.text
                for index, way in enumerate(node.ways):
                    is_last = index == len(node.ways) - 1
                    title = f"{self.paint(way.title, _CYAN)}: " if way.title else ""
                    lines = list(self.steps(way.steps, width - 4)) or ["(nothing)"]
                    if title and (len(lines) > 1 or len(way.title) + len(lines[0]) > width - 6):
                        lines = [title.rstrip(), *(f"  {line}" for line in lines)]
                    else:
                        lines[0] = title + lines[0]
                    yield f"{'└─' if is_last else '├─'} {lines[0]}"
                    yield from (f"{'  ' if is_last else '│ '} {line}" for line in lines[1:])


def wrapped(texts: Sequence[str], width: int) -> Iterator[str]:
    """Texts with arrows between them, in as few lines as they fit into."""
    line = ""
    for index, text in enumerate(texts):
        joined = f"{line} → {text}" if line else text
        if line and index and len(joined) > width:
            yield f"{line} →"
            line = text
        else:
            line = joined
    if line:
        yield line
