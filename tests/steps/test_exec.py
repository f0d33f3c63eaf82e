"""The step `exec`, with real programs."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowrunner.diagnostics import render
from flowrunner.outside.programs import run_program
from tests.flow_host import FlowHost, Outcome, message, read
from tests.waiting_step import diagnose_waiting


def flow(command: str, options: str = "timeout: 10s", *, first: str = "decode: utf-8") -> str:
    return f"""
subscribe: in/+room
steps:
  - {first}
  - exec: {{command: {command}, {options}}}
  - publish: out/${{room}}
"""


def run(
    command: str, *payloads: Any, options: str = "timeout: 10s", folder: Path = Path(), first: str = "decode: utf-8"
) -> Outcome:
    host = FlowHost(read(flow(command, options, first=first), folder=folder))
    for payload in payloads or ("",):
        host.arrive(message("in/attic", payload))
    return host.outcome


def python(code: str) -> str:
    """A command that runs Python code, which must not hold a single quote or a line end."""
    return f"['{sys.executable}', -c, '{code}'"


def test_the_payload_goes_in_and_the_output_comes_out() -> None:
    assert [sent.payload for sent in run("[tr, a-z, A-Z]", "hello", "wörld").published] == [b"HELLO", "WöRLD".encode()]


@pytest.mark.parametrize(("payload", "given"), [({"a": 1}, b'{"a":1}'), ([1, 2], b"[1,2]"), (None, b"")])
def test_a_value_goes_in_as_publish_would_send_it(payload: Any, given: bytes) -> None:
    first = "map: '" + ("null" if payload is None else repr(payload).replace("'", '"')) + "'"
    assert [sent.payload for sent in run("[cat]", first=first).published] == [given]


def test_bytes_go_through_unchanged_also_many() -> None:
    data = os.urandom(700_000)
    host = FlowHost(read("subscribe: in\nsteps:\n  - exec: [cat]\n  - publish: out\n"))
    host.get("in", data)
    assert host.outcome.published[0].payload == data


def test_an_argument_is_one_whatever_it_holds() -> None:
    outcome = run('[printf, "%s|", "${payload}", "x${payload}"]', "a b; $(id) 'c\" *\n&")
    assert outcome.published[0].payload == b"a b; $(id) 'c\" *\n&|xa b; $(id) 'c\" *\n&|"


@pytest.mark.parametrize("payload", ["-rf", "--help", "-"])
def test_an_inserted_argument_does_not_begin_with_a_dash(payload: str) -> None:
    outcome = run('[printf, "%s", "${payload}"]', payload)
    assert (outcome.error.code, outcome.error.span.text) == ("bad-argument", "${payload}")
    assert outcome.published == []


def test_a_dash_of_the_user_is_no_danger() -> None:
    assert run('[printf, "%s", "--name=${payload}", "${payload}-"]', "-x")
    assert run('[printf, "%s", "--name=${payload}"]', "-x").published[0].payload == b"--name=-x"


def test_an_argument_that_the_system_cannot_pass_on() -> None:
    assert run('[printf, "%s", "${payload}"]', "a\0b").error.code == "bad-argument"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("['false']", "`false` ended with exit code 1"),
        ('[sh, -c, "echo first >&2; echo second >&2; exit 3"]', "`sh` ended with exit code 3: first"),
        ('[sh, -c, "kill -TERM $$"]', "`sh` was ended by SIGTERM"),
        ("[no-such-program]", "there is no program `no-such-program`"),
        ("[./no-such-program]", "there is no program `./no-such-program`"),
    ],
)
def test_failures_in_words(command: str, message: str) -> None:
    error = run(command).error
    assert (error.code, error.message) == ("program-failed", message)
    assert error.span.text == "exec"


def test_a_file_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "own.sh").write_text("#!/bin/sh\n")
    error = run("[./own.sh]", folder=tmp_path).error
    assert (error.message, error.helps) == ("`./own.sh` may not be run", ("make it executable: `chmod +x ./own.sh`",))


def test_a_long_complaint_is_cut() -> None:
    error = run(python('import sys; sys.exit("x" * 100000)') + "]").error
    assert len(error.message) < 300


def test_a_program_that_does_not_read_is_no_failure() -> None:
    host = FlowHost(read("subscribe: in\nsteps:\n  - exec: [echo, fine]\n  - publish: out\n"))
    host.get("in", b"x" * 1_000_000)
    assert host.outcome.published[0].payload == b"fine\n"


def test_it_runs_in_the_folder_of_the_flow(tmp_path: Path) -> None:
    script = tmp_path / "own.sh"
    script.write_text("#!/bin/sh\npwd -P\n")
    script.chmod(0o755)
    assert run("[./own.sh]", folder=tmp_path).published[0].payload.decode() == f"{tmp_path.resolve()}\n"


def test_a_script_without_a_first_line_says_what_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "own.sh"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    error = run("[./own.sh]", folder=tmp_path).error
    assert (error.code, error.helps) == ("program-failed", ("a script begins with a line such as `#!/bin/sh`",))


def test_more_output_than_allowed_ends_the_program() -> None:
    error = run("['yes']", options="max_output: 64KiB").error
    assert (error.code, error.message) == ("answer-too-large", "`yes` wrote more than 65536 bytes and was ended")


def test_output_of_exactly_the_limit_is_allowed() -> None:
    assert len(run("[head, -c, '1024', /dev/zero]", options="max_output: 1KiB").published[0].payload) == 1_024
    assert run("[head, -c, '1025', /dev/zero]", options="max_output: 1KiB").error.code == "answer-too-large"


def alive(marker: str) -> list[int]:
    """The processes whose command line holds a text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in line and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def wait_until_dead(marker: str) -> None:
    deadline = time.monotonic() + 10
    while alive(marker):
        assert time.monotonic() < deadline, alive(marker)
        time.sleep(0.002)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("rest", ["sleep 30", "exit 0"], ids=["waiting for its child", "leaving its child behind"])
