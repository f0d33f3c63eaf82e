"""`new`, `check`, `steps`, `explain` and `schema`, as they are typed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.cli import terminal
from flowrunner.cli.steps import list_steps, page
from flowrunner.options import TopicTemplate
from flowrunner.read.schema import _validator
from flowrunner.steps import all_steps
from tests.cli.command_line import Run

GOOD = "subscribe: a\nsteps:\n  - publish: b\n"
BAD = "subscribe: a\nsteps:\n  - pubish: b\n"
BEGIN = "name files or folders, or begin with `flowrunner new NAME`"
ODD = "subscribe: a/\nsteps:\n  - publish: b\n"


@pytest.fixture
def flows(folder: Path) -> Path:
    """The folder `flows` of a new project."""
    (folder / "flows").mkdir()
    return folder / "flows"


def test_new_writes_a_flow_without_mistakes(run: Run, folder: Path) -> None:
    result = run("new", "kitchen-alarm")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("wrote flows/kitchen-alarm.yaml\n")
    assert "NAME" not in (folder / "flows" / "kitchen-alarm.yaml").read_text()
    checked = run("check")
    assert (checked.code, checked.out, checked.err) == (0, "", "All flows are fine: 1 flow in 1 file.\n")


def test_new_says_what_to_do_next_and_it_can_be_done(run: Run, folder: Path) -> None:
    typed = [line.split("  ")[1] for line in run("new", "heat").out.splitlines()[2:]]
    assert [line.split()[:2] for line in typed] == [
        ["flowrunner", "check"],
        ["flowrunner", "run"],
        ["flowrunner", "sub"],
        ["flowrunner", "pub"],
        ["flowrunner", "schema"],
    ]
    assert run(*typed[0].split()[1:]).code == 0
    assert run(*typed[4].split()[1:]).code == 0
    first_line = (folder / "flows" / "heat.yaml").read_text().splitlines()[0]
    assert (folder / "flows" / first_line.partition("$schema=")[2]).resolve() == (
        folder / "schemas/flow.schema.json"
    ).resolve()
    assert "flowrunner schema" not in run("new", "cold").out


def test_new_never_overwrites(run: Run, folder: Path) -> None:
    run("new", "heat")
    (folder / "flows" / "heat.yaml").write_text("mine")
    result = run("new", "heat")
    assert result.code == terminal.USAGE
    assert result.err.startswith("error: `flows/heat.yaml` is there already, and stays as it is\n")
    assert (folder / "flows" / "heat.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["heat.yaml", "heat.yml", "flows/heat.yaml"])
def test_new_takes_the_name_of_the_file_too(run: Run, folder: Path, name: str) -> None:
    assert run("new", name).code == 0
    assert (folder / "flows" / "heat.yaml").exists()


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("kitchen alarm", "help: for example `flowrunner new kitchen-alarm`\n"),
        ("../heat", "help: for example `flowrunner new heat`\n"),
        ("Küche", "help: for example `flowrunner new K-che`\n"),
        ("", "help: `flowrunner new --help` shows how it is used\n"),
        ("flowrunner", "help: choose another name\n"),
    ],
)
def test_new_refuses_names_that_make_trouble(run: Run, folder: Path, name: str, help: str) -> None:
    result = run("new", name)
    assert result.code == terminal.USAGE
    assert result.err.endswith(help)
    assert not (folder / "flows").exists()


def test_check_finds_everything_at_once(run: Run, flows: Path) -> None:
    (flows / "one.yaml").write_text(BAD)
    (flows / "two.yaml").write_text(ODD)
    (flows / "three.yaml").write_text(BAD.replace("a\n", "a/#/b\n"))
    result = run("check")
    assert result.code == terminal.ERRORS
    assert result.out.startswith("error[unknown-step]: there is no step `pubish`\n --> flows/one.yaml:3:5\n")
    assert result.err == "\nFound 3 errors and 1 warning.\n"


def test_warnings_do_not_change_the_exit_code(run: Run, flows: Path) -> None:
    (flows / "two.yaml").write_text(ODD)
    result = run("check")
    assert (result.code, result.err) == (0, "\nAll flows can run, with 1 warning: 1 flow in 1 file.\n")
    assert result.out.startswith("warning[odd-topic-filter]: ")


def test_check_takes_files_and_folders(run: Run, flows: Path) -> None:
    (flows / "one.yaml").write_text(GOOD)
    (flows.parent / "other").mkdir()
    (flows.parent / "other" / "two.yaml").write_text(GOOD)
    assert run("check", "flows/one.yaml", "other").err == "All flows are fine: 2 flows in 2 files.\n"


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("concise", "flows/one.yaml:3:5: error[unknown-step] there is no step `pubish`\n"),
        ("github", "::error file=flows/one.yaml,line=3,endLine=3,col=5,endColumn=11,title=flowrunner unknown-step::"),
    ],
)
def test_formats_for_programs(run: Run, flows: Path, format: str, expected: str) -> None:
    (flows / "one.yaml").write_text(BAD)
    result = run("check", "--format", format)
    assert result.code == terminal.ERRORS
    assert result.out.startswith(expected)


def test_json_is_a_list_of_objects_and_nothing_else(run: Run, flows: Path) -> None:
    (flows / "one.yaml").write_text(BAD)
    result = run("check", "--format", "json")
    (found,) = json.loads(result.out)
    assert result.err == ""
    assert {"file", "line", "column", "end_line", "end_column", "severity", "code", "message", "help"} <= set(found)
    assert (found["file"], found["line"], found["column"], found["end_column"]) == ("flows/one.yaml", 3, 5, 11)
    assert (found["severity"], found["code"], found["help"]) == ("error", "unknown-step", "did you mean `publish`?")
    (flows / "one.yaml").write_text(GOOD)
    assert run("check", "--format", "json").out == "[]\n"


def test_colors_are_for_people(run: Run, flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (flows / "one.yaml").write_text(BAD)
    assert "\x1b[" not in run("check").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("check").out.startswith("\x1b[1;31merror[unknown-step]\x1b[0m")
    assert "\x1b[" not in run("check", "--format", "concise").out


@pytest.mark.parametrize(
    ("paths", "error"),
    [
        ([], f"error: there is no folder `flows` here\nhelp: {BEGIN}\n"),
        (["garden.yml"], "error: there is no `garden.yml`\nhelp: did you mean `garden.yaml`?\n"),
        (["garden"], "error: there is no `garden`\nhelp: did you mean `garden.yaml`?\n"),
        (["x/y"], "error: there is no `x/y`\nhelp: `flowrunner check --help` shows how it is used\n"),
    ],
)
def test_paths_that_are_not_there(run: Run, folder: Path, paths: list[str], error: str) -> None:
    (folder / "garden.yaml").write_text(GOOD)
    result = run("check", *paths)
    assert (result.code, result.err) == (terminal.USAGE, error)


def test_check_compares_with_what_editors_know(run: Run, flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (flows / "one.yaml").write_text(GOOD)
    assert run("check").code == 0
    schema = {"type": "string", "maxLength": 0}
    monkeypatch.setattr(TopicTemplate, "schema", lambda _: schema)
    _validator.cache_clear()
    result = run("check", "--format", "concise")
    _validator.cache_clear()
    assert result.code == terminal.ERRORS
    assert result.out == "flows/one.yaml:3:14: error[schema] `publish` does not fit its schema\n"
    assert result.err == "Found 1 error.\n"


def test_check_is_quick_to_start() -> None:
    heavy = {"paho", "asyncio", "rich", "watchfiles", "flowrunner.run"}
    code = "import sys; from flowrunner.cli import main; main(['check', 'flows']); print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert heavy.isdisjoint(done.stdout.split())


def test_steps_lists_every_step_with_a_sentence(run: Run) -> None:
    result = run("steps")
    assert result.code == 0
    listed = [line.split()[0] for line in result.out.splitlines() if line.startswith("  ")]
    assert listed == list(all_steps())
    assert max(map(len, result.out.splitlines())) < 120


@pytest.mark.parametrize("name", all_steps())
def test_a_step_is_explained_with_options_and_examples(run: Run, name: str) -> None:
    step = all_steps()[name]
    result = run("steps", name)
    assert result.out.startswith(f"{name}: ")
    for option in step.options():
        assert option.is_only or f"\n  {option.name}" in result.out
    for example in step.EXAMPLES:
        assert example.strip().splitlines()[0] in result.out


def test_an_unknown_step_is_answered_with_the_nearest(run: Run) -> None:
    result = run("steps", "filtr")
    assert (result.code, result.err) == (
        terminal.USAGE,
        "error: there is no step `filtr`\nhelp: did you mean `filter`?\n",
    )


def test_steps_as_json(run: Run) -> None:
    listed = json.loads(run("steps", "--json").out)
    assert [step["name"] for step in listed] == list(all_steps())
    publish = json.loads(run("steps", "publish", "--json").out)
    options = {option["name"]: option for option in publish["options"]}
    assert (options["topic"]["required"], options["topic"]["short_form"]) == (True, True)
    assert (options["qos"]["required"], options["qos"]["default"]) == (False, 0)


def test_explain_prints_the_page_of_a_code(run: Run) -> None:
    result = run("explain", "bad-topic-filter")
    assert result.code == 0
    assert result.out.startswith("bad-topic-filter: a topic filter that MQTT does not allow\n")
    assert "    subscribe: house/#/temperature\n" in result.out
    assert "```" not in result.out
    assert run("explain", "error[bad-topic-filter]").out == result.out


def test_explain_shows_what_a_flow_compiles_to(run: Run, flows: Path) -> None:
    (flows / "copy.yaml").write_text(GOOD)
    result = run("explain", "copy")
    assert result.code == 0
    assert "# flows/copy.yaml:3  - publish: b\n" in result.out
    compile(result.out, "listing", "exec")
    assert run("explain", "copy", "flows/copy.yaml").out == result.out


def test_explain_shows_the_mistakes_that_hide_a_flow(run: Run, flows: Path) -> None:
    (flows / "copy.yaml").write_text(BAD)
    result = run("explain", "copy")
    assert result.code == terminal.ERRORS
    assert result.err.startswith("error[unknown-step]: ")


@pytest.mark.parametrize(("typed", "meant"), [("bad-topicfilter", "bad-topic-filter"), ("coppy", "copy")])
def test_explain_knows_what_was_meant(run: Run, flows: Path, typed: str, meant: str) -> None:
    (flows / "copy.yaml").write_text(GOOD)
    result = run("explain", typed)
    assert result.code == terminal.USAGE
    assert result.err.endswith(f"help: did you mean `{meant}`?\n")


def test_explain_needs_no_flows_to_say_that_it_does_not_know(run: Run, folder: Path) -> None:
    assert run("explain", "xyzzy").err.startswith("error: `xyzzy` is neither the code of a mistake nor a flow\n")


def test_schema_is_written_where_it_is_wanted(run: Run, folder: Path) -> None:
    printed = run("schema")
    assert json.loads(printed.out)["$schema"].startswith("http://json-schema.org/draft-07/")
    written = run("schema", "-o", "schemas/flow.schema.json")
    assert (written.out, written.err) == ("", "wrote schemas/flow.schema.json\n")
    assert (folder / "schemas/flow.schema.json").read_text() == printed.out
    (folder / "file").touch()
    assert run("schema", "-o", "file/x.json").err.startswith("error: `file/x.json` cannot be written: ")


@pytest.mark.parametrize(
    "words", [["check"], ["test"], ["plan"], ["try", "heat", "-t", "a", "-m", "1"], ["eject", "heat"]]
)
def test_settings_beside_the_flows_are_said_and_change_no_exit_code(
    run: Run, flows: Path, folder: Path, words: list[str]
) -> None:
    (flows / "heat.yaml").write_text(GOOD)
    (folder / "flowrunner.yaml").write_text("vars: {site: graz}\n")
    result = run(*words)
    assert result.code == 0
    assert (result.out + result.err).count("warning[unread-settings]") == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_prose_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr("sys.stdout", Terminal())
    known = all_steps()
    told = list_steps(list(known.values()), color=False).splitlines()
    for step in known.values():
        _, *rest = page(step, color=False).partition("\nExample")[0].splitlines()  # the first is a heading
        told += [line for line in rest if not line.startswith("Options (none")]
    assert [line for line in told if len(line) > 50] == []


def test_a_list_of_steps_for_programs_has_a_line_each(run: Run) -> None:
    assert len(run("steps").out.splitlines()) == len(all_steps()) + 2
