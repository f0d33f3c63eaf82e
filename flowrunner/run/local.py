"""Answers other processes of the same user over a local socket: how a runner is, and what its flows do right now."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from flowrunner.diagnostics import name_list, suggest
from flowrunner.frame import draw
from flowrunner.read.flow import Flow
from flowrunner.read.library import Library
from flowrunner.run.local_place import has_local_sockets, known_paths, own_path, process_of
from flowrunner.run.overview import Meter, overview
from flowrunner.run.report import Report
from flowrunner.run.shown import Looked
from flowrunner.run.step_search import NoSuchStep
from flowrunner.run.viewing import Viewing

#: Bytes of a request, and of an answer; viewers at a time, and seconds between two looks at what they see.
MOST_BYTES = 65_536
MOST_IN_LINE = 1_000_000
MOST_VIEWERS = 16
TICK = 0.1

#: Bytes that a viewer may be behind before messages are left out for it.
MOST_BEHIND = 262_144

#: Versions of a flow that one viewer sees at a time: messages may still be in the one that was replaced.
_MOST_VERSIONS = 3

Object = dict[str, Any]

_log = logging.getLogger("flowrunner.run")


class Refusal(Exception):
    """A request that cannot be carried out, in words; `help` is what to type instead."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.answer: Object = {"error": {"code": code, "message": message, "help": help}}


