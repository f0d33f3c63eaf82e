"""What people type that is no YAML, or not the YAML that they mean: each has a message of its own."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.diagnostics import Diagnostic, render
from flowrunner.read import yaml_parser
from flowrunner.read.document import List, Map, Node, Scalar, plain, read_bytes, read_document
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
