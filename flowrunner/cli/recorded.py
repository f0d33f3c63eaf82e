"""Turns `flowrunner test --from` into a test that is printed, or added to the file of its flow."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse
from flowrunner.cli.paths import DEFAULT_PATH, existing
from flowrunner.diagnostics import name_list, render, suggest
from flowrunner.quantities import BadQuantity, parse_duration

if TYPE_CHECKING:
    from flowrunner.read.flow import Flow
    from flowrunner.read.load import Loaded
    from flowrunner.run.recording import Recorded
    from flowrunner.trial.recorded import NewCase


def make_test(words: tuple[Path, ...], given: dict[str, Any], load: "Callable[[Sequence[Path]], Loaded]") -> int:
    """Make a test of the flow that the first word names, and print it or write it; returns the exit code."""
    from flowrunner.compile import compile_flow
    from flowrunner.trial.recorded import BadRecording, make_case, read_file

    if not words:
        raise Misuse("`--from` needs the flow that is to be tested", "`flowrunner test --from day.jsonl FLOW`")
    flow = find_flow(words[0], words[1:], load)
    try:
        recorded = read_file(given["recording"])
        stretch = between(recorded, given["since"], given["until"])
        made = make_case(compile_flow(flow), stretch, given["name"] or title_of(stretch))
    except BadRecording as error:
        raise click.ClickException(str(error)) from None
    tell(made)
    if not given["is_written"]:
        sys.stdout.write("".join(f"{line}\n" for line in made.lines))
        return 0
    write(flow, made, load)
    return 0


def find_flow(word: Path, paths: tuple[Path, ...], load: "Callable[[Sequence[Path]], Loaded]") -> "Flow":
    """The flow of a name, of a file, or of `FILE#NAME`. Raises Misuse where there is none."""
    file, _, name = str(word).partition("#")
    if Path(file).is_file():
        loaded = load([*paths, Path(file)] if paths else [Path(file)])
        flows = [flow for flow in loaded.flows if Path(flow.source.name).resolve() == Path(file).resolve()]
    else:
        name = name or str(word)
        loaded = load(existing(paths))
        flows = list(loaded.flows)
    chosen = [flow for flow in flows if flow.name == name] if name else flows
    if len(chosen) == 1:
        return chosen[0]
    if errors := [found for found in loaded.diagnostics if found.severity == "error"]:
        sys.stderr.write(render(errors, color=terminal.wants_color(sys.stderr)))
    names = [flow.name for flow in flows]
    if not name:
        help = f"name one of them: `{file}#{names[0]}`" if names else ""
        raise Misuse(f"`{file}` holds {len(names) or 'no'} flows" if len(names) != 1 else "", help)
    near = suggest(name, names)
    help = f"did you mean `{near}`?" if near else f"there are {name_list(names)}" if names else ""
    raise Misuse(f"there is no flow `{name}` in {name_list([str(path) for path in paths or (DEFAULT_PATH,)])}", help)


def between(recorded: "Sequence[Recorded]", since: str, until: str) -> "list[Recorded]":
    """The messages of a stretch; both ends are times of day, dates with a time, or durations from the beginning."""
    if not recorded:
        return []
    first = datetime.fromtimestamp(recorded[0].time).astimezone()
    begin = moment(since, first, "since").timestamp() if since else recorded[0].time
    end = moment(until, first, "until").timestamp() if until else max(one.time for one in recorded)
    return [one for one in recorded if begin <= one.time <= end]


def moment(text: str, first: datetime, name: str) -> datetime:
    """A moment of a recording whose first message came at `first`. Raises Misuse."""
    try:
        return first + timedelta(seconds=parse_duration(text))
    except BadQuantity:
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        pass
    try:
        clock = datetime.strptime(text, "%H:%M:%S" if text.count(":") == 2 else "%H:%M").time()  # noqa: DTZ007 - local
    except ValueError:
        raise Misuse(f"`--{name}` must be a time such as `13:40`, or a duration such as `90s`") from None
    local = first.astimezone()
    found = local.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)
    return found if found >= local.replace(second=0, microsecond=0) else found + timedelta(days=1)


def title_of(stretch: "Sequence[Recorded]") -> str:
    """What a test is called that nobody has given a name."""
    if not stretch:
        return "recorded"
    begin = datetime.fromtimestamp(stretch[0].time).astimezone()
    return f"recorded on {begin:%Y-%m-%d at %H:%M:%S}"


def tell(made: "NewCase") -> None:
    """Say what happened while the test was made that its reader should know."""
    errors = list(dict.fromkeys(made.outcome.errors))
    if errors:
        sys.stderr.write(render(errors[:3], color=terminal.wants_color(sys.stderr)))
    messages = f"{made.messages} message{'' if made.messages == 1 else 's'}"
    published = f"{len(made.outcome.published)} published"
    failed = f", and {len(made.outcome.errors)} failed" if errors else ""
    terminal.say(f"a test out of {messages}: {published}{failed}; read what it expects before you trust it")


def write(flow: "Flow", made: "NewCase", load: "Callable[[Sequence[Path]], Loaded]") -> None:
    """Add the test to the file of its flow; the file stays as it was where the test would not be read."""
    from flowrunner.trial.recorded import add_case

    path = Path(flow.source.name)
    before = path.read_bytes()
    path.write_bytes(add_case(flow, before.decode("utf-8"), made.lines).encode("utf-8"))
    found = [other for other in load([path]).flows if other.name == flow.name]
    if not found or len(found[0].tests) != len(flow.tests) + 1:
        path.write_bytes(before)
        raise click.ClickException(f"`{path}` cannot take the test: print it, and add it by hand")
    terminal.say(f"added to {path}")
