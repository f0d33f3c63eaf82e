"""Passages: where in the file each character of a scalar stands."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowrunner.read.document import Map, Scalar, read_document
from flowrunner.text import Source


def scalar_of(text: str) -> Scalar:
    node, found = read_document(Source("flow.yaml", text))
    assert found == []
    if isinstance(node, Map):
        node = node.entries[0].value
    assert isinstance(node, Scalar)
    return node


def check_places(scalar: Scalar) -> None:
    """Every character that is no blank stands where it is written, or is written as an escape."""
    passage, raw = scalar.passage, scalar.span.source.text
    assert passage.text == scalar.text
    assert len(passage.starts) == len(passage.ends) == len(passage.text)
    assert list(passage.starts) == sorted(passage.starts)
    for char, start, end in zip(passage.text, passage.starts, passage.ends, strict=True):
        assert scalar.span.start <= start <= end <= scalar.span.end
        written = raw[start:end]
        if written.startswith("\\") and scalar.style == "double":
            assert yaml.safe_load(f'"{written}"') == char
        elif not char.isspace():
            assert written == ("''" if char == "'" and scalar.style == "single" else char)


@pytest.mark.parametrize(
    ("text", "style", "read"),
    [
        ("key: plain text # c\n", "plain", "plain text"),
        ("key: plain\n  text\n\n  more\n", "plain", "plain text\nmore"),
        ("key: plain   \r\n   text\r\n", "plain", "plain text"),
        ("key: 'it''s'\n", "single", "it's"),
        ("key: 'a  \n   b\n\n\n  ''c'' '\n", "single", "a b\n\n'c' "),
        ('key: "a b"\n', "double", "a b"),
        (r'key: "\x41\u00e9\U0001F600 \t\n\"\\\/\e\0\N\_\L\P\a\b\v\f\r\ "' + "\n", "double", None),
        ('key: "a \\\n   b\\\n\n  c\n  d  \n\n  e"\n', "double", "a b\nc d\ne"),
        ('key: "a\t\\\n \\ b"\n', "double", "a\t b"),
        ("key: |\n  a\n    b\n\n  c\n", "literal", "a\n  b\n\nc\n"),
        ("key: |-\n  a\n", "literal", "a"),
        ("key: |+\n  a\n\n\n", "literal", "a\n\n\n"),
        ("key: |2\n    a\n   b\n", "literal", "  a\n b\n"),
        ("key: |1-  # c\n   a\n", "literal", "  a"),
        ("key: |\n\n  a\n", "literal", "\na\n"),
        ("key: >\n  a\n  b\n\n  c\n    d\n  e\n", "folded", "a b\nc\n  d\ne\n"),
        ("key: >-\n  a\r\n  b\r\n", "folded", "a b"),
        ("key: >3\n      a\n    b\n    c\n", "folded", "   a\n b\n c\n"),
        ("key: >\n\n\n  a\n\n\n  b\n", "folded", "\n\na\n\nb\n"),
        ("key: ''\n", "single", ""),
        ("key: |\n", "literal", ""),
    ],
)
def test_each_character_is_found(text: str, style: str, read: str | None) -> None:
    scalar = scalar_of(text)
    assert scalar.style == style
    assert scalar.text == (yaml.safe_load(text)["key"] if read is None else read)
    check_places(scalar)


def test_an_escape_is_one_place() -> None:
    passage = scalar_of(r'key: "a\u00e9b"').passage
    assert [passage.span(index, index + 1).text for index in range(3)] == ["a", "\\u00e9", "b"]


def test_a_fold_is_one_place() -> None:
    passage = scalar_of("key: a  \n  b").passage
    assert [passage.span(index, index + 1).text for index in range(3)] == ["a", "  \n  ", "b"]


def test_a_place_in_a_block_is_behind_its_indentation() -> None:
    passage = scalar_of("key: |\n    one\n    two\n").passage
    found = passage.span(passage.text.index("two"), passage.text.index("two") + 3)
    assert (found.text, found.line, found.column) == ("two", 3, 5)


def test_the_place_of_an_empty_text_is_between_its_quotes() -> None:
    assert scalar_of("key: ''").passage.span().start == len("key: '")


def test_a_scalar_behind_an_alias_stands_at_its_anchor() -> None:
    node, _ = read_document(Source("flow.yaml", "a: &x 'b''c'\nd: *x\n"))
    assert isinstance(node, Map)
    alias = node.entries[1].value
    assert isinstance(alias, Scalar)
    assert alias.passage.span(1, 2).text == "''"


printable = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff"
)
texts = st.text(st.sampled_from(" \n\n'\"\\:#-ab") | printable, max_size=40)


@settings(max_examples=300)
@given(texts, st.sampled_from(["|", ">", "'", '"', None]), st.integers(4, 40), st.booleans())
def test_what_pyyaml_writes_in_any_style(text: str, style: Any, width: int, allow_unicode: bool) -> None:
    dumped = yaml.safe_dump(
        {"key": text}, default_style=style, width=width, allow_unicode=allow_unicode, default_flow_style=False
    )
    node, found = read_document(Source("flow.yaml", dumped))
    assume(not found or found[0].code != "invisible-space")
    assert isinstance(node, Map)
    scalar = node.entries[0].value
    assert isinstance(scalar, Scalar)
    assume(scalar.style != "plain" or scalar.value == text)
    assert scalar.text == text
    check_places(scalar)


words = st.text(st.sampled_from("abc$.{}()=<>\"'\\é😀-:#"), min_size=1, max_size=6)
blanks = st.text(" \t", max_size=3)
breaks = st.sampled_from(["\n", "\r\n", "\r"])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.lists(words, max_size=3).map(" ".join), blanks), min_size=1, max_size=6),
    st.sampled_from("|>"),
    st.sampled_from(["", "-", "+"]),
    st.booleans(),
    breaks,
)
def test_blocks_that_people_write(lines: Any, sign: str, chomping: str, is_explicit: bool, line_end: str) -> None:
    body = [" " * (4 + more) + text + (behind if text else "") for more, text, behind in lines]
    text = line_end.join([f"key: {sign}{'4' if is_explicit else ''}{chomping}", *body, "end: 1"])
    node, found = read_document(Source("flow.yaml", text))
    assume(not found)
    assert isinstance(node, Map)
    scalar = node.entries[0].value
    assert isinstance(scalar, Scalar)
    check_places(scalar)


escapes = st.sampled_from(
    ["\\n", "\\t", '\\"', "\\\\", "\\x41", "\\u00e9", "\\U0001F600", "\\ ", "\\_", "\\/", "\\\n   "]
)
quoted_pieces = st.lists(st.sampled_from(["a", "é", "$", " ", "  ", "\n", "\n \n  ", "\t"]) | escapes, max_size=15)


@settings(max_examples=300)
@given(quoted_pieces, breaks)
def test_double_quotes_that_people_write(pieces: list[str], line_end: str) -> None:
    check_quoted(f'key: "{"".join(pieces)}"', line_end)


@given(st.lists(st.sampled_from(["a", "é", "''", " ", "  ", "\n", "\n \n  ", "\\", '"']), max_size=15), breaks)
def test_single_quotes_that_people_write(pieces: list[str], line_end: str) -> None:
    check_quoted(f"key: '{''.join(pieces)}'", line_end)


@given(
    st.lists(st.sampled_from(["a", "b é", "$(x)"]), min_size=1, max_size=6),
    st.lists(st.sampled_from([1, 2, 3])),
    breaks,
)
def test_plain_scalars_over_several_lines(lines: list[str], gaps: list[int], line_end: str) -> None:
    parts = [line + "\n" * gap for line, gap in zip(lines, [*gaps, *[1] * len(lines)], strict=False)]
    check_quoted(f"key: {' '.join(parts)}", line_end)


def check_quoted(text: str, line_end: str) -> None:
    text = re.sub("\n(?=[^ ])", "\n ", text).replace("\n", line_end)
    node, found = read_document(Source("flow.yaml", text))
    assume(not found)
    assert isinstance(node, Map)
    scalar = node.entries[0].value
    assert isinstance(scalar, Scalar)
    check_places(scalar)
