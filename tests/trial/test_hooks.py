"""`.pre-commit-hooks.yaml`: what other people's repositories can have run before a commit."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from flowrunner.cli import commands, main
from tests.docs.markdown import ROOT

HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}


def test_there_are_two_hooks() -> None:
    assert list(HOOKS) == ["flowrunner-check", "flowrunner-test"]
    for id, hook in HOOKS.items():
        program, command = shlex.split(hook["entry"])
        assert (program, f"{program}-{command}") == ("flowrunner", id)
        assert command in commands.list_commands(click.Context(commands))
        assert hook["language"] == "python"
        assert hook["pass_filenames"] is False
        assert {"id", "name", "description", "entry", "language", "files", "pass_filenames"} == set(hook)


@pytest.mark.parametrize("path", ["flows/a.yaml", "flows/deep/a.yml", "flows/a.test.yaml", "flows/own.py"])
def test_what_belongs_to_flows_runs_them(path: str) -> None:
    assert all(re.search(hook["files"], path) for hook in HOOKS.values())
    assert not any(re.search(hook["files"], f"docs/{path}") for hook in HOOKS.values())


@pytest.mark.parametrize("id", HOOKS)
def test_a_hook_fails_where_it_should(id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows").mkdir()
    flow = "subscribe: in\nsteps: [{publish: out}]\ntests: [{given: {topic: in}, expect: {topic: out}}]\n"
    words = shlex.split(HOOKS[id]["entry"])[1:]
    for text, code in ((flow, 0), (flow.replace("publish", "pubish"), 1)):
        (tmp_path / "flows" / "a.yaml").write_text(text, encoding="utf-8")
        assert main(words) == code
