"""Turns the tests of flows into an answer: what holds, and what does not, with its place and the difference."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse, json_option, make_command, option, paths_argument
from flowrunner.cli.paths import existing, tell_of_unread_settings
from flowrunner.cli.test_lines import Progress, coverage_table, heading, ruled, summary
from flowrunner.diagnostics import Diagnostic, render

if TYPE_CHECKING:
    from flowrunner.read.load import Loaded
    from flowrunner.trial.case import Result
    from flowrunner.trial.coverage import Coverage
    from flowrunner.trial.keywords import Choice
    from flowrunner.trial.suite import FlowTest

Format = Literal["full", "concise", "json", "github"]


@make_command(
    "test",
    examples="""
    flowrunner test                              everything in flows/
    flowrunner test -k "kitchen and not slow"    those with these words in file, flow or name
    flowrunner test --watch                      again and again, what an edit touches
    flowrunner test --coverage                   which steps and branches no test has reached
    flowrunner test --junit report.xml --format github
    flowrunner test --from day.jsonl overheat    a test out of what was recorded
    flowrunner test --from day.jsonl --since 13:40 --until 13:45 --write overheat
    """,
)
@option("-k", "choice", metavar="EXPR", default="",
        help="Only the tests whose file, flow or name holds this; with `and`, `or`, `not` and brackets.")  # fmt: skip
@option("-x", "is_short", is_flag=True, help="Stop at the first failure.")
@option("-v", "is_long", is_flag=True, help="List every test.")
@option("--watch", "is_watched", is_flag=True, help="Run again what an edit touches, until Ctrl-C.")
@option("--coverage", "is_covered", is_flag=True, help="Tell which steps and branches no test has reached.")
@option("--format", metavar="full|concise|json|github", default="full",
        type=click.Choice(["full", "concise", "json", "github"]),
        help="How failures are shown [full: with lines of the file and differences].")  # fmt: skip
@json_option
@option("--junit", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
        help="Write the results to a file, in the XML of JUnit.")  # fmt: skip
@option("--from", "recording", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        section="A test out of a recording",
        help="Make a test of FLOW (its name or file) out of what `flowrunner record` wrote.")  # fmt: skip
@option("--since", metavar="TIME", default="", section="A test out of a recording",
        help="Begin at this time of day, or so long after the beginning: `13:40`, `90s`.")  # fmt: skip
@option("--until", metavar="TIME", default="", section="A test out of a recording", help="End there.")
@option("--name", metavar="TEXT", default="", section="A test out of a recording", help="What the test is called.")
@option("--write", "is_written", is_flag=True, section="A test out of a recording",
        help="Add the test to the file of the flow instead of printing it.")  # fmt: skip
@paths_argument
def command(paths: tuple[Path, ...], **given: Any) -> int:
    """Run the tests of flows. No broker is needed, and no time is waited for.

    PATHS are files and folders [flows/]: the `tests:` of flows, and files that end in .test.yaml. What is published
    must be exactly what is expected, in order. Steps that ask or change the world outside are answered by the `mocks:`
    of a test. Exit code 0: all passed; 1: a test failed, or a flow holds a mistake.
    """
    if given["as_json"]:
        given["format"] = "json"
    if given["recording"] is not None:
        return _from_recording(paths, given)
    for name in ("since", "until", "name", "is_written"):
        if given[name]:
            raise Misuse(f"`--{name.removeprefix('is_').replace('written', 'write')}` goes with `--from`")
    run = _Run(_choice(given["choice"]), given)
    found = existing(paths)
    tell_of_unread_settings(found)
    return _watch(found, run) if given["is_watched"] else run.run(*_tests(found))


def _load(paths: Sequence[Path]) -> "Loaded":
    from flowrunner.read.load import load

    # of single files nobody wants to name those that they call; of `exec` nothing is run
    beside = None if any(path.is_dir() for path in paths) else paths[0].parent
    return load(paths, allow=frozenset({"exec"}), beside=beside)


def _tests(paths: Sequence[Path]) -> "tuple[Loaded, list[FlowTest]]":
    from flowrunner.trial.suite import all_tests

    loaded = _load(paths)
    return loaded, all_tests(loaded)


def _choice(text: str) -> "Choice":
    from flowrunner.trial.keywords import BadChoice, parse_choice

    if not text.strip():
        return lambda _: True
    try:
        return parse_choice(text)
    except BadChoice as error:
        raise Misuse(f"`-k` cannot be read: {error}", "such as `-k 'kitchen and not (slow or cold)'`") from None


def _watch(paths: Sequence[Path], run: "_Run") -> int:
    """Run what edits touch, until Ctrl-C."""
    import asyncio

    from flowrunner.run.disk import SystemDisk
    from flowrunner.run.watch import Changes
    from flowrunner.trial.watching import Watching

    watching = Watching(paths, lambda: _load(paths))

    async def follow() -> None:
        changes = Changes(lambda: watching.places, SystemDisk())
        try:
            async for loaded, tests in watching.turns(changes):
                run.run(loaded, tests)
                terminal.say("waiting for an edit; Ctrl-C ends it")
        finally:
            await changes.aclose()

    asyncio.run(follow())
    return 0


def _from_recording(paths: tuple[Path, ...], given: dict[str, Any]) -> int:
    from flowrunner.cli.recorded import make_test

    return make_test(paths, given, _load)


@dataclass(slots=True)
class _Run:
    """Runs tests and tells about it as the options say."""

    choice: "Choice"
    given: dict[str, Any]

    @property
    def format(self) -> Format:
        """How failures are shown."""
        found: Format = self.given["format"]
        return found

    def run(self, loaded: "Loaded", tests: "Sequence[FlowTest]") -> int:
        """Run those that are chosen; returns the exit code."""
        from flowrunner.trial.coverage import Coverage
        from flowrunner.trial.suite import Suite, flows_in

        chosen = [test for test in tests if self.choice(test.name)]
        if tests and not chosen and self.given["choice"] and not self.given["is_watched"]:
            raise Misuse(f"no test fits `-k {self.given['choice']}`", "`flowrunner test -v` lists all there are")
        mistakes = [found for found in loaded.diagnostics if found.severity == "error"]
        coverage = Coverage() if self.given["is_covered"] else None
        if coverage is not None:
            for flow in flows_in(loaded):
                coverage.add(flow)
        progress = Progress(self.format == "full", is_long=self.given["is_long"])
        begin = time.perf_counter()
        is_short: bool = self.given["is_short"]
        results = Suite(coverage).run(
            chosen, told=lambda test, result: progress.tell(test, result) and not (is_short and not result.is_passed)
        )
        progress.end()
        self.report(results, mistakes, coverage, time.perf_counter() - begin)
        return terminal.ERRORS if mistakes or not all(result.is_passed for result in results) else 0

    def report(
        self,
        results: "Sequence[Result]",
        mistakes: Sequence[Diagnostic],
        coverage: "Coverage | None",
        seconds: float,
    ) -> None:
        """Show what came of it."""
        from flowrunner.trial import reports
        from flowrunner.trial.coverage import by_file

        files = by_file(coverage) if coverage is not None else None
        if self.given["junit"] is not None:
            _write(self.given["junit"], reports.to_junit(results, mistakes, seconds))
        color = terminal.wants_color(sys.stdout)
        if self.format == "json":
            sys.stdout.write(reports.to_json(results, mistakes, files, seconds))
        else:
            sys.stdout.write(self.failures(results, mistakes, color=color and self.format == "full"))
            if files is not None:
                sys.stdout.write(coverage_table(files))
            line = summary(results, mistakes, seconds)
            if self.format == "full":
                is_good = not mistakes and all(result.is_passed for result in results)
                sys.stdout.write(ruled(line, is_good=is_good, color=color))
            else:
                terminal.say(line)
        sys.stdout.flush()

    def failures(self, results: "Sequence[Result]", mistakes: Sequence[Diagnostic], *, color: bool) -> str:
        """Tests that failed, and mistakes in flows."""
        from flowrunner.trial import reports
        from flowrunner.trial.show import show

        failed = [result for result in results if not result.is_passed]
        if self.format == "github":
            return render(mistakes, "github") + reports.annotations(failed)
        if self.format == "concise":
            return render(mistakes, "concise") + "".join(f"{reports.one_line(result)}\n" for result in failed)
        parts = [f"\n{heading(result, color=color)}\n{show(result, color=color)}" for result in failed]
        if mistakes:
            parts.append("\n" + render(mistakes, color=color))
        return "".join(parts) + ("\n" if parts else "")


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"`{file}` cannot be written: {error.strerror}") from error
