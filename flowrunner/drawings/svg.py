"""Turns a graph of flows into a picture in SVG, with a layout of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from flowrunner.drawings.graph import Box, Graph
from flowrunner.drawings.layers import place_in_columns

_CHAR, _LINE, _PAD = 7.3, 17, 10  # pixels of a character, a line, and around a text
_GAP_X, _GAP_Y, _MARGIN = 70, 18, 20
_MOST_CHARS = 44

_STYLE = """
  svg { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: #ffffff; }
  .flow { fill: #eef4ff; stroke: #3b6fd4; } .off { stroke-dasharray: 4; }
  .topic { fill: #f3f8ee; stroke: #6b9a3d; } .tick { fill: #fff6e5; stroke: #c98a1b; }
  text { fill: #1c2430; } .name { font-weight: bold; } .step { fill: #4a5568; }
  path { fill: none; stroke: #8592a6; stroke-width: 1.4; } .joint { stroke-dasharray: 5 4; }
  @media (prefers-color-scheme: dark) {
    svg { background: #14181f; } text { fill: #e6ebf2; } .step { fill: #a9b4c4; }
    .flow { fill: #1c2a44; } .topic { fill: #202b1b; } .tick { fill: #33270f; }
  }
"""


@dataclass(slots=True)
class _Shape:
    """What is drawn at a place: a flow, a topic or a tick; `edge` is where its column ends."""

    kind: str
    lines: list[str]
    x: float = 0.0
    y: float = 0.0
    edge: float = 0.0

    @property
    def width(self) -> float:
        return max(len(line) for line in self.lines) * _CHAR + 2 * _PAD

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + _PAD


def draw_svg(graph: Graph) -> str:
    """The picture: messages go from left to right; topics that overlap are joined by dashed lines."""
    shapes, edges = _shapes(graph)
    columns = place_in_columns(list(shapes), [(one, other) for one, other, _ in edges])
    width, height = _place(shapes, columns)
    drawn = [*_edges(shapes, edges), *(line for shape in shapes.values() for line in _draw(shape))]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<polygon points="0,0 8,4 0,8" fill="#8592a6"/></marker></defs>'
    )
    number = len(graph.boxes)
    count = f"{number} flow" if number == 1 else f"{number} flows"
    title = f"<title>{count} and the topics between them</title>"
    top = f'{head}height="{height:.0f}" role="img">'
    return "\n".join([top, title, f"<style>{_STYLE}</style>", arrow, *drawn, "</svg>"]) + "\n"


def _shapes(graph: Graph) -> tuple[dict[str, _Shape], list[tuple[str, str, str]]]:
    shapes: dict[str, _Shape] = {}
    edges: list[tuple[str, str, str]] = []
    for topic in graph.topics:
        shapes[f"topic {topic.shown}"] = _Shape("topic", [_cut(topic.shown)])
    for box in graph.boxes:
        own = f"flow {box.name}"
        shapes[own] = _Shape("flow" if box.is_enabled else "flow off", list(_lines(box)))
        for tick in box.ticks:
            shapes[f"{own} {tick}"] = _Shape("tick", [tick])
            edges.append((f"{own} {tick}", own, ""))
        edges += [(f"topic {topic.shown}", own, "") for topic in dict.fromkeys(topic for topic, _ in box.hears)]
        edges += [(own, f"topic {topic.shown}", "") for topic in dict.fromkeys(topic for topic, _ in box.publishes)]
        if box.is_replying:
            shapes[f"{own} reply"] = _Shape("topic", ["response topic"])
            edges.append((own, f"{own} reply", ""))
    for box in graph.boxes:
        edges += [(f"flow {box.name}", f"flow {name}", "joint") for name in box.calls if f"flow {name}" in shapes]
    edges += [(f"topic {sent.shown}", f"topic {heard.shown}", "joint") for sent, heard in graph.joints]
    return shapes, edges


def _lines(box: Box) -> Iterator[str]:
    """The name of a flow, and its steps; those inside of others are indented."""
    yield _cut(box.name)
    for node in box.steps:
        yield _cut(f"{node.text}")
        for way in node.ways:
            steps = " → ".join(inner.kind for inner in way.steps)
            yield _cut(f"  {way.title}: {steps}" if way.title else f"  {steps}")


def _place(shapes: dict[str, _Shape], columns: list[list[str]]) -> tuple[float, float]:
    """Give every shape its place; returns the size of the whole."""
    heights = [sum(shapes[name].height + _GAP_Y for name in column) - _GAP_Y for column in columns if column]
    tallest = max(heights, default=0.0)
    x = float(_MARGIN)
    for column in columns:
        height = sum(shapes[name].height + _GAP_Y for name in column) - _GAP_Y
        y = _MARGIN + (tallest - height) / 2
        edge = x + max(shapes[name].width for name in column)
        for name in column:
            shapes[name].x, shapes[name].y, shapes[name].edge = x, y, edge
            y += shapes[name].height + _GAP_Y
        x = edge + _GAP_X
    return max(x - _GAP_X, _MARGIN) + _MARGIN, tallest + 2 * _MARGIN


def _draw(shape: _Shape) -> Iterator[str]:
    radius = shape.height / 2 if shape.kind == "topic" else 5
    yield (
        f'<rect class="{shape.kind}" x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
        f'height="{shape.height:.1f}" rx="{radius:.1f}"/>'
    )
    for index, line in enumerate(shape.lines):
        kind = "" if not shape.kind.startswith("flow") else ' class="step"' if index else ' class="name"'
        y = shape.y + _PAD / 2 + (index + 0.75) * _LINE
        yield f'<text{kind} x="{shape.x + _PAD:.1f}" y="{y:.1f}" xml:space="preserve">{escape(line)}</text>'


def _edges(shapes: dict[str, _Shape], edges: list[tuple[str, str, str]]) -> Iterator[str]:
    """Curves from the right side of one shape to the left side of another, beside other shapes of its column."""
    for one, other, kind in edges:
        left, right = shapes[one], shapes[other]
        x1, y1 = left.x + left.width, left.y + left.height / 2
        x2, y2 = right.x, right.y + right.height / 2
        start = max(left.edge, x1)
        bend = max(30.0, abs(x2 - start) / 2)
        style = f' class="{kind}"' if kind else ""
        curve = f"C{start + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        yield f'<path{style} marker-end="url(#arrow)" d="M{x1:.1f},{y1:.1f} H{start:.1f} {curve}"/>'


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…"
