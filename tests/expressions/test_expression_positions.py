"""Every node of a tree stands where its characters stand in the YAML file, however they were written there."""

import ast
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.errors import StepError
from flowrunner.expressions import (
    NAMESPACE,
    ExpressionError,
    Scope,
    check,
    lower,
    node_at,
    parse_expression,
    parse_template,
)
from flowrunner.expressions.places import position_of, span_of
from flowrunner.read.document import read_document
from flowrunner.read.nodes import Map, Scalar
from flowrunner.text import Passage, Source

EXPRESSIONS = [
    "payload.temperature > 25",
    "payload.größe + payload['°C'] * 2",
    "[p.x for p in payload if p.y in [1, 2]] + list(payload.ü.items())",
    "mean(p.x for p in payload) if payload else null",
    "{'ä': topic.split('/')[0], **payload}",
    "payload.a[1:2][0].upper().count('€') >= -1 or not payload.b",
    "sorted(payload, reverse=true)[-1]",
    "'𝔘𝔫𝔦' + payload.x",
]


def as_it_is(text: str, before: str) -> Passage:
    source = Source("f.yaml", before + text + "\nnext: line\n")
    return Passage.verbatim(source.span(len(before), len(before) + len(text)))


def as_escapes(text: str, before: str) -> Passage:
    """As a double-quoted scalar in which every third character and all quotes are escapes."""
    out, starts, ends = before + '"', list[int](), list[int]()
    for index, char in enumerate(text):
        starts.append(len(out))
        code = f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
        out += code if index % 3 == 0 or char in '"\\\n' else char
        ends.append(len(out))
    return Passage(Source("f.yaml", out + '"\n'), text, starts, ends, len(before) + 1)


def as_folded(text: str, before: str) -> Passage:
    """As a folded scalar: every blank outside of quotes is a line end and indentation in the file."""
    out, starts, ends, quote = before + ">\n      ", list[int](), list[int](), ""
    for char in text:
        quote = "" if char == quote else quote or (char if char in "'\"" else "")
        starts.append(len(out))
        out += "\n      " if char == " " and not quote else char
        ends.append(len(out))
    return Passage(Source("f.yaml", out + "\n"), text, starts, ends, len(before))


WRITINGS = {"plain": as_it_is, "escapes": as_escapes, "folded": as_folded}


def place_in(passage: Passage, node: ast.expr | ast.keyword) -> tuple[int, int]:
    """The characters of the passage that stand where the node stands in the file."""
    span = span_of(node, passage.source)
    inside = [index for index in range(len(passage.text)) if span.start <= passage.starts[index] < span.end]
    return inside[0], inside[-1] + 1


def wrapped_place(text: str, node: ast.expr | ast.keyword) -> tuple[int, int]:
    source = Source("", f"({text}\n)")
    start = source.offset_of_bytes(line=node.lineno, byte_column=node.col_offset)
    return start - 1, source.offset_of_bytes(line=node.end_lineno or 0, byte_column=node.end_col_offset or 0) - 1


def assert_places(passage: Passage) -> None:
    ours = parse_expression(passage).tree
    theirs = ast.parse(f"({passage.text}\n)", mode="eval").body
    pairs = list(zip(ast.walk(ours), ast.walk(theirs), strict=True))
    assert len(pairs) > 1
    for our, their in pairs:
        assert type(our) is type(their)
        if isinstance(our, ast.expr | ast.keyword):
            assert isinstance(their, ast.expr | ast.keyword)
            assert place_in(passage, our) == wrapped_place(passage.text, their)
            segment = ast.get_source_segment(f"({passage.text}\n)", their)
            start, end = place_in(passage, our)
            assert passage.text[start:end] == segment


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_every_node_stands_where_it_was_written(text: str, writing: str) -> None:
    assert_places(WRITINGS[writing](text, "steps:\n  - größer: "))


@settings(deadline=None)
@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(sorted(WRITINGS)),
    st.text(st.sampled_from("aß€𝔘: \n\r\t#\u2028\u0085"), max_size=30),
    st.integers(0, 3),
)
def test_what_stands_before_moves_every_node(text: str, writing: str, before: str, blanks: int) -> None:
    assert_places(WRITINGS[writing](" " * blanks + text + " " * blanks, before))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_an_expression_over_several_lines_keeps_its_places(ending: str) -> None:
    assert_places(as_it_is(ending.join(["payload.a", "  and", "  (payload.ü", ">", "25)"]), "x: |" + ending))


