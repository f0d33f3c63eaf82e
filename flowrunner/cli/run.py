"""Turns flow files into a program that runs until Ctrl-C."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowrunner.cli.options import Misuse, broker_option_in, compose, make_command, option, paths_argument
from flowrunner.cli.paths import existing, warn_of_password
from flowrunner.cli.terminal import ERRORS, say, wants_color
from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.run.first_process import stay_behind_if_first

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from flowrunner.compile import Program
    from flowrunner.read.settings import Settings
    from flowrunner.run.explaining import Explaining
    from flowrunner.run.following import Following
    from flowrunner.run.runs import Runs
    from flowrunner.web.place import Place
    from flowrunner.workers.fleet import Fleet
    from flowrunner.workers.snapshot import Copies

_CONNECTION, _EDITING, _PAGE, _SHOWN = "Broker", "While flows are edited", "Page in the browser", "What is shown"

#: Processes that any machine can carry; beyond, four for each processor. A slip of the finger must not bury it.
_MOST_WORKERS = 16

_options = compose(
    broker_option_in(_CONNECTION),
    option("--workers", metavar="N", type=click.IntRange(1), default=1, section=_CONNECTION,
           help="Processes that share the messages between them [1]."),
    option("--allow", metavar="exec", multiple=True, type=click.Choice(["exec"]), section=_CONNECTION,
           help="Let flows run programs of this machine (step `exec`)."),
    option("--read-only", is_flag=True, section=_CONNECTION,
           help="Only look: publish nothing, run no flow with `http`, `write`, `sqlite` or `exec`."),
    option("--no-reload", is_flag=True, section=_EDITING, help="Do not watch files; SIGHUP still reloads them."),
    option("--no-preview", is_flag=True, section=_EDITING,
           help="After an edit, do not show what the last messages would have become."),
    option("--web", metavar="HOST:PORT", section=_PAGE, help="Where the page is served [on this machine only]."),
    option("--web-read-only", is_flag=True, section=_PAGE, help="For looking only: nothing is edited or published."),
    option("--no-web", is_flag=True, section=_PAGE, help="Do not serve it."),
    option("--explain", is_flag=True, section=_SHOWN, help="Tell the protocol in words as it happens."),
    option("--log-format", metavar="text|json", envvar="FLOWRUNNER_LOG_FORMAT", type=click.Choice(["text", "json"]),
           section=_SHOWN, help="Lines for people, or JSON objects for programs [text on a terminal, else json]."),
)  # fmt: skip


@make_command(
    "run",
    examples="""
    flowrunner run                                 everything in flows/
    flowrunner run flows/kitchen.yaml garden/
    flowrunner run --broker mqtt://me:secret@broker.example.org
    FLOWRUNNER_BROKER=mqtts://broker.example.org flowrunner run
    flowrunner run | jq 'select(.event == "failed")'
    """,
)
@_options
@paths_argument
def command(paths: tuple[Path, ...], **given: Any) -> int:
    """Run flows until Ctrl-C, and show the messages that go through them.

    PATHS are files and folders [flows/]. The broker is that of --broker, else of the variable FLOWRUNNER_BROKER,
    else of `flowrunner.yaml` in the folder, else localhost:1883, where an embedded broker is started if none listens.

    A file that is saved is taken up at once, without losing a message or what steps remember; with a mistake in it the
    old flow goes on. A broker that is away is waited for, whatever it takes. A second Ctrl-C ends everything at once.
    What is no terminal gets JSON lines, unless --log-format or the variable FLOWRUNNER_LOG_FORMAT says otherwise.
    Exit code 0: it was stopped; 1: no flow can run; 2: wrong usage.
    """
    stay_behind_if_first()
    url = given["broker"] or os.environ.get("FLOWRUNNER_BROKER") or None
    _check_address(url)
    warn_of_password(given["broker"])
    given["place"] = _place(given)
    given["workers"] = _workers(given)
    gc.disable()  # what is read now stays: looking through all of it again and again takes a third of the start
    try:
        return _Run(existing(paths), url, given).run()
    finally:
        gc.unfreeze()
        gc.enable()


class _Run:
    """One run of the flows of some paths; `url` is the address of the broker, if it is given."""

    def __init__(self, paths: Sequence[Path], url: str | None, given: "Mapping[str, Any]") -> None:
        from flowrunner.compile import compile_flow, compile_to_run
        from flowrunner.read.library import Library
        from flowrunner.run.following import Edits
        from flowrunner.run.output import Output
        from flowrunner.run.report import Report
        from flowrunner.run.service import Service

        self._paths = paths
        self._given = given
        self._copies = _copies() if given["workers"] > 1 else None
        allow = frozenset(given["allow"])
        compile = compile_flow if given["read_only"] else compile_to_run  # who only looks changes nothing in Redis
        self._library: Library[Program] = Library(paths, compile, url=url, allow=allow, files=self._copies)
        self._contents = self._library.refresh()
        self._output = Output(sys.stdout, closed=self._stop)
        is_json = (given["log_format"] or ("text" if sys.stdout.isatty() else "json")) == "json"
        color = not is_json and wants_color(sys.stdout)
        self._report = Report(self._output.write, format="json" if is_json else "text", color=color)
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        settings = self._contents.settings
        is_read_only = given["read_only"]
        edits = Edits(
            self._library,
            paths,
            None if is_read_only else folder,
            is_watched=not given["no_reload"],
            has_previews=not given["no_preview"],
        )
        self._service = Service(
            settings.connections,
            self._report,
            folder=folder,
            is_broker_named=url is not None or _names_broker(settings),
            edits=edits,
            explaining=self._explaining() if given["explain"] and self._copies is None else None,
            is_read_only=is_read_only,
            beside=self._page if given["place"] is not None else None,
            make=self._fleet if self._copies is not None else None,
            group=settings.group,
            state=settings.state,
        )
        self._place = given["place"]
        self._folder = edits.folder

    def run(self) -> int:
        """Run until it is stopped; returns the exit code."""
        from flowrunner.run.opening import announce

        try:
            versions = self._contents.versions.values()
            programs = [version.program for version in versions if version.flow.is_enabled]
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

    def _explaining(self) -> "Explaining":
        from flowrunner.run.explaining import Explaining

        return Explaining(self._report)

    def _fleet(self) -> "Fleet":
        from flowrunner.workers.fleet import Fleet
        from flowrunner.workers.plan import Plan

        assert self._copies is not None
        plan = Plan(
            self._given["workers"],
            self._library,
            self._copies,
            self._paths,
            self._folder,
            frozenset(self._given["allow"]),
            is_explained=self._given["explain"],
            state=self._contents.settings.state,
        )
        return Fleet(self._contents.settings.connections, self._report, plan)

    def _page(self, runner: "Runs", following: "Following") -> "AbstractAsyncContextManager[object]":
        from flowrunner.web.beside import show_page

        assert self._place is not None

        return show_page(
            runner,
            following,
            self._report,
            library=self._library,
            place=self._place,
            paths=self._paths,
            folder=self._folder,
        )

    def _stop(self) -> None:
        self._service.stop()

    def _has_bad_settings(self) -> bool:
        """Whether settings hold errors: then nobody knows which broker is meant."""
        from flowrunner.read.load import SETTINGS_FILE

        return any(_is_error_in(diagnostic, SETTINGS_FILE) for diagnostic in self._contents.diagnostics)

    def _report_mistakes(self) -> None:
        found = sorted(set(self._contents.diagnostics), key=lambda diagnostic: diagnostic.sort_key)
        errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
        unread = [diagnostic for diagnostic in found if diagnostic.code == "unread-settings"]
        for diagnostic in [*errors, *unread]:
            self._report.frame(diagnostic)
        if count := len(found) - len(errors) - len(unread):
            words = f"{count} warning{'' if count == 1 else 's'}, which `flowrunner check` shows"
            self._report.say("warnings", words, count=count)
        files = dict.fromkeys(one.span.source.name for one in errors)
        if files:
            words = f"mistakes in {name_list(list(files))}: what they concern does not run"
            self._report.say("mistakes", words, level="warning", files=list(files))

    def _why_nothing(self) -> str:
        if self._has_bad_settings():
            return "the settings hold mistakes: mend them, then run again"
        if self._contents.versions:
            return "every flow is switched off (`enabled: false`)"
        if self._contents.diagnostics:
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


def _place(given: dict[str, Any]) -> "Place | None":
    """Where the page is wanted, None if nowhere: `--web`, else the variable FLOWRUNNER_WEB, which may say `off`."""
    from flowrunner.web.place import Place, parse_place

    text = given["web"] or os.environ.get("FLOWRUNNER_WEB", "")
    if given["no_web"] or text == "off":
        return None
    is_read_only = given["web_read_only"] or given["read_only"]
    try:
        return parse_place(text, is_read_only=is_read_only) if text else Place(is_read_only=is_read_only)
    except ValueError as error:
        raise Misuse(f"`{text}` is no address for the page", str(error)) from None


def _workers(given: dict[str, Any]) -> int:
    """How many processes are wanted, as far as there can be more than one."""
    count: int = given["workers"]
    if count > 1 and not (hasattr(socket, "AF_UNIX") and hasattr(signal, "pthread_sigmask")):
        raise Misuse("`--workers` needs sockets between processes, which this system does not have", "leave it out")
    if count > 1 and given["read_only"]:
        say("with `--read-only` there is one worker: looking takes no work away from anybody")
        return 1
    processors = os.cpu_count() or 1
    if count > (most := max(_MOST_WORKERS, 4 * processors)):
        raise Misuse(
            f"{count} workers are too many for this machine, of {processors} processors: at most {most}",
            f"one for each processor is plenty: `--workers {processors}`",
        )
    return count


def _copies() -> "Copies":
    from flowrunner.workers.snapshot import Copies

    return Copies()


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