class Desk:
    """Answers requests, one JSON object a line, each with one or more such lines.

    `{"ask": "status"}` has one answer; `{"ask": "tap", "flow": ..., "step": ..., "color": ...}` is answered until one
    of both ends goes away. `exchanged` is called when flows were exchanged for tapped ones, or back.
    """

    def __init__(
        self,
        runner: Looked,
        library: Library[Any],
        *,
        folder: Path,
        exchanged: Callable[[], object] = lambda: None,
        is_read_only: bool = False,
    ) -> None:
        self._runner = runner
        self._library = library
        self._folder = folder
        self._exchanged = exchanged
        self._is_read_only = is_read_only
        self._since = runner.clock.now()
        self._meter = Meter(runner.clock.time())
        self._tasks: set[asyncio.Task[Any]] = set()
        self._number = 0
        self._is_ending = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one process until it has nothing more to ask."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MOST_VIEWERS:
            _put(writer, Refusal("too-many", f"{MOST_VIEWERS} others look at this runner already").answer)
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ValueError, asyncio.CancelledError):  # gone, or it does not speak our language
            pass
        except Exception:  # noqa: BLE001 - flows go on
            _log.exception("a look at the runner failed")
        finally:
            self._tasks.discard(task)
            writer.close()

    async def aclose(self) -> None:
        """Answer nobody any more; the runner ends."""
        self._is_ending = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meter = self._meter
        while line := await reader.readline():
            asked = orjson.loads(line)
            match asked:
                case {"ask": "status"}:
                    await self._runner.refresh(states=None)
                    _put(writer, self._overview(meter))
                    meter = meter.copy() if meter is self._meter else meter
                case {"ask": "tap", "flow": str(flow)}:
                    try:
                        await self._tap(flow, asked, reader, writer)
                    except Refusal as refusal:
                        _put(writer, refusal.answer)
                        continue
                    return
                case _:
                    _put(writer, Refusal("unknown-request", "this runner does not know such a request").answer)
            await writer.drain()

    def _overview(self, meter: Meter) -> Object:
        about = {"folder": self._folder, "since": self._since, "is_read_only": self._is_read_only}
        return overview(self._runner, self._library.contents, meter, **about)  # type: ignore[arg-type]

    async def _tap(
        self, name: str, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        color = asked.get("color") is True
        live = self._runner.flows.get(name)
        if live is None or not isinstance(live.program.flow, Flow):
            raise self._no_flow(name)
        try:
            viewing = Viewing(
                live.program.flow,
                self._runner.clock,
                lambda found: draw(found, color=color),
                step=str(asked.get("step") or ""),
            )
        except NoSuchStep as error:
            raise Refusal("unknown-step", error.message, error.help) from None
        self._number += 1
        by = f"tap {self._number}"
        try:
            tapped = await self._runner.tap({name: viewing}, by)
            self._exchanged()
            if name not in tapped:
                raise Refusal("not-tapped", f"`{name}` cannot be looked into: it is too large, or was just edited")
            _put(writer, {"event": "tapped", "flow": name, "step": viewing.step, "since": live.since})
            await Show(name, viewing, self._runner, writer).go_on(_ended(reader))
        finally:
            if not self._is_ending:
                await asyncio.shield(self._leave(by))

    async def _leave(self, by: str) -> None:
        await self._runner.tap({}, by)
        self._exchanged()

    def _no_flow(self, name: str) -> Refusal:
        running = sorted(self._runner.flows)
        version = self._library.contents.versions.get(name)
        if version is not None:
            why = "its `enabled` is false" if not version.flow.is_enabled else "it could not begin"
            return Refusal("unknown-flow", f"`{name}` does not run: {why}")
        near = suggest(name, running)
        help = f"did you mean `{near}`?" if near else f"there are {name_list(running)}" if running else ""
        return Refusal("unknown-flow", f"no flow `{name}` runs here", help)


class Show:
    """Tells one viewer what is seen of a flow, as far as it can take that."""

    def __init__(self, name: str, viewing: Viewing, runner: Looked, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._viewings = [viewing]
        self._runner = runner
        self._writer = writer
        self._missed = 0
        self._state = "there"

    async def go_on(self, end: Awaitable[object]) -> None:
        """Tell until the viewer goes away."""
        ending = asyncio.ensure_future(end)
        try:
            while not ending.done():
                await asyncio.wait([ending], timeout=TICK)
                await self.turn()
        finally:
            ending.cancel()
            with suppress(asyncio.CancelledError):
                await ending

    async def turn(self) -> None:
        """Tell what there is, unless the viewer is behind."""
        self._follow()
        for viewing in self._viewings:
            for told in viewing.take():
                if told is None:
                    await asyncio.sleep(0)
                else:
                    self._tell(told)
        self._missed += sum(viewing.take_missed() for viewing in self._viewings)
        if not self._is_behind:
            self._viewings[-1].refill()
            if self._missed:
                missed, self._missed = self._missed, 0
                _put(self._writer, {"event": "missed", "flow": self._name, "count": missed})

    @property
    def _is_behind(self) -> bool:
        return self._writer.transport.get_write_buffer_size() > MOST_BEHIND

    def _tell(self, told: Object) -> None:
        if self._is_behind:
            self._missed += not told["is_continued"]
        else:
            _put(self._writer, told)

    def _follow(self) -> None:
        """See what became of the flow."""
        while (following := self._viewings[-1].next) is not None:
            self._viewings = [*self._viewings[1 - _MOST_VERSIONS :], following]
            self._state = "edited"
        live = self._runner.flows.get(self._name)
        state = "gone" if live is None else "no-step" if self._viewings[-1].is_gone else "there"
        if self._state == "edited" or state != self._state:
            event = {"gone": "gone", "no-step": "step-gone"}.get(state, "edited")
            since = live.since if live is not None else None
            _put(self._writer, {"event": event, "flow": self._name, "step": self._viewings[-1].step, "since": since})
        self._state = state


def _put(writer: asyncio.StreamWriter, told: Object) -> None:
    try:
        line = orjson.dumps(told)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair
        line = json.dumps(told, default=repr).encode()
    if len(line) > MOST_IN_LINE:
        about = {name: told[name] for name in ("flow", "message", "time", "is_continued") if name in told}
        line = orjson.dumps({"event": "too-large", **about, "bytes": len(line)})
    if not writer.is_closing():
        writer.write(line + b"\n")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is there, and another user's
        return True
    return True


async def _ended(reader: asyncio.StreamReader) -> None:
    """Wait until the other end goes away; what it says meanwhile matters to nobody."""
    with suppress(OSError):
        while await reader.read(MOST_BYTES):
            pass


@asynccontextmanager
async def listen(desk: Desk, folder: Path, report: Report) -> AsyncIterator[Path | None]:
    """Have a desk answer on a socket that only this user can reach. Where there can be none, that is said."""
    path = own_path(folder) if has_local_sockets() else None
    if path is None:
        where = "no private folder for it" if has_local_sockets() else "no such sockets on this system"
        report.say("no-socket", f"`status` and `tap` cannot reach this runner: {where}", level="warning")
        yield None
        return
    try:
        for old in known_paths():  # of processes that were killed; one of them may have had our number
            if old == path or not _is_alive(process_of(old)):
                old.unlink(missing_ok=True)
        new = path.with_suffix(".new")  # whoever finds one where nobody listens takes it away
        server = await asyncio.start_unix_server(desk.serve, new, limit=MOST_BYTES)
        new.chmod(0o600)
        new.rename(path)
    except OSError as error:
        report.say("no-socket", f"`status` and `tap` cannot reach this runner: {error.strerror}", level="warning")
        yield None
        return
    try:
        yield path
    finally:
        server.close()
        await desk.aclose()
        with suppress(OSError):
            path.unlink()
