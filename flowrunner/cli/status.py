"""Turns a running runner into a table of its flows and connections."""

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import json_option, make_command, option, paths_argument
from flowrunner.errors import ConnectionFailed

if TYPE_CHECKING:
    from pathlib import Path

    from flowrunner.cli.runners import Talk

Object = dict[str, Any]


@make_command(
    "status",
    examples="""
    flowrunner status                             the runner of flows/
    flowrunner status garden/ --watch             again and again, in place
    flowrunner status --json | jq '.runners[].flows[] | select(.status == "stale")'
    """,
)
@option("--watch", "is_watched", is_flag=True, help="Show it again and again, until Ctrl-C.")
@option("--every", metavar="SECONDS", type=click.FloatRange(0.1), default=1.0, help="With --watch: how often [1].")
@option("--process", metavar="NUMBER", type=click.IntRange(1), help="The process of the runner, if there are several.")
@json_option
@paths_argument
def command(
    paths: "tuple[Path, ...]", *, is_watched: bool, every: float, process: int | None, as_json: bool
) -> int | None:
    """Show how the flows of a running runner are.

    For each flow: messages a second and in all, errors, what waits in its steps and how many keys they remember, since
    when its version runs, and which version is stale because its file holds a mistake. For each connection: whether
    the broker is there, and what was published. Rates are those since somebody looked last.

    With `flowrunner run --workers N` the numbers are those of all workers together, their process numbers and how often
    one was started again stand above, and the column WORKER says which worker runs a flow: the number of the one that
    does, or `all`.

    The runner of PATHS [flows/] is asked, over a socket that only you can reach. Exit code 0: it answered; 2: wrong
    usage; 3: there is no runner.
    """
    if not is_watched:
        show(look(paths, process), as_json=as_json)
        return None
    with terminal.polite_end():
        try:
            Watching(paths, process, as_json=as_json).go_on(every)
        except KeyboardInterrupt:
            return 0


def look(paths: "tuple[Path, ...]", process: int | None) -> list[Object]:
    """What each runner of some paths says. Raises NoRunner."""
    from flowrunner.cli.runners import find_runners

    found = []
    for talk in find_runners(paths, process):
        with talk:
            found.append(talk.ask(ask="status"))
    return found


def show(runners: list[Object], *, as_json: bool) -> None:
    """Print what runners say."""
    from flowrunner.cli.status_lines import draw_status

    if as_json:
        print(json.dumps({"runners": runners}, ensure_ascii=False, indent=2))
    else:
        print("\n".join(draw_status(runners, color=terminal.wants_color(sys.stdout), most=room())))


def room() -> int:
    """How wide a table may be: as the terminal is; 0 where there is none, for as wide as it gets."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


class Watching:
    """Shows runners again and again: in place on a terminal, else one table, or one line of JSON, after the other."""

    def __init__(self, paths: "tuple[Path, ...]", process: int | None, *, as_json: bool) -> None:
        self.paths = paths
        self.process = process
        self.as_json = as_json
        self.is_in_place = sys.stdout.isatty() and not as_json
        self.talks: list[Talk] = []

    def go_on(self, every: float) -> NoReturn:
        """Show them for ever. A runner that ends may come back; raises NoRunner if there is none at first."""
        from flowrunner.cli.runners import find_runners

        self.talks = find_runners(self.paths, self.process)
        if self.is_in_place:
            sys.stdout.write("\x1b[?25l\x1b[2J")
        try:
            while True:
                self.show()
                time.sleep(every)
        finally:
            if self.is_in_place:
                sys.stdout.write("\x1b[?25h")
                sys.stdout.flush()

    def show(self) -> None:
        """Show them once."""
        from flowrunner.cli.status_lines import draw_status

        found, trouble = self.ask()
        if self.as_json:
            print(json.dumps({"runners": found}, ensure_ascii=False), flush=True)
            return
        color = terminal.wants_color(sys.stdout)
        lines = list(draw_status(found, color=color, most=room())) if found else [trouble]
        if self.is_in_place:
            self.redraw(lines)
        else:
            print("\n".join(lines), end="\n\n", flush=True)

    def ask(self) -> tuple[list[Object], str]:
        """What the runners say, or why they say nothing."""
        from flowrunner.cli.runners import find_runners

        try:
            if not self.talks:
                self.talks = find_runners(self.paths, self.process)
            return [talk.ask(ask="status") for talk in self.talks], ""
        except ConnectionFailed as error:
            for talk in self.talks:
                talk.close()
            self.talks = []
            return [], str(error)

    def redraw(self, lines: list[str]) -> None:
        """Write the lines over those of the last time, without a flicker, and no more than there is room for."""
        height = shutil.get_terminal_size().lines
        if len(lines) >= height:
            lines = [*lines[: height - 2], f"... {len(lines) - height + 2} more lines"]
        # wrapping is switched off meanwhile: a line that is too long is cut where the window ends
        body = "".join(f"{line}\x1b[K\r\n" for line in lines)
        sys.stdout.write(f"\x1b[?7l\x1b[H{body}\x1b[J\x1b[?7h")
        sys.stdout.flush()
