"""The reference is complete: whatever people can write, call, set or meet has its place in it, with words."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from docs._extensions import reference
from flowrunner import broker, errors, testing
from flowrunner.cli import commands
from flowrunner.cli.explain import all_pages
from flowrunner.expressions.functions import FUNCTIONS, RESERVED
from flowrunner.expressions.methods import METHODS
from flowrunner.read.schema import flow_schema
from flowrunner.read.settings import settings_schema
from flowrunner.steps import own_steps
from tests.docs.markdown import ROOT

PAGES = reference.pages()
STEPS = own_steps()
REFERENCE = ROOT / "docs" / "reference"
GOLDENS = ROOT / "tests" / "goldens" / "help"


def written(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(page: str) -> dict[str, str]:
    """The rows of all tables of a page, by the code in their first cell."""
    return dict(re.findall(r"^\| \[?`+ ?(.+?) ?`+(?:\]\(\S+\))? \| (.*)$", page, re.MULTILINE))


def has_words(cell: str) -> bool:
    return len(re.findall(r"\w+", cell)) >= 2


@pytest.mark.parametrize("key", STEPS)
def test_a_step_has_a_page_with_words_options_and_examples(key: str) -> None:
    page = PAGES[f"steps/{key}.md"]
    assert page.startswith(f"# {key}\n\n{STEPS[key].prose()}")
    assert has_words(STEPS[key].prose())
    assert page.count("```yaml\n") == len(STEPS[key].EXAMPLES) > 0


def test_every_option_of_every_step_is_described() -> None:
    properties = flow_schema(STEPS)["definitions"]["step"]["anyOf"][1]["properties"]
    for key in STEPS:
        forms = properties[key].get("anyOf", [properties[key]])
        keys = {name for form in forms for name in form.get("properties", {})}
        described = rows(PAGES[f"steps/{key}.md"])
        if not STEPS[key].options() or not STEPS[key].options()[0].is_only:
            assert keys <= {name for name, words in described.items() if has_words(words)}, key


def test_every_step_is_in_the_list_and_in_the_guide() -> None:
    listed, guide = rows(PAGES["steps.md"]), written("which-step.md")
    for key in STEPS:
        assert has_words(listed[key])
        assert f"[{key}](generated/steps/{key}.md)" in guide


def test_every_key_of_a_flow_file_is_described() -> None:
    schema = flow_schema(STEPS)["definitions"]
    described = {name for name, words in rows(PAGES["flow.md"]).items() if has_words(words)}
    for part in ("flow", "subscription", "every", "cron", "queue", "test", "given", "expected", "answer"):
        assert set(schema[part]["properties"]) <= described, part
    assert set(schema["step"]["anyOf"][1]["properties"]) - set(STEPS) <= described


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_a_function_or_method_is_described(name: str) -> None:
    described = rows(PAGES["functions.md"])
    call = FUNCTIONS[name].signature if name in FUNCTIONS else METHODS[name].signature
    assert len(described[call]) > len(call) / 2


def test_every_name_of_expressions_is_described() -> None:
    page = written("expressions.md")
    for name in RESERVED - set(FUNCTIONS):
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("code", all_pages())
def test_a_diagnostic_has_a_page(code: str) -> None:
    assert PAGES[f"diagnostics/{code}.md"].startswith(f"# {code}\n")
    assert code in rows(PAGES["diagnostics.md"])


def test_every_command_has_the_page_that_its_help_prints() -> None:
    for name in commands.list_commands(click.Context(commands)):
        page = PAGES[f"commands/{name}.md"]
        golden = GOLDENS / f"{name}.txt"
        assert f"flowrunner {name}" in rows(PAGES["commands.md"])
        if golden.is_file():
            assert golden.read_text(encoding="utf-8").strip() in page


def keys_of(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, of in schema.get("properties", {}).items():
        yield f"{prefix}{key}"
        yield from keys_of(of, f"{prefix}{key}.")
    if isinstance(inner := schema.get("additionalProperties"), Mapping):
        yield from keys_of(inner, f"{prefix}NAME.")
    for one in schema.get("anyOf", ()):
        yield from keys_of(one, prefix)


def test_every_setting_is_described() -> None:
    described = {key for key, words in rows(PAGES["settings.md"]).items() if has_words(words)}
    wanted = set(keys_of(settings_schema()))
    assert wanted == described
    assert "connections.NAME.tls.ca" in wanted


def test_every_metric_is_described() -> None:
    source = (ROOT / "flowrunner" / "web" / "metrics.py").read_text(encoding="utf-8")
    described = rows(PAGES["metrics.md"])
    names = set(re.findall(r'"(flowrunner_[a-z_]+)"', source))
    assert names
    assert names == {name.removesuffix("_total") for name, cells in described.items() if has_words(cells)}
    assert len({str(cells) for cells in described.values()}) == len(described)


def test_every_public_name_of_python_is_described() -> None:
    page = PAGES["python.md"]
    raised = [name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)]
    for name in [*testing.__all__, *broker.__all__, *raised, "mqtt_broker", "Step", "option"]:
        assert f"\n### {name}\n" in page, name


def test_every_generated_page_is_in_a_list() -> None:
    trees = [written("index.md"), *PAGES.values()]
    named = {name for tree in trees for name in re.findall(r"^(?:generated/)?([\w/-]+)$", tree, re.MULTILINE)}
    assert {path.removesuffix(".md") for path in PAGES} <= named


def test_pages_are_written_only_where_they_changed(tmp_path: Path) -> None:
    reference.write(tmp_path)
    page, old = tmp_path / "settings.md", tmp_path / "steps" / "gone.md"
    written_at = page.stat().st_mtime_ns
    old.write_text("# A step of yesterday\n", encoding="utf-8")
    (tmp_path / "flow.md").write_text("changed by hand\n", encoding="utf-8")
    reference.write(tmp_path)
    assert page.stat().st_mtime_ns == written_at
    assert not old.exists()
    assert (tmp_path / "flow.md").read_text(encoding="utf-8") == PAGES["flow.md"]