def failing_position(text: str, writing: str, **values: object) -> tuple[str, str]:
    """The characters that Python marks when the compiled expression fails, and the text of the node there."""
    passage = WRITINGS[writing](text, "steps:\n  - fühler: ")
    expression = parse_expression(passage)
    code = compile(ast.Expression(lower(expression, Scope({"payload": "data"}))), "f.yaml", "eval")
    try:
        eval(code, {**NAMESPACE, **values})
    except (StepError, LookupError, TypeError, ZeroDivisionError, AttributeError) as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        lasti = [trace.tb_lasti for trace in _traces(error)]
        index = max(i for i, frame in enumerate(frames) if frame.f_code.co_filename == "f.yaml")
        found = list(frames[index].f_code.co_positions())[lasti[index] // 2]
        line, end_line, column, end_column = found
        assert None not in found
        position = (line or 0, end_line or 0, column or 0, end_column or 0)
        node = node_at(expression, position)
        assert node is not None
        start = passage.source.offset_of_bytes(line=position[0], byte_column=position[2])
        end = passage.source.offset_of_bytes(line=position[1], byte_column=position[3])
        inside = [i for i in range(len(passage.text)) if start <= passage.starts[i] < end]
        return passage.text[inside[0] : inside[-1] + 1], type(node).__name__
    raise AssertionError("it did not fail")


def _traces(error: BaseException) -> list[TracebackType]:
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    return found


FAILING = [
    ("payload.temprature > 25", {"a": 1}, "payload.temprature", "Attribute"),
    ("payload.a > 25 and payload.größe > 3", {"a": 30}, "payload.größe", "Attribute"),
    ("payload.a + payload.b * 2", {"a": 1, "b": None}, "payload.b * 2", "BinOp"),
    ("[p.x for p in payload.a]", {"a": [{}]}, "p.x", "Attribute"),
    ("mean(p.x + 1 for p in payload.a)", {"a": [{"x": "1"}]}, "p.x + 1", "BinOp"),
    ("[[q.y for q in p.x] for p in payload.a]", {"a": [{"x": [{}]}]}, "q.y", "Attribute"),
    ("payload.a['€'][2]", {"a": {"€": [1]}}, "payload.a['€'][2]", "Subscript"),
    ("round(payload.a / payload.b, 1)", {"a": 1, "b": 0}, "payload.a / payload.b", "BinOp"),
    ("-payload.a.upper()", {"a": "x"}, "-payload.a.upper()", "UnaryOp"),
    ("'°C' in payload.a", {"a": 1}, "'°C' in payload.a", "Compare"),
    ("payload.a.upper()", {"a": 1}, "payload.a.upper", "Attribute"),
    ("payload.a.rjust(10000000)", {"a": "x"}, "payload.a.rjust(10000000)", "Call"),
]


@pytest.mark.parametrize("writing", ["plain", "escapes"])
@pytest.mark.parametrize(("text", "payload", "marked", "kind"), FAILING, ids=[row[0] for row in FAILING])
def test_python_marks_the_part_that_failed(text: str, payload: object, marked: str, kind: str, writing: str) -> None:
    assert failing_position(text, writing, payload=payload) == (marked, kind)


def test_a_method_call_over_two_lines_is_found_by_what_python_marks_of_it() -> None:
    assert failing_position("payload.a\n.upper()", "plain", payload={"a": 1})[1] == "Attribute"
    assert failing_position("payload.a\n.find(1)", "plain", payload={"a": "x"})[1] == "Call"


def test_a_position_outside_of_the_expression_is_no_node() -> None:
    expression = parse_expression(as_it_is("payload.a", "x: "))
    assert node_at(expression, (1, 1, 0, 2)) is None


DOCUMENT = r"""
plain: payload.größe > 25 and payload["x"] == 'ä'
double: "payload.gr\u00f6\xdfe > 25 \
   and payload[\"x\"] == 'ä'"
single: 'payload.größe > 25 and payload["x"] == ''ä'' '
folded: >-
  payload.größe > 25
  and payload["x"]
  == 'ä'
literal: |
  payload.größe > 25 and

    payload["x"] == 'ä'
lines: payload.größe >
   25 and payload["x"] == 'ä'
"""


def test_the_scalars_of_a_real_document_keep_their_places() -> None:
    root, problems = read_document(Source("f.yaml", DOCUMENT))
    assert problems == []
    assert isinstance(root, Map)
    for entry in root.entries:
        assert isinstance(entry.value, Scalar)
        assert_places(entry.value.passage)
        tree = parse_expression(entry.value.passage).tree
        marked = [span_of(node, root.span.source).text for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert [text.strip("\\\"'") for text in marked] == ["25", "ä", "x"]


def test_the_holes_of_a_template_stand_where_they_were_written() -> None:
    passage = as_escapes("Fühler ${payload.größe:.1f} und ${topic}", "log: ")
    template = parse_template(passage)
    texts = []
    for hole in template.holes:
        start, end = place_in(passage, hole.expression.tree)
        texts.append(passage.text[start:end])
        assert node_at(template, position_of(hole.expression.tree)) is hole.expression.tree
    assert texts == ["payload.größe", "topic"]


@settings(deadline=None)
@given(st.text(st.sampled_from("payload.x >+-*/()[]{}'\"&|!?:=,0125 \n$#äorandnotisif"), max_size=40))
def test_whatever_is_typed_parses_or_gives_places_inside_the_text(text: str) -> None:
    passage = as_it_is(text, "filter: ")
    for parse in (parse_expression, parse_template):
        try:
            part = parse(passage)
            found = check(part, Scope({"payload": "data"}))
        except ExpressionError as error:
            found = list(error.diagnostics)
            assert found
        for problem in found:
            assert passage.span().holds(problem.span)
            assert len(problem.message) < 100


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_parses_or_gives_diagnostics(text: str) -> None:
    for parse in (parse_expression, parse_template):
        with suppress(ExpressionError):
            assert parse(as_it_is(text, "")).passage.text == text


Compute = Callable[..., object]


def test_a_field_is_read_by_the_name_that_was_typed(compute: Compute) -> None:
    # Python itself would normalise the micro sign to the Greek letter
    assert compute("payload.µg", payload={"µg": 1, "μg": 2}) == 1
    assert compute("payload . ﬁeld.x", payload={"ﬁeld": {"x": 3}}) == 3
