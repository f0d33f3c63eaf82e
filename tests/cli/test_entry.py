"""What every command has in common: names, options, exit codes, and how failures are shown."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from flowrunner import __version__, cli
from flowrunner.cli import commands, terminal
from flowrunner.cli.options import Command
from flowrunner.diagnostics import Diagnostic
from flowrunner.errors import ConnectionFailed, FlowError, PluginError
from flowrunner.text import Source
from tests.cli.command_line import Run, finish, start


def test_the_version_is_told(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.out) == (0, f"flowrunner {__version__}\n")


def test_python_m_flowrunner_is_the_command() -> None:
    result = finish(start("--version"))
    assert (result.code, result.out) == (0, f"flowrunner {__version__}\n")


def test_a_bare_command_shows_help_and_counts_as_wrong_usage(run: Run) -> None:
    result = run()
    assert result.code == terminal.USAGE
    assert result.out == run("--help").out


def test_help_lists_every_command_with_its_first_line(run: Run) -> None:
    listed = " ".join(run("--help").out.split())
    context = click.Context(commands)
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        assert f" {name} {command.get_short_help_str(200).removesuffix('.')}" in listed


def test_every_file_with_a_command_is_listed() -> None:
    files = Path(cli.__file__).parent.glob("*.py")
    modules = {file.stem: import_module(f"flowrunner.cli.{file.stem}") for file in files if file.stem != "__init__"}
    exported = {
        name.rstrip("_") for name, module in modules.items() if isinstance(vars(module).get("command"), Command)
    }
    assert exported == set(commands.list_commands(click.Context(commands)))


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["pub", "--help"], ["sub", "--help"], ["new", "--help"], ["chek"]]
)
def test_light_words_import_nothing_heavy(arguments: list[str]) -> None:
    heavy = {
        "asyncio",
        "jsonschema",
        "orjson",
        "paho",
        "rich",
        "watchfiles",
        "yaml",
        "flowrunner.steps",
        "flowrunner.run",
    }
    code = f"import sys; from flowrunner.cli import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stderr.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("chek", "check"), ("step", "steps"), ("publish", "pub"), ("subscribe", "sub"), ("lint", "check"), ("NEW", "new")],
)
def test_an_unknown_command_is_answered_with_the_nearest(run: Run, typed: str, meant: str) -> None:
    result = run(typed)
    assert result.code == terminal.USAGE
    assert result.err == f"error: there is no command `{typed}`\nhelp: did you mean `{meant}`?\n"


def test_an_unknown_command_without_a_near_one(run: Run) -> None:
    assert run("xyzzy").err.endswith("help: `flowrunner --help` lists the commands\n")


def test_a_path_instead_of_a_command_means_run(run: Run, folder: Path) -> None:
    (folder / "flows").mkdir()
    assert "did you mean `flowrunner run flows`?" in run("flows").err


def test_an_unknown_option_is_answered_with_the_nearest(run: Run) -> None:
    result = run("check", "--fromat", "json")
    assert result.code == terminal.USAGE
    assert result.err == "error: `flowrunner check` has no option `--fromat`\nhelp: did you mean `--format`?\n"


def test_a_wrong_value_is_told_in_one_line_with_where_to_look(run: Run) -> None:
    result = run("check", "--format", "xml")
    assert result.code == terminal.USAGE
    assert result.err.startswith("error: invalid value for '--format'")
    assert result.err.endswith("help: `flowrunner check --help` shows how it is used\n")


class _Fails(click.Command):
    def __init__(self, failure: BaseException) -> None:
        super().__init__("fails", callback=self.fail_now)
        self.failure = failure

    def fail_now(self) -> None:
        raise self.failure


def run_failing(run: Run, monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> tuple[int, str]:
    monkeypatch.setattr(commands, "get_command", lambda *_: _Fails(failure))
    result = run("fails")
    return result.code, result.err


def test_mistakes_in_flows_are_shown_as_frames(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    span = Source("flows/a.yaml", "steps: 3\n").span(7, 8)
    error = FlowError([Diagnostic("wrong-value", "`steps` must be a list of steps", span)])
    code, text = run_failing(run, monkeypatch, error)
    assert code == terminal.ERRORS
    assert text.startswith("error[wrong-value]: `steps` must be a list of steps\n --> flows/a.yaml:1:8\n")


def test_a_failed_connection_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(run, monkeypatch, ConnectionFailed("nobody is there")) == (3, "error: nobody is there\n")


def test_other_failures_on_purpose_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(run, monkeypatch, PluginError("`x` has no class")) == (1, "error: `x` has no class\n")


def test_ctrl_c_never_shows_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(run, monkeypatch, KeyboardInterrupt()) == (130, "")


def test_a_mistake_of_ours_is_shown_in_full_with_a_request(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = run_failing(run, monkeypatch, ZeroDivisionError("division by zero"))
    assert code == terminal.FAILED_INSIDE
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "This is a mistake in flowrunner" in text
    assert "Please report it" in text


def test_an_exit_code_of_a_command_is_that_of_the_program(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(run, monkeypatch, SystemExit(27)) == (27, "")


def test_a_reader_that_goes_away_is_no_reason_to_complain() -> None:
    with start("explain") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == terminal.PIPE_CLOSED
        assert process.stderr.read() == b""


def test_an_encoding_that_cannot_hold_a_text_is_no_reason_to_fail() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "flowrunner", "explain", "not-decodable"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0
    assert b"\xb0" in done.stdout
    assert rb"\ufffd" in done.stdout


@pytest.mark.parametrize(
    ("environment", "is_terminal", "expected"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_color_is_decided_by_the_environment_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_terminal: bool, expected: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert terminal.wants_color(sys.stdout) is expected


def test_the_shell_can_complete_commands(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FLOWRUNNER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "flowrunner che")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run().out == "plain,check\n"
