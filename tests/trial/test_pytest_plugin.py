"""The pytest plug-in: tests of flows among those of Python, where they are asked for."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

FLOW = """\
subscribe: in
steps:
  - json
  - filter: payload.x > 1
  - publish: out
tests:
  - name: goes through
    given: {topic: in, payload: {x: 2}}
    expect: {topic: out}
  - name: is dropped
    given: {topic: in, payload: {x: 1}}
    expect: EXPECT
"""


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Somebody's repository, with YAML files of all sorts."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_own():\n    pass\n")
    (pytester.path / "flows").mkdir()
    write(pytester.path / "flows" / "heat.yaml", FLOW.replace("EXPECT", "[]"))
    write(pytester.path / "flows" / "plain.yaml", FLOW.partition("tests:")[0])
    write(pytester.path / "compose.yaml", "services:\n  web:\n    image: nginx\n")
    write(
        pytester.path / "ci.yml", "tests:\n  - run: make\njobs: {x: {steps: [1]}}\nflow: 5\n".replace("flow: 5\n", "")
    )
    return pytester


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def run(repository: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return repository.runpytest_subprocess("-p", "flowrunner.pytest_plugin", *arguments)


def test_an_ordinary_run_sees_no_flows(repository: pytest.Pytester) -> None:
    run(repository).assert_outcomes(passed=1)


def test_with_the_option_the_tests_of_flows_are_run_too(repository: pytest.Pytester) -> None:
    result = run(repository, "--flowrunner", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["flows/heat.yaml::heat: goes through PASSED*", "flows/heat.yaml::heat: is dropped PASSED*"]
    )


def test_below_the_folders_of_the_settings_they_are_run_always(repository: pytest.Pytester) -> None:
    write(repository.path / "elsewhere.yaml", FLOW.replace("EXPECT", "{topic: never}"))
    repository.makeini("[pytest]\nflowrunner_paths = flows\n")
    run(repository).assert_outcomes(passed=3)


def test_they_can_be_chosen_like_all_others(repository: pytest.Pytester) -> None:
    run(repository, "--flowrunner", "-k", "dropped").assert_outcomes(passed=1, deselected=2)
    run(repository, "--flowrunner", "flows/heat.yaml::heat: goes through").assert_outcomes(passed=1)


def test_a_failure_is_shown_as_by_the_command(repository: pytest.Pytester) -> None:
    write(repository.path / "flows" / "heat.yaml", FLOW.replace("EXPECT", "{topic: out, payload: {x: 1}}"))
    result = run(repository, "--flowrunner")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*heat: is dropped*",
            "error[[]test-failed]: the message did not come",
            " *--> flows/heat.yaml:12:13",
            "12 |     expect: {topic: out, payload: {x: 1}}",
            "expected (-) and published (+):",
            '  - out  {"x":1}',
            "FAILED flows/heat.yaml::heat: is dropped*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_mistake_in_a_flow_is_an_error_of_its_file_only(repository: pytest.Pytester) -> None:
    write(repository.path / "flows" / "bad.yaml", FLOW.replace("EXPECT", "[]").replace("json", "jso"))
    result = run(repository, "--flowrunner", "--continue-on-collection-errors")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*error[[]unknown-step]: there is no step `jso`"])


def test_files_of_tests_settings_and_flows_that_are_called(repository: pytest.Pytester) -> None:
    flows = repository.path / "flows"
    (flows / "deep").mkdir()
    write(flows / "flowrunner.yaml", "vars: {limit: 1}\n")
    write(flows / "judge.yaml", "steps: [{filter: payload.x > limit}]\n")
    write(flows / "deep" / "call.yaml", "subscribe: in\nsteps: [json, {call: judge}, {publish: out}]\n")
    write(
        flows / "deep" / "call.test.yaml",
        "flow: call.yaml\ntests:\n  - {given: {topic: in, payload: {x: 2}}, expect: {topic: out}}\n"
        "  - {given: {topic: in, payload: {x: 1}}, expect: []}\n",
    )
    result = run(repository, "--flowrunner", "-v", "flows/deep")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["flows/deep/call.test.yaml::call: test in line 3 PASSED*"])


def test_two_tests_of_one_name_are_two(repository: pytest.Pytester) -> None:
    text = FLOW.replace("EXPECT", "[]").replace("is dropped", "goes through")
    write(repository.path / "flows" / "heat.yaml", text)
    result = run(repository, "--flowrunner", "-v", "flows")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::heat: goes through (2) PASSED*"])


def test_nothing_heavy_is_imported_before_it_is_needed(repository: pytest.Pytester) -> None:
    repository.makepyfile(
        "import sys\n\ndef test_own():\n"
        "    assert not [name for name in sys.modules if name.startswith('flowrunner.') and 'plugin' not in name]\n"
    )
    run(repository).assert_outcomes(passed=1)
