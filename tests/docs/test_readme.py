"""What stands in the README is so: its commands, its flow, its frame, its words."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from flowrunner.cli import commands
from flowrunner.diagnostics import render
from flowrunner.steps import all_steps
from tests.docs.markdown import ROOT, blocks, markdown_files, mistakes_in

README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
RUN, TEST = "pip install . && flowrunner run flows/", "pip install -e '.[test]' && pytest"
SHELL = [line for block in blocks(README, "sh") for line in block.splitlines()]


def test_the_two_commands_come_first() -> None:
    assert SHELL[:2] == [RUN, TEST]


def test_ci_runs_exactly_the_test_command_of_the_readme() -> None:
    assert f'stage tests "{TEST}"' in CI.splitlines()
    assert "export FLOWRUNNER_REQUIRE_MOSQUITTO=1" in CI.splitlines()


def test_the_script_of_ci_is_one() -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_the_other_ways_to_install_are_there() -> None:
    assert ". .venv/bin/activate" in README
    assert "pipx install . && flowrunner run flows/" in SHELL
    assert "uv tool install . && flowrunner run flows/" in SHELL
    assert "uv run flowrunner run flows/" in SHELL


@pytest.mark.parametrize("file", markdown_files(), ids=lambda file: file.stem)
def test_every_flow_in_the_docs_is_right(file: Path) -> None:
    for flow in blocks(file.read_text(encoding="utf-8")):
        assert mistakes_in(flow) == []


def test_the_first_flow_is_the_one_in_the_samples() -> None:
    (flow,) = blocks(README)
    sample = (ROOT / "flows" / "overheat.yaml").read_text(encoding="utf-8")
    assert sample.partition("\n")[2].startswith(flow)


def test_the_frame_is_what_check_shows() -> None:
    (flow,), (frame,) = blocks(README), blocks(README, "text")
    sample = (ROOT / "flows" / "overheat.yaml").read_text(encoding="utf-8")
    broken = sample.replace("- filter:", "- filtr:")
    assert flow in sample
    assert render(mistakes_in(broken, "overheat")) == frame


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("mosquitto_")])
def test_the_letters_of_mosquitto_are_ours(line: str) -> None:
    program, *letters = shlex.split(line)
    command = commands.get_command(click.Context(commands), program.removeprefix("mosquitto_"))
    assert command is not None
    with command.make_context(program, letters):
        pass


def missing_words() -> set[str]:
    """What the README says is not there yet."""
    status = README.partition("\n## Status\n")[2]
    sentence = status.partition("Not there yet:")[2].partition(". ")[0]
    return {words.removeprefix("flowrunner ") for words in re.findall(r"`((?:flowrunner )?[a-z]+)`", sentence)}


def test_every_command_that_is_named_exists() -> None:
    known = set(commands.list_commands(click.Context(commands)))
    named = set(re.findall(r"`flowrunner ([a-z]+)", README)) - missing_words()
    assert named <= known
    assert known <= named


def test_what_the_readme_calls_missing_is_missing() -> None:
    assert missing_words().isdisjoint(all_steps())
    assert missing_words().isdisjoint(commands.list_commands(click.Context(commands)))


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "explanation" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for note in folder.glob("[0-9]*.md"):
        text = note.read_text(encoding="utf-8")
        assert f"]({note.name})" in listed
        assert text.startswith(f"# {note.name[:4]}. ")
        for part in ("\nStatus: ", "\n## The question\n", "\n## The decision\n", "\n## What follows\n"):
            assert part in text


def test_ten_lines_of_paho_are_python() -> None:
    (script,) = blocks(README, "python")
    compile(script, "README.md", "exec")
    assert len(script.splitlines()) <= 10


def test_the_drawing_of_the_house_shows_every_room() -> None:
    drawing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in (ROOT / "flowrunner").iterdir():
        if room.is_dir() and room.name != "__pycache__":
            assert f"  {room.name}/" in drawing
