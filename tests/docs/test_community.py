"""What stands beside the code for people: it can be read by those for whom it is, and says what is so."""

import re
from pathlib import Path

import pytest
import yaml

from flowrunner import __version__
from tests.docs.markdown import ROOT

TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
_FIELDS = {"textarea", "input"}


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == "MIT"
    assert citation["title"]
    assert citation["message"]
    assert citation["authors"]


@pytest.mark.parametrize("file", [file for file in TEMPLATES if file.name != "config.yml"], ids=lambda file: file.stem)
def test_a_template_for_issues_asks_for_something(file: Path) -> None:
    template = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert template["name"]
    assert template["description"]
    assert {field["type"] for field in template["body"]} <= _FIELDS
    assert any(field.get("validations", {}).get("required") for field in template["body"])
    names = [field["id"] for field in template["body"]]
    assert len(names) == len(set(names))
    assert all(field["attributes"]["label"] for field in template["body"])


def test_the_extras_that_are_named_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        extra
        for page in pages
        for found in re.findall(r"'[^' ]*\[([a-z,]+)\]'", page.read_text(encoding="utf-8"))
        for extra in found.split(",")
    }
    assert named
    for extra in named:
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
