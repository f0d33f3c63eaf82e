"""Turns files that changed into flows that run: has them read, compared and exchanged, and says what became of it."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from flowrunner.clock import Clock
from flowrunner.compile import Program
from flowrunner.compile.outline import Outline, outline
from flowrunner.compile.plan import Difference, difference_of_flows
from flowrunner.compile.relocation import relocate
from flowrunner.connections import ConnectionSettings
from flowrunner.diagnostics import Diagnostic, name_list
from flowrunner.read.contents import Contents, Version
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library
from flowrunner.read.load import SETTINGS_FILE, shown_name
from flowrunner.run import previews
from flowrunner.run.live import LiveFlow
from flowrunner.run.reload_report import Reload, as_json, line_of, mended_line, stale_line
from flowrunner.run.report import Report
from flowrunner.run.running import Running, shown_paths, write_running
from flowrunner.run.shown import Remembers, ShownFlow

#: Edited flows of which one reload shows what their last messages would have become.
_MOST_PREVIEWS = 3

_log = logging.getLogger("flowrunner.run")

Reconnect = Callable[[Mapping[str, ConnectionSettings], Collection[str]], Awaitable[Sequence[str]]]
"""Takes the settings of all connections, and the names of those that are other ones; returns which it connects anew."""


class Runs(Protocol):
    """What a reload asks of a runner."""

    @property
    def flows(self) -> Mapping[str, ShownFlow]:
        """What runs, by name."""

    @property
    def clock(self) -> Clock:
        """The clock of the flows."""

    async def apply(self, programs: Iterable[Program]) -> None:
        """Run exactly these programs; those that run already go on, and so does one whose new version cannot begin."""


class Reloader:
    """Keeps what runs as it stands in the files of a library.

    `follow` it along changes of files, or `reload` at once. `publish` gets the object of each reload; `reconnect` takes
    other settings of connections, and `regroup` another group: without them they are refused, by name. `recent` are
    the last messages of each flow; without it there are no previews. What runs is noted for `flowrunner plan` in
    `folder`.
    """

    def __init__(
        self,
        library: Library[Program],
        runner: Runs,
        report: Report,
        *,
        paths: Sequence[Path] = (),
        folder: Path | None = None,
        recent: Remembers | None = None,
        publish: Callable[[dict[str, Any]], object] | None = None,
        reconnect: Reconnect | None = None,
        regroup: Callable[[str | None], object] | None = None,
    ) -> None:
        self._regroup = regroup
        self._library = library
        self._runner = runner
        self._report = report
        self._paths = shown_paths(paths)
        self._folder = folder
        self._recent = recent
        self._publish = publish
        self._reconnect = reconnect
        self._since = runner.clock.now()
        self._outlines: dict[int, tuple[Flow, Outline]] = {}
        self._noted: tuple[Outline, ...] = ()
        self._reloading = asyncio.Lock()

    async def follow(self, changes: AsyncIterator[Collection[Path]]) -> None:
        """Reload whenever files may have changed, for as long as somebody tells."""
        try:
            async for touched in changes:
                await self._try(touched)
        except Exception as error:  # noqa: BLE001 - the flows go on, and their files can still be read when asked for
            words = f"files are not watched any more ({error}): send SIGHUP to reload"
            self._report.say("not-watched", words, level="error")

    async def look(self) -> None:
        """Reload because somebody asks for it, and say so where nothing changed."""
        if await self._try(()) is None:
            self._report.say("unchanged", "nothing changed in the files")

    async def reload(self, touched: Collection[Path] = ()) -> Reload | None:
        """Take up what changed in the files, and say so; None where nothing did. One reload at a time."""
        async with self._reloading:
            began = perf_counter()
            before = self._library.contents
            for _ in self._library.refreshing(touched):
                await asyncio.sleep(0)
            after = self._library.contents
            is_regrouped = before.settings.group != after.settings.group
            is_other = is_regrouped or bool(after.stays)
            if not (after.edited or after.read or after.mended or after.reconnect or after.news or is_other):
                return None
            return await self._take_up(before, after, began)

    async def note(self) -> None:
        """Note what runs, bit by bit: others get their turn in between."""
        if self._folder is None:
            return
        flows = list(_flows(self._programs()).values())
        noted: list[Outline] = []
        for flow in flows:
            is_known = id(flow) in self._outlines
            noted.append(self._outline(flow))
            if not is_known:
                await asyncio.sleep(0)
        if flows == list(_flows(self._programs()).values()):  # else whoever exchanged them notes it
            self._outlines = {id(flow): self._outlines[id(flow)] for flow in flows}
            self._noted = tuple(noted)
            self._write(self._folder)

    def note_end(self) -> None:
        """Note that nothing of it runs any more."""
        if self._folder is not None:
            self._write(self._folder, ended=self._runner.clock.now())

    def _write(self, folder: Path, *, ended: float | None = None) -> None:
        times = {name: live.since for name, live in self._runner.flows.items()}
        running = Running(os.getpid(), self._since, str(Path.cwd()), self._paths, self._noted, times, ended)
        write_running(folder, running)

    async def _try(self, touched: Collection[Path]) -> bool | None:
        """Whether something changed; false where it could not be taken up."""
        try:
            return await self.reload(touched) is not None or None
        except Exception:  # noqa: BLE001 - the next edit gets its chance
            _log.exception("a reload failed")
            words = "the edited files could not be taken up, which is a mistake of flowrunner; the old flows go on"
            self._report.say("not-reloaded", words, level="error")
            return False

    async def _take_up(self, before: Contents[Program], after: Contents[Program], began: float) -> Reload:
        programs = {name: version.program for name, version in after.versions.items() if version.flow.is_enabled}
        old = self._programs()
        expected = self._compare(_flows(old), _flows(programs))
        programs |= {name: old[name] for name in expected.same}
        self._move(expected.moved, programs)
        reconnected = await self._connect(after)
        self._change_group(before, after)
        await self._runner.apply(programs.values())
        if self._recent is not None:
            self._recent.follow()
        found = self._compare(_flows(old), _flows(self._programs()))
        reload = Reload(
            found,
            perf_counter() - began,
            self._runner.clock.now(),
            self._stale(after, programs),
            tuple(shown_name(path) for path in after.mended),
            tuple(diagnostic for diagnostic in after.diagnostics if diagnostic.severity == "error"),
            reconnected,
        )
        self._say(reload, before, after)
        await self._preview(found, old, programs)
        if self._publish is not None:
            self._publish(as_json(reload))
        await self.note()
        return reload

    def _stale(self, after: Contents[Program], wanted: Mapping[str, Program]) -> dict[str, float]:
        """The flows of which an older version runs than the file holds, and since when."""
        broken = {version.flow.name: version.since for version in after.stale if version.flow.is_enabled}
        flows = self._runner.flows
        running = {name: flow for name, flow in flows.items() if name in wanted}
        refused = {name: flow.since for name, flow in running.items() if flow.program is not wanted[name]}
        return {**refused, **broken}

    def _programs(self) -> dict[str, Program]:
        """What runs, by name."""
        found = ((name, live.program) for name, live in self._runner.flows.items())
        return {name: program for name, program in found if isinstance(program, Program)}

    def _compare(self, old: Mapping[str, Flow], new: Mapping[str, Flow]) -> Difference:
        return difference_of_flows(old, new, outline=self._outline)

    def _outline(self, flow: Flow) -> Outline:
        if id(flow) not in self._outlines:
            self._outlines[id(flow)] = (flow, outline(flow))  # with the flow, so that no other one gets its id
        return self._outlines[id(flow)][1]

    def _move(self, names: Iterable[str], programs: Mapping[str, Program]) -> None:
        """Give flows that do the same as before their new places, without a break."""
        for name in names:
            live, program = self._runner.flows[name], programs[name]
            if not isinstance(live.program, Program):
                continue
            # one that runs in other processes is moved there
            if not isinstance(live, LiveFlow) or relocate(live.plain, live.program, program):
                live.program = program

    async def _connect(self, after: Contents[Program]) -> tuple[str, ...]:
        names = tuple(sorted(after.reconnect))
        if self._reconnect is not None:
            return tuple(await self._reconnect(after.settings.connections, names))
        if names:
            words = f"{name_list(names)} cannot be connected anew while flows run: the old settings stay until the end"
            self._report.say("not-reloadable", words, level="warning", connections=list(names))
        return ()

    def _change_group(self, before: Contents[Program], after: Contents[Program]) -> None:
        """Have the runner share its messages with others than before, from the next `apply` on."""
        group = after.settings.group
        if group == before.settings.group:
            return
        if self._regroup is None:
            words = "`group` cannot change while flows run: it stays as it was until the end"
            self._report.say("not-reloadable", words, level="warning", setting="group")
            return
        self._regroup(group)
        with_whom = f"in the group `{group}`" if group else "with no other machine"
        self._report.say("regrouped", f"messages are shared {with_whom} now", group=group)

    def _say(self, reload: Reload, before: Contents[Program], after: Contents[Program]) -> None:
        shown = {_gist(diagnostic) for diagnostic in before.diagnostics}
        for diagnostic in sorted(after.news, key=lambda diagnostic: diagnostic.sort_key):
            if diagnostic.severity == "error" or _gist(diagnostic) not in shown:
                self._report.frame(diagnostic)
        if reload.mended:
            self._report.say("mended", mended_line(reload.mended), files=list(reload.mended))
        known = {version.flow.name for version in before.stale}
        stale = [version for version in after.stale if version.flow.is_enabled]
        for version in stale:
            if version.file in after.read or version.flow.name not in known:
                self._say_stale(version, reload.at)
        self._say_what_does_not_run(after.news, {version.flow.source.name for version in stale})
        self._say_what_stays(after)
        is_silent = (
            reload.difference.is_empty and not reload.reconnected and (after.news or not reload.difference.moved)
        )
        if not is_silent:
            self._report.say("reloaded", line_of(reload), **as_json(reload))

    def _say_what_does_not_run(self, news: Iterable[Diagnostic], stale: Collection[str]) -> None:
        files = dict.fromkeys(one.span.source.name for one in news if one.severity == "error")
        for file in files:
            if Path(file).name == SETTINGS_FILE:
                self._report.say("mistakes", "the settings stay as they were", level="warning", files=[file])
            elif file not in stale:
                words = f"mistakes in `{file}`: what they concern does not run"
                self._report.say("mistakes", words, level="warning", files=[file])

    def _say_what_stays(self, after: Contents[Program]) -> None:
        state = after.settings.state
        for key in after.stays:
            what = f"steps go on remembering in {state.shown}" if state else "steps go on remembering without Redis"
            words = f"`{key}` cannot change while flows run: {what} until `flowrunner run` is started again"
            self._report.say("not-reloadable", words, level="warning", setting=key)

    def _say_stale(self, version: Version[Program], now: float) -> None:
        name = version.flow.name
        self._report.say("stale", stale_line(name, version.since, now=now), level="warning", flow=name)

    async def _preview(self, found: Difference, old: Mapping[str, Program], new: Mapping[str, Program]) -> None:
        """Show what the last messages of edited flows would have become."""
        if self._recent is None:
            return
        clock = self._runner.clock
        for name in list(found.changed)[:_MOST_PREVIEWS]:
            try:
                arrived = await self._recent.last(name)
                compared = previews.compare(old[name], new[name], arrived, until=clock.time(), now=clock.now())
            except Exception:  # noqa: BLE001 - nobody depends on it
                _log.exception("the preview of `%s` failed", name)
                return
            previews.show(compared, self._report)


def _gist(diagnostic: Diagnostic) -> tuple[str, str, str]:
    """What a mistake is, wherever it stands in its file."""
    return diagnostic.code, diagnostic.message, diagnostic.span.source.name


def _flows(programs: Mapping[str, Program]) -> dict[str, Flow]:
    return {name: program.flow for name, program in programs.items()}
