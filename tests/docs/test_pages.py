"""The pages of `flowrunner explain`: one for each code, and what they show is so."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from flowrunner.cli.explain import all_pages, title
from flowrunner.read.settings import read_settings
from tests.docs.markdown import ROOT, blocks, mistakes_in

PAGES = all_pages()
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SAYING = {"Diagnostic", "say", "Failure"}
"""What is called with a code as its first argument."""


def codes_in(tree: ast.AST, *, is_log: bool) -> Iterator[str]:
    """Every code that a module can say: first arguments of those calls, and `code=` of any call.

    Where it logs, `say` takes the name of what happened instead.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            places = node.args[:1] if name in SAYING and not (is_log and name == "say") else []
            places += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        elif isinstance(node, ast.Assign):
            is_code = any(isinstance(target, ast.Name) and target.id.lower() == "code" for target in node.targets)
            places = [node.value] if is_code and isinstance(node.value, ast.Constant | ast.IfExp) else []
        elif isinstance(node, ast.arguments):
            named = dict(zip([argument.arg for argument in node.kwonlyargs], node.kw_defaults, strict=True))
            places = [default for default in [named.get("code")] if default is not None]
        else:
            continue
        for place in places:
            for part in ast.walk(place):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and KEBAB.fullmatch(part.value):
                    yield part.value


@cache
def codes_of_the_package() -> dict[str, str]:
    """Every code, and the file that says it."""
    files = [file for file in (ROOT / "flowrunner").rglob("*.py") if "cli" not in file.parts]
    trees = {file: ast.parse(file.read_text("utf-8")) for file in files}
    return {
        code: file.name
        for file, tree in trees.items()
        for code in codes_in(tree, is_log=not {"run", "web", "workers"}.isdisjoint(file.parts))
    }


def test_every_code_has_a_page() -> None:
    missing = {code: file for code, file in codes_of_the_package().items() if code not in PAGES}
    assert not missing


def test_every_page_has_a_code() -> None:
    assert set(PAGES) <= set(codes_of_the_package())


@pytest.mark.parametrize("code", PAGES)
def test_a_page_says_what_it_means_and_why(code: str) -> None:
    page = PAGES[code]
    heading = title(page)
    assert page.startswith("# ")
    assert heading
    assert not heading.endswith(".")
    assert not heading[0].isupper()
    assert "\n## Why\n" in page
    assert len(page.splitlines()) < 60


def parts_of(page: str) -> tuple[str, str]:
    """What stands below `Wrong`, and what stands below `Right`."""
    wrong = page.partition("## Wrong\n")[2].partition("\n## ")[0]
    right = page.partition("## Right\n")[2].partition("\n## ")[0]
    return wrong, right


@pytest.mark.parametrize("code", PAGES)
def test_the_wrong_example_is_wrong_in_this_way(code: str) -> None:
    wrong, _ = parts_of(PAGES[code])
    for flow in blocks(wrong):
        assert {found.code for found in mistakes_in(flow)} == {code}


@pytest.mark.parametrize("code", PAGES)
def test_an_example_that_fails_at_run_time_can_run(code: str) -> None:
    wrong, _ = parts_of(PAGES[code])
    for flow in blocks(wrong, "yaml at run time"):
        assert mistakes_in(flow) == []


@pytest.mark.parametrize("code", PAGES)
def test_the_right_example_is_right(code: str) -> None:
    _, right = parts_of(PAGES[code])
    for flow in blocks(right):
        assert mistakes_in(flow) == []


@pytest.mark.parametrize("code", PAGES)
def test_settings_are_wrong_and_right(code: str, tmp_path: Path) -> None:
    file = tmp_path / "flowrunner.yaml"
    wrong, right = ([*blocks(part, "yaml settings")] for part in parts_of(PAGES[code]))
    for text, expected in [*((text, {code}) for text in wrong), *((text, set[str]()) for text in right)]:
        file.write_text(text, encoding="utf-8")
        _, found = read_settings(file, environment={})
        assert {diagnostic.code for diagnostic in found} == expected


def test_every_block_of_a_page_is_tested() -> None:
    kinds = ("yaml", "yaml at run time", "yaml settings")
    for page in PAGES.values():
        tested = sum(len(blocks(part, kind)) for part in parts_of(page) for kind in kinds)
        assert page.count("```") == 2 * tested


def test_the_pages_are_in_the_package() -> None:
    assert {file.stem for file in Path(ROOT, "flowrunner", "pages").iterdir()} == set(PAGES)
