"""Whatever stands in a file, `check` does nothing but report."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowrunner.compile import compile_flow
from flowrunner.diagnostics import Diagnostic, has_errors, render
from flowrunner.read.document import read_bytes
from flowrunner.read.flow import Flow, read_flows
from flowrunner.read.settings import Settings
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.goldens_files import GOLDENS, input_of

SAMPLES = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[2] / "flows").glob("*.yaml"))]
MISTAKES = [input_of(golden) for folder in ("check", "yaml") for golden in sorted((GOLDENS / folder).glob("*.yaml"))]
EXAMPLES = [example for step in all_steps().values() for example in step.EXAMPLES]
WORDS = [
    *all_steps(), "subscribe", "steps", "tests", "flows", "on_error", "when", "id", "else", "vars", "every", "at_start",
    "payload", "topic", "${", "}", "${payload", "- ", ": ", "\n", "  ", "\t", "#", "+", "/", "'", '"', "[", "]", "{", "}",
    "&a", "*a", "!x", "|", ">", "%", "@", "`", ",", "null", "true", "1e400", "0x10", "if", "for", "in", "lambda", "\0",
    "\ufeff", "\u2028", "\x85", "\ud800", "é", "🙂", "__class__", "**", "<<", "..", "\r\n", "\r",
]  # fmt: skip


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A flow file, or a mistake that people make, with a few edits at any place."""
    text = draw(st.sampled_from([*SAMPLES, *MISTAKES, *EXAMPLES]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        new = draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=6), st.just("")))
        text = text[:start] + new + text[end:]
    return text


def read(text: str) -> tuple[list[Flow], list[Diagnostic]]:
    source = Source("flows/any.yaml", text)
    return read_flows(source, name="any", folder=Path("flows"), settings=Settings(), steps=all_steps())


def assert_only_reports(text: str) -> None:
    flows, found = read(text)
    for diagnostic in found:
        for span in (diagnostic.span, *(label.span for label in diagnostic.labels)):
            assert 0 <= span.start <= span.end <= len(text)
            assert span.line >= 1
            assert span.column >= 1
        assert diagnostic.message
        assert len(diagnostic.helps) <= 2
    for format in ("full", "concise", "json", "github"):
        render(found, format)
    assert not (has_errors(found) and "flows:" not in text and flows)
    for flow in flows:
        compile_flow(flow)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edited())
def test_an_edited_flow_is_read_or_reported(text: str) -> None:
    assert_only_reports(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), max_size=30))
def test_words_in_any_order_are_read_or_reported(words: list[str]) -> None:
    assert_only_reports("".join(words))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_reported(data: bytes) -> None:
    source, found = read_bytes("flows/any.yaml", data)
    assert (source is None) == bool(found)
    if source is not None:
        assert_only_reports(source.text)
