"""Turns flow files into a program that runs until Ctrl-C."""

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Misuse, broker_option_in, compose, make_command, option, paths_argument
from flowrunner.cli.paths import existing, load_flows
from flowrunner.cli.terminal import ERRORS, say, wants_color
from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.errors import FlowError

if TYPE_CHECKING:
    from flowrunner.compile import Program
    from flowrunner.read.load import Loaded
    from flowrunner.read.settings import Settings

_CONNECTION, _EDITING, _PAGE, _SHOWN = "Broker", "While flows are edited", "Page in the browser", "What is shown"

_options = compose(
    broker_option_in(_CONNECTION),
    option("--workers", metavar="N", type=click.IntRange(1), default=1, section=_CONNECTION,
           help="Processes that share the messages between them [1]."),
    option("--allow", metavar="exec", multiple=True, type=click.Choice(["exec"]), section=_CONNECTION,
           help="Let flows run programs of this machine (step `exec`)."),
    option("--no-reload", is_flag=True, section=_EDITING, help="Do not take up changes of flow files."),
    option("--no-preview", is_flag=True, section=_EDITING,
           help="After an edit, do not show what the last messages would have become."),
    option("--web", metavar="HOST:PORT", section=_PAGE, help="Where the page is served [on this machine only]."),
    option("--no-web", is_flag=True, section=_PAGE, help="Do not serve it."),
    option("--explain", is_flag=True, section=_SHOWN, help="Tell the protocol in words as it happens."),
    option("--log-format", metavar="text|json", default="text", type=click.Choice(["text", "json"]), section=_SHOWN,
           help="Lines for people, or JSON objects for programs [text]."),
)  # fmt: skip


@make_command(
    "run",
    examples="""
    flowrunner run                                 everything in flows/
    flowrunner run flows/kitchen.yaml garden/
    flowrunner run --broker mqtt://me:secret@broker.example.org
    FLOWRUNNER_BROKER=mqtts://broker.example.org flowrunner run
    flowrunner run --log-format json | jq 'select(.event == "failed")'
    """,
)
@_options
@paths_argument
def command(paths: tuple[Path, ...], **given: Any) -> int:
    """Run flows until Ctrl-C, and show the messages that go through them.

    PATHS are files and folders [flows/]. The broker is that of --broker, else of the variable FLOWRUNNER_BROKER,
    else of `flowrunner.yaml` in the folder, else localhost:1883, where an embedded broker is started if none listens.

    A broker that is away is waited for, whatever it takes. A flow with mistakes does not run; the others do. A second
    Ctrl-C ends everything at once. Exit code 0: it was stopped; 1: no flow can run; 2: wrong usage.
    """
    url = given["broker"] or os.environ.get("FLOWRUNNER_BROKER") or None
    _check_address(url)
    _say_what_is_missing(given)
    gc.disable()  # what is read now stays: looking through all of it again and again takes a third of the start
    try:
        loaded = load_flows(paths, url=url, allow=frozenset(given["allow"]))
        return _Run(loaded, existing(paths), is_json=given["log_format"] == "json", has_url=url is not None).run()
    finally:
        gc.unfreeze()
        gc.enable()


class _Run:
    """One run of what was loaded."""

    def __init__(self, loaded: "Loaded", paths: Sequence[Path], *, is_json: bool, has_url: bool) -> None:
        from flowrunner.run.output import Output
        from flowrunner.run.report import Report
        from flowrunner.run.service import Service

        self._loaded = loaded
        self._mistakes = list(loaded.diagnostics)
        self._paths = paths
        self._output = Output(sys.stdout, closed=self._stop)
        color = not is_json and wants_color(sys.stdout)
        self._report = Report(self._output.write, format="json" if is_json else "text", color=color)
        first = paths[0]
        self._service = Service(
            loaded.settings.connections,
            self._report,
            folder=first if first.is_dir() else first.parent,
            is_broker_named=has_url or _names_broker(loaded.settings),
        )

    def run(self) -> int:
        """Run until it is stopped; returns the exit code."""
        from flowrunner.run.opening import announce

        try:
            programs = self._compile()
            if not programs or self._has_bad_settings():
                self._report_mistakes()
                self._report.say("nothing-to-run", self._why_nothing(), level="error")
                return ERRORS
            announce(self._report, [program.flow for program in programs])
            self._report_mistakes()
            gc.freeze()
            gc.enable()
            asyncio.run(self._service.run(programs))
        finally:
            self._output.close()
        return 0

    def _stop(self) -> None:
        self._service.stop()

    def _compile(self) -> "list[Program]":
        from flowrunner.compile import compile_flow

        programs = []
        for flow in self._loaded.flows:
            try:
                programs += [compile_flow(flow)] if flow.is_enabled else []
            except FlowError as error:  # too large for Python: the others run
                self._mistakes += error.diagnostics
        return programs

    def _has_bad_settings(self) -> bool:
        """Whether settings hold errors: then nobody knows which broker is meant."""
        from flowrunner.read.load import SETTINGS_FILE

        return any(_is_error_in(diagnostic, SETTINGS_FILE) for diagnostic in self._loaded.diagnostics)

    def _report_mistakes(self) -> None:
        found = sorted(set(self._mistakes), key=lambda diagnostic: diagnostic.sort_key)
        errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
        for diagnostic in errors:
            self._report.frame(diagnostic)
        if count := len(found) - len(errors):
            words = f"{count} warning{'' if count == 1 else 's'}, which `flowrunner check` shows"
            self._report.say("warnings", words, count=count)
        files = dict.fromkeys(one.span.source.name for one in errors)
        if files:
            words = f"mistakes in {name_list(list(files))}: what they concern does not run"
            self._report.say("mistakes", words, level="warning", files=list(files))

    def _why_nothing(self) -> str:
        if self._has_bad_settings():
            return "the settings hold mistakes: mend them, then run again"
        if self._loaded.flows:
            return "every flow is switched off (`enabled: false`)"
        if self._mistakes:
            return "no flow can run: mend the mistakes above, then run again"
        where = name_list([path.as_posix() for path in self._paths])
        return f"there is no flow in {where}: `flowrunner new NAME` writes one"


def _check_address(url: str | None) -> None:
    from flowrunner.address import BadAddress, parse_address

    if url is not None:
        try:
            parse_address(url)
        except BadAddress as error:
            raise Misuse(error.message, error.help) from None


def _say_what_is_missing(given: dict[str, Any]) -> None:
    """Parts whose options are there before they are."""
    missing = {"--workers": given["workers"] > 1, "--web": given["web"], "--explain": given["explain"]}
    for name, is_given in missing.items():
        if is_given:
            say(f"`{name}` has no effect in this version")


def _names_broker(settings: "Settings") -> bool:
    """Whether the settings file says where the default broker is."""
    from flowrunner.read.document import read_document
    from flowrunner.read.nodes import Map
    from flowrunner.read.settings import DEFAULT

    node = read_document(settings.source)[0] if settings.source is not None else None
    connections = node.get("connections") if isinstance(node, Map) else None
    return connections is not None and isinstance(connections.value, Map) and connections.value.get(DEFAULT) is not None


def _is_error_in(diagnostic: Diagnostic, file: str) -> bool:
    return diagnostic.severity == "error" and Path(diagnostic.span.source.name).name == file
