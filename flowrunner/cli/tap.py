"""Turns the messages that go through a flow right now into what each step did with them."""

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli import terminal
from flowrunner.cli.options import Misuse, json_option, make_command, option, paths_argument
from flowrunner.cli.sub import TIMED_OUT

if TYPE_CHECKING:
    from pathlib import Path

    from flowrunner.cli.runners import Talk

Object = dict[str, Any]


@make_command(
    "tap",
    examples="""
    flowrunner tap overheat                        every step of a flow
    flowrunner tap 'overheat/filter 1'             one step, as `try` and `status` call it
    flowrunner tap overheat/filter -C 5            the only `filter` of the flow, five messages
    flowrunner tap overheat garden/                that of the runner of another folder
    flowrunner tap overheat --json | jq '.steps[]?.changes'
    """,
)
@click.argument("place", metavar="FLOW[/STEP]")
@option("-C", "--count", metavar="COUNT", type=click.IntRange(1), help="End after so many messages.")
@option("-W", "--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
        help="End after so many seconds, with exit code 27.")  # fmt: skip
@option("--process", metavar="NUMBER", type=click.IntRange(1), help="The process of the runner, if there are several.")
@json_option
@paths_argument
def command(place: str, paths: "tuple[Path, ...]", *, as_json: bool, **given: Any) -> int:
    """Show live what each step of a running flow does with its messages.

    The runner of PATHS [flows/] is asked, over a socket that only you can reach. The flow goes on as it is, with what
    its steps remember; nothing is lost, and nothing is published twice. Of very many messages some are left out here,
    and counted. After an edit the new version is shown. STEP is an `id`, or a kind with its number, such as `set 2`.

    Ends with Ctrl-C, or by -C or -W. Exit code 0: it was ended; 2: there is no such flow or step; 3: there is no
    runner, or it ended; 27: ended by -W.
    """
    from flowrunner.cli.runners import find_runner

    flow, step = split_place(place)
    color = not as_json and terminal.wants_color(sys.stdout)
    with terminal.polite_end(), find_runner(paths, given["process"]) as talk:
        first = talk.ask(ask="tap", flow=flow, step=step, color=color)
        viewer = Viewer(talk, count=given["count"], seconds=given["timeout"], as_json=as_json, color=color)
        if not as_json:
            terminal.say(f"looking into `{place}`; Ctrl-C ends it")
        try:
            return viewer.show(first)
        except KeyboardInterrupt:
            return 0


class Viewer:
    """Prints what a runner tells, until enough is seen."""

    def __init__(self, talk: "Talk", *, count: int | None, seconds: float | None, as_json: bool, color: bool) -> None:
        from flowrunner.cli.trace import Lines

        self.talk = talk
        self.count = count
        self.until = None if seconds is None else time.monotonic() + seconds
        self.as_json = as_json
        self.lines = Lines(color=color)
        self.shown: set[int] = set()

    def show(self, told: Object | None) -> int:
        """Print from this object on; returns the exit code."""
        while True:
            if told is not None:
                self.print(told)
            if self.count is not None and len(self.shown) >= self.count:
                return 0
            left = None if self.until is None else self.until - time.monotonic()
            if left is not None and left <= 0:
                return TIMED_OUT
            told = self.talk.hear(left)

    def print(self, told: Object) -> None:
        """Print what was told."""
        if told["event"] in {"message", "too-large"}:
            self.shown.add(told["message"])
        if self.as_json:
            print(json.dumps(told, ensure_ascii=False), flush=True)
            return
        text = "\n".join(self.lines.told(told))
        if text:
            print(text, flush=True)


def split_place(place: str) -> tuple[str, str]:
    """The flow and the step of `FLOW[/STEP]`; raise Misuse for one without a flow."""
    flow, _, step = place.partition("/")
    if not flow:
        raise Misuse("say which flow: `flowrunner tap FLOW`")
    return flow, step
