"""The JSON Schema in `schemas/` is that of the steps, and fits the samples. FLOWRUNNER_GOLDENS=write writes it anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from flowrunner.read.document import read_document
from flowrunner.read.nodes import plain
from flowrunner.read.schema import flow_schema
from flowrunner.steps import own_steps
from flowrunner.text import Source
from tests.docs.markdown import ROOT

SCHEMA = ROOT / "schemas" / "flow.schema.json"
SAMPLES = sorted((ROOT / "flows").glob("*.yaml"))


def test_the_schema_is_fresh() -> None:
    text = json.dumps(flow_schema(own_steps()), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("FLOWRUNNER_GOLDENS") == "write":
        SCHEMA.parent.mkdir(exist_ok=True)
        SCHEMA.write_text(text, encoding="utf-8")
    assert text == SCHEMA.read_text(encoding="utf-8")


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_fits_the_schema(sample: Path) -> None:
    validator = Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    node, _ = read_document(Source(sample.name, sample.read_text(encoding="utf-8")))
    assert node is not None
    assert [error.message for error in validator.iter_errors(plain(node))] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_names_the_schema_for_editors(sample: Path) -> None:
    first = sample.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (sample.parent / first.partition("=")[2]).resolve() == SCHEMA


def test_the_schema_finds_what_check_finds() -> None:
    validator = Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    wrong: list[Any] = [
        {"subscribe": "a", "stepps": []},
        {"subscribe": "a", "steps": [{"publish": {"topic": "b", "qos": 3}}]},
        {"subscribe": "a", "steps": [{"pubish": "b"}]},
        {"every": 5, "steps": ["json"]},
    ]
    for flow in wrong:
        assert list(validator.iter_errors(flow)), yaml.safe_dump(flow)
