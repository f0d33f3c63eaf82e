"""What people type that is no YAML, or not the YAML that they mean: each has a message of its own."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.options import main_option
from flowrunner.read import yaml_parser
from flowrunner.read.document import List, Map, Node, plain, read_document
from flowrunner.read.yaml_mistakes import (
    explain_block_for_expression,
    explain_list_for_text,
    explain_map_for_text,
    explain_null,
    explain_smart_quotes,
    explain_text_for_list,
    explain_text_for_map,
)
from flowrunner.read.yaml_mistakes.advice import as_written, as_yaml, quoted
from flowrunner.read.yaml_mistakes.layout import MAIN_OPTIONS
from flowrunner.steps import all_steps
from flowrunner.text import Source
from tests.goldens_files import assert_golden, goldens_in, input_of

GOLDENS = goldens_in("yaml")


def what_is_said(text: str, name: str = "flow.yaml") -> list[Diagnostic]:
    """What is wrong; where YAML finds nothing, what the reader of flows would ask about each value."""
    source = Source(name, text)
    node, found = read_document(source)
    return found or [said for each in walk(node) if (said := misread(each))]


def walk(node: Node | None) -> Iterator[Node]:
    if node is None:
        return
    yield node
    if isinstance(node, Map):
        for entry in node:
            yield from walk(entry.value)
    elif isinstance(node, List):
        for item in node:
            yield from walk(item)


def misread(node: Node) -> Diagnostic | None:
    if isinstance(node, Map):
        return explain_map_for_text(node)
    if isinstance(node, List):
        return explain_list_for_text(node)
    if node.value is None:
        return explain_null(node.span)
    explanations = (explain_block_for_expression, explain_text_for_list, explain_smart_quotes)
    said = next((said for explain in explanations if (said := explain(node))), None)
    return said or (explain_text_for_map(node) if node.span.source.text[: node.span.start].endswith("- ") else None)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.stem)
def test_a_mistake_is_shown_as_in_its_golden(golden: Path) -> None:
    assert_golden(golden, render(what_is_said(input_of(golden), f"flows/{golden.stem}.yaml")))


# what PyYAML's own parser, the stand-in for libyaml, sees at another place, or not at all
OTHERWISE_IN_PYTHON = {"address-in-braces", "tab-behind-dash"}


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.stem)
def test_without_libyaml_the_same_is_said(golden: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_parser, "Parser", yaml_parser.PythonParser)
    said = what_is_said(input_of(golden), f"flows/{golden.stem}.yaml")
    if golden.stem in OTHERWISE_IN_PYTHON:
        assert len(said) == 1
    else:
        assert render(said) == golden.read_text(encoding="utf-8").partition("----------\n")[2]


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.stem)
def test_a_message_is_short_and_never_in_the_words_of_the_parser(golden: Path) -> None:
    for said in what_is_said(input_of(golden)):
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", said.code)
        assert len(said.message) < 80
        assert not said.message.endswith(".")
        assert not said.message[0].isupper()
        assert len(said.helps) <= 2
        assert said.code != "bad-yaml"
        for phrase in (
            "while parsing",
            "while scanning",
            "expected",
            "could not find",
            "token",
            "scalar",
            "block mapping",
        ):
            assert phrase not in f"{said.message} {said.label} {said.helps}"


def corrections() -> Iterator[Any]:
    """Every `write ...` of a golden that is a whole line, with the text in which that line is corrected."""
    for golden in GOLDENS:
        text = input_of(golden)
        for said in what_is_said(text)[:1]:
            line = Source("flow.yaml", text).lines[said.span.line - 1]
            head = re.match(r"\s*((- )*)", line.replace("\u00a0", " "))
            for help in said.helps:
                found = re.search(r"write `(.+)`(, or .*)?$", help)
                if not found or not head or not is_whole_line(found[1], line):
                    continue
                indent = line[: head.start(1)] if found[1].startswith("- ") else head[0]
                lines = text.split("\n")
                lines[said.span.line - 1] = indent + found[1]
                yield pytest.param(said.code, said.span.line, "\n".join(lines), id=f"{golden.stem}: {found[1]}")


def is_whole_line(proposed: str, line: str) -> bool:
    words = re.findall(r"\w+", line)
    return len(words) > 1 and proposed.removeprefix("- ").startswith(words[0]) and proposed[-3:] != "..."


@pytest.mark.parametrize(("code", "line", "corrected"), list(corrections()))
def test_the_line_that_is_proposed_is_right(code: str, line: int, corrected: str) -> None:
    assert (code, line) not in [(said.code, said.span.line) for said in what_is_said(corrected)]


def test_there_are_many_lines_to_propose() -> None:
    assert len(list(corrections())) > 60


def test_short_forms_are_those_of_the_steps() -> None:
    ours = {key: step for key, step in all_steps().items() if key in MAIN_OPTIONS}
    declared = {key: option.name for key, step in ours.items() if (option := main_option(step))}
    assert declared == {key: MAIN_OPTIONS[key] for key in ours}


@pytest.mark.parametrize(
    ("explain", "text"),
    [
        (explain_null, "a:"),
        (explain_null, "a: null # c"),
        (explain_null, "a: ~"),
        (explain_map_for_text, "a: {b: 1}"),
        (explain_map_for_text, "a: {b, c}"),
        (explain_map_for_text, "a:\n  b: 1"),
        (explain_map_for_text, "a: {}"),
        (explain_list_for_text, "a: [b, c]"),
        (explain_list_for_text, "a:\n  - b for c in d"),
        (explain_block_for_expression, "a: |\n  b"),
        (explain_block_for_expression, "a: ''"),
        (explain_text_for_map, "a: word"),
        (explain_text_for_map, "a: 'b:c'"),
        (explain_text_for_map, "a: http://host"),
        (explain_text_for_list, "a: -1"),
        (explain_text_for_list, "a: '-b'"),
        (explain_smart_quotes, "a: it’s"),
        (explain_smart_quotes, "a: '“b”'"),
        (explain_smart_quotes, "a: say “b”"),
    ],
)
def test_where_nothing_was_misread_nothing_is_said(explain: Callable[[Any], Diagnostic | None], text: str) -> None:
    node, _ = read_document(Source("flow.yaml", text))
    assert isinstance(node, Map)
    value = node.entries[0].value
    assert explain(value.span if explain is explain_null else value) is None


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=30))
def test_a_text_is_written_so_that_yaml_reads_it_back(text: str) -> None:
    assume(text == text.strip() and not text.startswith("\ufeff") and "\ufeff" not in text)
    assert yaml.safe_load(quoted(text)) == text
    for document in (f"- {as_yaml(text)}\n", f"[{as_yaml(text, in_brackets=True)}]"):
        node, found = read_document(Source("flow.yaml", document))
        assert found == []
        assert node is not None
        assert plain(node) == [text]


@pytest.mark.parametrize(
    ("value", "written"), [("3", "3"), ("[a, b]", "[a, b]"), ("a: b", "a: b"), ("@a", '"@a"'), ("a b # c", "a b # c")]
)
def test_what_was_typed_elsewhere_stays_as_it_was_typed_where_it_can(value: str, written: str) -> None:
    assert as_written(value) == written