def test_after_the_timeout_the_program_and_its_children_are_gone(rest: str) -> None:
    marker = f"flowrunner-test-{os.getpid()}-{len(rest)}"
    child = f'{sys.executable} -c "import time; time.sleep(30)" {marker}'
    error = run(f"[sh, -c, '{child} & {child} & {rest}']", options="timeout: 300ms").error
    assert (error.code, error.message) == ("timed-out", "`sh` took longer than 0.3 s and was ended")
    wait_until_dead(marker)


async def test_a_flow_that_ends_kills_what_runs() -> None:
    marker = f"flowrunner-test-{os.getpid()}-given-up"
    host = FlowHost(read(flow(python("import time; time.sleep(30)") + f", {marker}]")))
    host.arrive(message("in/attic", ""))
    deadline = time.monotonic() + 10
    while not alive(marker) and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    assert host.waits is not None
    assert host.waits.give_up() == 1
    await host.settled()
    assert host.outcome.error.code == "given-up"
    wait_until_dead(marker)


async def test_programs_of_two_flows_run_side_by_side() -> None:
    code = "import sys; sys.stdin.read(); print(1)"
    arguments = [sys.executable, "-c", code]
    results = await asyncio.gather(*(run_program(arguments, b"", folder=".", seconds=20, most=100) for _ in range(4)))
    assert results == [b"1\n"] * 4


def test_without_permission_it_is_refused() -> None:
    flows, (found,) = diagnose_waiting(flow("[cat]"), allow=frozenset())
    assert not flows
    assert render([found]) == (
        "error[not-allowed]: `exec` runs a program of this machine, which has to be allowed\n"
        " --> flows/flow.yaml:4:5\n"
        "  |\n"
        "4 |   - exec: {command: [cat], timeout: 10s}\n"
        "  |     ^^^^\n"
        "help: start flowrunner with `flowrunner run --allow exec`\n"
    )


def test_where_nothing_will_run_it_is_a_warning() -> None:
    flows, (found,) = diagnose_waiting(flow("[cat]"), allow=None)
    assert flows
    assert (found.code, found.severity) == ("not-allowed", "warning")


@pytest.mark.parametrize(
    "command", ["ls -l", "[]", '["${payload}"]', '["./${payload}"]', '[""]', "{a: b}", "[ls, [a]]", "[ls, null]"]
)
def test_what_is_no_command_is_refused(command: str) -> None:
    flows, found = diagnose_waiting(f"subscribe: in\nsteps:\n  - decode: utf-8\n  - exec: {{command: {command}}}\n")
    assert not flows
    assert {diagnostic.code for diagnostic in found} <= {"wrong-value", "unknown-key"}


def test_the_output_is_bytes_as_check_knows() -> None:
    _, (found,) = diagnose_waiting('subscribe: in\nsteps:\n  - exec: [cat]\n  - filter: payload == "on"\n')
    assert found.code == "bytes-payload"
