"""Packages that bring steps: found, used, and refused without harm to the others."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flowrunner.code import Block
from flowrunner.plugins import as_diagnostic, find_plugins
from flowrunner.step import Step
from flowrunner.steps import own_steps

ROOT = Path(__file__).parents[1]
PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the sample plug-ins, as it would into an environment."""
    folder = tmp_path_factory.mktemp("plugins")
    sources = tmp_path_factory.mktemp("sources")
    for source in PLUGINS.iterdir():  # pip builds beside what it installs
        subprocess.run(["cp", "-r", str(source), str(sources / source.name)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(folder), *map(str, sources.iterdir())], check=True, timeout=120)
    return folder


def flowrunner(installed: Path, *words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    command = [sys.executable, "-m", "flowrunner", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_its_steps_are_listed_and_explained(installed: Path) -> None:
    listed = flowrunner(installed, "steps")
    assert listed.returncode == 0
    assert "  moon " in listed.stdout
    assert "Make the payload twice as large" in listed.stdout
    page = json.loads(flowrunner(installed, "steps", "moon", "--json").stdout)
    assert (page["name"], [option["name"] for option in page["options"]]) == ("moon", ["field"])


def test_what_is_broken_is_named_with_its_package(installed: Path) -> None:
    lines = flowrunner(installed, "steps").stderr.splitlines()
    begin = "warning: the plug-in `flowrunner-broken 0.1.0` cannot be used: "
    assert [line.removeprefix(begin) for line in lines] == [
        "it brings a step `json`, which flowrunner has itself",
        "it cannot be imported (ModuleNotFoundError: No module named 'flowrunner_broken.missing')",
        "`flowrunner_broken:NUMBER` is no subclass of `flowrunner.step.Step`",
    ]


def test_its_steps_are_in_the_schema(installed: Path) -> None:
    schema = json.loads(flowrunner(installed, "schema").stdout)
    assert "moon" in json.dumps(schema["definitions"]["step"])


def test_a_flow_with_its_steps_is_checked(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "ok.yaml").write_text("subscribe: a\nsteps:\n  - json\n  - moon\n  - double\n  - publish: b\n")
    checked = flowrunner(installed, "check", "--format", "concise", str(tmp_path))
    assert checked.returncode == 0
    assert [line.partition(": ")[0] for line in checked.stdout.splitlines()] == [
        "plug-in flowrunner-broken 0.1.0:1:1"
    ] * 3
    (tmp_path / "wrong.yaml").write_text("subscribe: a\nsteps:\n  - mooon\n  - moon: {feld: x}\n")
    checked = flowrunner(installed, "check", str(tmp_path))
    assert checked.returncode == 1
    assert "did you mean `moon`?" in checked.stdout
    assert "`moon` has no option `feld`" in checked.stdout


def test_the_contract_of_steps_is_tested_for_free(installed: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/steps/test_contract.py",
        "-q",
        "-n0",
        "-k",
        "moon or double",
        "-p",
        "no:cacheprovider",
    ]
    tested = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert tested.returncode == 0, tested.stdout
    assert int(tested.stdout.rpartition(" passed")[0].rpartition("\n")[2]) > 15


def point(value: object, name: str = "here") -> EntryPoint:
    class Here(EntryPoint):
        def load(self) -> object:
            if isinstance(value, BaseException):
                raise value
            return value

    return Here(name=name, value="package:thing", group="flowrunner.steps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine(Step):
    """Do nothing at all."""

    KEY = "fine"

    def emit(self, to: Block) -> None:
        to.run("pass")


class NoDocs(Step):
    KEY = "nodocs"

    def emit(self, to: Block) -> None:
        to.run("pass")


NoDocs.__doc__ = None


class BadKey(Fine):
    """Have a name that nobody can write."""

    KEY = "Bad Key"


class Reserved(Fine):
    """Have a name that means something else."""

    KEY = "when"


class NoKey(Step):
    """Have no name."""

    def emit(self, to: Block) -> None:
        to.run("pass")


class Abstract(Step):
    """Do not say what to do."""

    KEY = "abstract"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (ImportError("no such thing"), "it cannot be imported (ImportError: no such thing)"),
        (SystemExit(3), "it ends the program when it is imported"),
        (ValueError("x" * 1000), "it cannot be imported (ValueError: xxx"),
        (json, "the module `package:thing` holds no step"),
        (5, "`package:thing` is no subclass of `flowrunner.step.Step`"),
        (int, "`package:thing` is no subclass of `flowrunner.step.Step`"),
        (Fine(at=None), "`package:thing` is no subclass of `flowrunner.step.Step`"),  # type: ignore[arg-type]
        (Abstract, "`Abstract` lacks `emit`"),
        (NoKey, "the `KEY` of `NoKey` must be a word in small letters that means nothing else"),
        (BadKey, "the `KEY` of `BadKey` must be a word in small letters that means nothing else"),
        (Reserved, "the `KEY` of `Reserved` must be a word in small letters that means nothing else"),
        (NoDocs, "`NoDocs` says nothing about itself"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_others_work(value: object, reason: str) -> None:
    steps, errors = find_plugins({}, [point(value), point(Fine, "fine")])
    assert steps == {"fine": Fine}
    assert [str(error).startswith(f"the plug-in `package:thing` cannot be used: {reason}") for error in errors] == [
        True
    ]
    warning = as_diagnostic(errors[0])
    assert (warning.code, warning.severity, warning.span.source.name) == (
        "broken-plugin",
        "warning",
        "plug-in package:thing",
    )


def test_two_plug_ins_with_one_step() -> None:
    steps, errors = find_plugins({}, [point(Fine, "a"), point(Fine, "b")])
    assert steps == {"fine": Fine}
    assert errors[0].reason.startswith("it brings a step `fine`, as does")


def test_a_step_of_flowrunner_is_not_replaced() -> None:
    (_, errors) = find_plugins({"fine": own_steps()["log"]}, [point(Fine)])
    assert errors[0].reason == "it brings a step `fine`, which flowrunner has itself"
