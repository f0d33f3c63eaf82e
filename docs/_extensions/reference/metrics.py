"""Turns the metrics that `/metrics` of the page answers into a page."""

import ast
from collections.abc import Iterator
from importlib.resources import files

from .markdown import code, table

_ENDINGS = {"CounterMetricFamily": "_total", "Counter": "_total"}
_KINDS = {
    "CounterMetricFamily": "counter",
    "Counter": "counter",
    "GaugeMetricFamily": "gauge",
    "Gauge": "gauge",
    "HistogramMetricFamily": "histogram",
}
_WORDS = """
The page of `flowrunner run` answers at `/metrics` in the text format of Prometheus. On this machine anybody may ask;
where the page is served to others, the token is needed. Counters begin at 0 with each start.
"""


def pages() -> Iterator[tuple[str, str]]:
    """The page of the metrics."""
    rows = ([code(name), kind, words] for name, kind, words in metrics())
    yield "metrics.md", "\n".join(["# Metrics\n", _WORDS, table(("metric", "kind", "what it is"), rows)])


def metrics() -> Iterator[tuple[str, str, str]]:
    """Every metric: its name, its kind, and its words, as they stand in the code."""
    tree = ast.parse((files("flowrunner") / "web" / "metrics.py").read_text("utf-8"))
    named = dict(_texts(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), said, *_]) if kind in _KINDS:
                words = said.value if isinstance(said, ast.Constant) else named.get(ast.unparse(said), "")
                yield name + _ENDINGS.get(kind, ""), _KINDS[kind], f"{words}."


def _texts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that stand for a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text
