"""Turns the text of a flow with tests into the results of these."""

from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from flowrunner.diagnostics import has_errors, render
from flowrunner.read.load import load
from flowrunner.trial.suite import Suite, all_tests
from tests.trial.trying import Try

if TYPE_CHECKING:
    from flowrunner.trial.case import Result


@pytest.fixture
def try_flow(tmp_path: Path) -> Try:
    """A function that writes a flow and the files beside it, and runs the tests that stand in it."""

    def run(text: str, **files: str) -> "list[Result]":
        (tmp_path / "flow.yaml").write_text(dedent(text), encoding="utf-8")
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_text(dedent(content), encoding="utf-8")
        loaded = load([tmp_path], allow=frozenset({"exec"}), environment={"SITE": "graz"})
        assert not has_errors(loaded.diagnostics), render(loaded.diagnostics)
        results = Suite().run(all_tests(loaded), told=lambda *_: True)
        assert results
        return results

    return run
